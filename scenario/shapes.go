package scenario

import (
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-1b600011/assay/seed"
	"go.yaml.in/yaml/v4"
)

// Range is a value or, written {min: , max: }, a range of values both ends of
// which are included, drawn once an item or once an occurrence.
type Range[T ~int64] struct{ Min, Max T }

// Draw is draw number i from the range.
func (r Range[T]) Draw(s seed.Seed, i uint64) T {
	return T(s.Between(i, int64(r.Min), int64(r.Max)))
}

func (r *Range[T]) decode(d *decoder, n *yaml.Node, at path) {
	if n.Kind != yaml.MappingNode {
		d.value(n, reflect.ValueOf(&r.Min).Elem(), at)
		r.Max = r.Min
		return
	}
	var ends struct {
		Min T `yaml:"min" required:"true"`
		Max T `yaml:"max" required:"true"`
	}
	before := len(d.problems)
	d.structs(n, at, reflect.ValueOf(&ends).Elem())
	if ends.Min > ends.Max && len(d.problems) == before {
		d.problem(n, "min is greater than max")
	}
	*r = Range[T](ends)
}

func (r *Range[T]) ends() (lowest, highest int64) { return int64(r.Min), int64(r.Max) }

// Whole is a number in a Range of numbers.
type Whole int64

// UnmarshalText reads a whole number, 0 or more.
func (w *Whole) UnmarshalText(b []byte) error {
	var n yaml.Node
	n.Kind, n.Value = yaml.ScalarNode, string(b)
	var d decoder
	i, ok := d.whole(&n)
	if !ok {
		return errWhole(b)
	}
	if i < 0 {
		return errWhole(b)
	}
	*w = Whole(i)
	return nil
}

type errWhole string

func (e errWhole) Error() string {
	return strconv.Quote(string(e)) + ": want a whole number, 0 or more"
}

// Count is a number of things, 0 or more. Written {min: , max: } it is drawn
// once a plan.
type Count int64

func (c *Count) decode(d *decoder, n *yaml.Node, at path) { *c = drawn(d, n, at, *c, 0) }

// Amount is a Count of work: objects, files, operations. A command line can
// scale all amounts of a plan.
type Amount int64

func (a *Amount) decode(d *decoder, n *yaml.Node, at path) { *a = drawn(d, n, at, *a, d.scale) }

// drawn reads a number or a range. In a plan the number is drawn from the
// range and scaled, and the node rewritten to it.
func drawn[T ~int64](d *decoder, n *yaml.Node, at path, old T, scale float64) T {
	var r Range[Whole]
	before := len(d.problems)
	r.decode(d, n, at)
	if len(d.problems) > before {
		return old
	}
	v := T(r.Max)
	if d.between != nil {
		if r.Min != r.Max {
			v = T(d.between(at, int64(r.Min), int64(r.Max)))
		}
		v = scaled(v, scale)
		*n = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.FormatInt(int64(v), 10), Line: n.Line, Column: n.Column}
	}
	return v
}

// Clouds are the backend types of which a bucket's is chosen, one a plan;
// empty: any. In a file they are names, or numbers as older files have them.
type Clouds []string

var cloudNames = []string{"aws", "gcp", "azure", "s3", "sproxyd", "cluster"}

// CloudNames are the backend types, in the order of their old numbers from 1:
// AWS, GCP, Azure, an S3 connector, sproxyd, and the tested cluster itself.
func CloudNames() []string { return slices.Clone(cloudNames) }

func (c *Clouds) decode(d *decoder, n *yaml.Node, at path) {
	if n.Kind == yaml.ScalarNode { // one type alone
		one := *n
		*n = yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle, Content: []*yaml.Node{&one}, Line: n.Line, Column: n.Column}
	}
	if n.Kind != yaml.SequenceNode || len(n.Content) == 0 {
		d.problem(n, "want a list of backend types, not %s", kindOf(n))
		return
	}
	for _, e := range n.Content {
		if name, ok := d.cloud(e); ok {
			*c = append(*c, name)
		}
	}
	if d.choose == nil || len(*c) < len(n.Content) {
		return
	}
	if offered := c.offered(d.reg); len(offered) > 0 {
		d.pick(c, offered, n, at)
	} else {
		d.problem(n, "there is no backend of type %s: there are %s", strings.Join(*c, " or "), strings.Join(d.reg.Clouds, ", "))
	}
}

// offered are those of the clouds, or of all where it names none, of which
// there is a backend.
func (c Clouds) offered(reg *Registry) Clouds {
	if len(c) == 0 {
		c = cloudNames
	}
	if reg.Clouds == nil {
		return c
	}
	return slices.DeleteFunc(slices.Clone(c), func(name string) bool { return !slices.Contains(reg.Clouds, name) })
}

// pick makes the choice of a cloud and writes it into the plan.
func (d *decoder) pick(c *Clouds, offered Clouds, n *yaml.Node, at path) {
	*c = Clouds{offered[d.choose(at, len(offered))]}
	n.Kind, n.Tag, n.Value = yaml.SequenceNode, "!!seq", ""
	n.Content = []*yaml.Node{scalarNode((*c)[0])}
}

// cloud reads a backend type and rewrites a number to its name.
func (d *decoder) cloud(n *yaml.Node) (string, bool) {
	if !d.scalar(n, "a backend type") {
		return "", false
	}
	if i, err := strconv.Atoi(n.Value); err == nil && i >= 1 && i <= len(cloudNames) {
		n.Value, n.Tag = cloudNames[i-1], "!!str"
	}
	if !slices.Contains(cloudNames, n.Value) {
		d.unknown(n, "cloud", cloudNames)
		return "", false
	}
	return n.Value, true
}

// Replication is whether a bucket is replicated, and to a backend of which
// types: true, or the types of which one is chosen a plan.
type Replication struct {
	On bool
	To Clouds
}

func (r *Replication) decode(d *decoder, n *yaml.Node, at path) {
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!bool" {
		d.value(n, reflect.ValueOf(&r.On).Elem(), at)
		return
	}
	r.On = true
	r.To.decode(d, n, at)
}

// When is what a trigger waits for: a time, or so many of something counted.
type When struct {
	Time  Range[Duration]
	Of    string // operations, writes or flushes; empty: Time counts
	Count Range[Whole]
}

// Counted is whether the trigger waits for a count.
func (w When) Counted() bool { return w.Of != "" }

func (w *When) decode(d *decoder, n *yaml.Node, at path) {
	if n.Kind != yaml.MappingNode || !slices.ContainsFunc(n.Content, func(k *yaml.Node) bool {
		return slices.Contains([]string{"operations", "writes", "flushes"}, k.Value)
	}) {
		w.Time.decode(d, n, at)
		return
	}
	var of struct {
		Operations *Range[Whole] `yaml:"operations"`
		Writes     *Range[Whole] `yaml:"writes"`
		Flushes    *Range[Whole] `yaml:"flushes"`
	}
	d.structs(n, at, reflect.ValueOf(&of).Elem())
	if len(n.Content) != 2 {
		d.problem(n, "want one of operations, writes and flushes")
		return
	}
	w.Of = n.Content[0].Value
	for _, r := range []*Range[Whole]{of.Operations, of.Writes, of.Flushes} {
		if r != nil {
			w.Count = *r
		}
	}
}
