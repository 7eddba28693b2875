package object

import (
	"fmt"

	"github.com/seed-1b600011/assay/scenario"
)

// Object is one generation of one of the objects that a plan is about.
type Object struct {
	Index      int64 // among the plan's objects, from 0
	Key        string
	Size       int64
	Generation uint32
}

// Objects are the objects of a plan as one task of a test sees them. It is
// safe for concurrent use.
type Objects struct {
	plan *scenario.Plan
	task scenario.Task
	base uint32 // the generation before the first of this test
}

// Count is how many objects the plan has.
func (o *Objects) Count() int64 { return int64(o.plan.Objects.Count) }

// At is object number i, in the generation number n (from 0) of this test.
// Its key and generation do not depend on what was drawn before; its size is
// drawn for the object and the generation.
func (o *Objects) At(i int64, n int64) Object {
	generation := o.base + uint32(n) + 1
	return Object{Index: i, Key: key(o.plan, i), Generation: generation,
		Size: int64(o.plan.Objects.Size.Draw(o.plan.Draw("objects", "size").Index(uint64(generation)), uint64(i)))}
}

// Key is the key of object number i.
func (o *Objects) Key(i int64) string { return key(o.plan, i) }

func key(p *scenario.Plan, i int64) string {
	if p.Objects.Prefix == "" {
		return fmt.Sprintf("%08d", i)
	}
	return fmt.Sprintf("%s/%08d", p.Objects.Prefix, i)
}

// Mine gives the objects of this task, in the test's first generation.
func (o *Objects) Mine(yield func(Object) bool) {
	for i := o.task.From; i < o.task.To; i++ {
		if !yield(o.At(i, 0)) {
			return
		}
	}
}
