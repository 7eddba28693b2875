package object

import (
	"context"
	"errors"

	"github.com/seed-1b600011/assay/scenario"
)

// mixed are the options of the test of that name. Operations of one kind and
// another come in the proportion of their weights.
type mixed struct {
	Operations scenario.Amount `yaml:"operations" doc:"how many in all; default four times the number of objects" max:"16000000"`
	Put        int64           `yaml:"put" doc:"weight of puts of any object; default 30" min:"0" max:"1000000"`
	Overwrite  int64           `yaml:"overwrite" doc:"weight of puts of an object that was put before; default 20" min:"0" max:"1000000"`
	Delete     int64           `yaml:"delete" doc:"weight of deletes; default 15" min:"0" max:"1000000"`
	Get        int64           `yaml:"get" doc:"weight of reads; default 30" min:"0" max:"1000000"`
	List       int64           `yaml:"list" doc:"weight of reads of a page of the listing; default 5" min:"0" max:"1000000"`
}

// Validate wants something to do.
func (m *mixed) Validate() error {
	if m.total() == 0 {
		return errors.New("mixed wants at least one weight above 0")
	}
	return nil
}

func (m *mixed) total() int64 { return m.Put + m.Overwrite + m.Delete + m.Get + m.List }

func (m *mixed) operations(p *scenario.Plan) int64 {
	if m.Operations == 0 {
		return 4 * int64(p.Objects.Count)
	}
	return int64(m.Operations)
}

const listPage = 100 // keys that a list of the test asks for

func registerMixed(r *scenario.Registry) {
	Test(r, scenario.Test{
		Name: "mixed", Doc: "puts, overwrites, deletes, reads and lists by weight, many at once on the same objects",
		Objects:     scenario.Objects{Count: 100, Size: scenario.Range[scenario.Size]{Min: 1 << 10, Max: 1 << 10}},
		Items:       func(p *scenario.Plan, options any) int64 { return options.(*mixed).operations(p) },
		Generations: func(p *scenario.Plan, options any) int64 { return 2 * options.(*mixed).operations(p) },
	}, mixed{Put: 30, Overwrite: 20, Delete: 15, Get: 30, List: 5}, func(ctx context.Context, b *Bucket, o *Objects, m mixed) error {
		if o.Count() == 0 {
			return nil
		}
		for i := o.task.From; i < o.task.To; i++ {
			if err := m.operation(ctx, b, o, i); err != nil {
				return err
			}
		}
		return nil
	})
}

// operation is number i of the test. Which one, and on which object, is drawn
// by its number: it is the same in whatever order they are done.
func (m *mixed) operation(ctx context.Context, b *Bucket, o *Objects, i int64) error {
	draw := o.plan.Draw("mixed")
	index := int64(draw.For("object").Below(uint64(i), uint64(o.Count())))
	object := o.At(index, 2*i)
	kind := draw.For("kind").Between(uint64(i), 0, m.total()-1)
	for _, k := range []struct {
		weight int64
		do     func(context.Context, Object) error
	}{
		{m.Put, b.Put},
		{m.Overwrite, func(ctx context.Context, object Object) error {
			if err := b.Ensure(ctx, object); err != nil {
				return err
			}
			return b.Put(ctx, o.At(index, 2*i+1))
		}},
		{m.Delete, b.Delete},
		{m.Get, b.Get},
		{m.List, func(ctx context.Context, object Object) error { return b.List(ctx, object.Key, listPage) }},
	} {
		if kind < k.weight {
			return k.do(ctx, object)
		}
		kind -= k.weight
	}
	return nil
}
