package scenario

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"

	"github.com/seed-1b600011/assay/seed"
	"go.yaml.in/yaml/v4"
)

// Plan is a scenario with every per-plan choice made and its seed set. It is
// pure data; the same scenario, seed and adjustments give the same plan, to
// the byte. It is safe for concurrent use.
type Plan struct {
	Spec
	Repeat int // which plan of its scenario, from 0
	node   *yaml.Node
}

// Adjust is what a command line changes in every plan. The zero value changes
// nothing.
type Adjust struct {
	Concurrency int     // replaces the scenario's, if it is not 0
	Scale       float64 // factor of how many objects, files and operations there are; 0 is 1
}

// Limits of what a command line changes.
const (
	maxScale       = 1e6
	maxConcurrency = 4096
)

// Check returns a *ConfigError if the numbers are none that a plan could have.
func (a Adjust) Check() error {
	switch {
	case a.Scale != 0 && !(a.Scale > 0 && a.Scale <= maxScale): // NaN is neither
		return Misconfigured("--scale", "%v: want a factor above 0, at most %v", a.Scale, int(maxScale))
	case a.Concurrency < 0 || a.Concurrency > maxConcurrency:
		return Misconfigured("--concurrency", "%d: want 1 to %d", a.Concurrency, maxConcurrency)
	}
	return nil
}

// Plans is how many plans the scenario asks for.
func (s *Scenario) Plans() int { return max(1, int(s.Spec.Repeat)) }

// Plan makes plan number i of the scenario from the seed of the whole run. A
// scenario that is itself a printed plan keeps its own seed.
func (s *Scenario) Plan(run seed.Seed, i int, a Adjust) (*Plan, error) {
	sd := run.For("scenario", s.Name).Index(uint64(i))
	if s.Seed != nil {
		sd = *s.Seed
		if i > 0 {
			sd = sd.Index(uint64(i))
		}
	}
	if err := a.Check(); err != nil {
		return nil, err
	}
	choices := sd.For("plan")
	d := &decoder{file: s.file, reg: s.reg, scale: a.Scale,
		choose:  func(at path, n int) int { return int(choices.For(at...).Below(0, uint64(n))) },
		between: func(at path, lo, hi int64) int64 { return choices.For(at...).Between(0, lo, hi) },
	}
	p := &Plan{Repeat: i, node: clone(s.node)}
	if s.Plans() > 1 || i > 0 {
		setScalar(p.node, "name", s.Name+" #"+strconv.Itoa(i+1))
	}
	setScalar(p.node, "seed", sd.String())
	if a.Concurrency > 0 {
		setScalar(p.node, "concurrency", strconv.Itoa(a.Concurrency))
	}
	dropKey(p.node, "repeat")
	d.spec(p.node, &p.Spec)
	if len(d.problems) > 0 {
		return nil, (&ConfigError{d.problems}).sorted()
	}
	p.fillIn(a)
	s.reg.fill(p)
	return p, nil
}

// fillIn writes what was left to defaults into the plan, so that a printed
// plan says all of it.
func (p *Plan) fillIn(a Adjust) {
	if p.Concurrency == 0 {
		p.Concurrency = DefaultConcurrency
	}
	if len(p.Required.Buckets) > 0 {
		p.fillObjects(a)
	}
	if len(p.Required.Volumes) > 0 {
		p.fillFiles(a)
	}
}

// fill makes the choices that are a kind of target's own.
func (r *Registry) fill(p *Plan) {
	for kind, n := range p.Required.count() {
		if t := r.targets[kind]; n > 0 && t.Fill != nil {
			list := keyNode(keyNode(p.node, "required"), kind)
			t.Fill(p, func(i int, key, value string) { setScalar(list.Content[i], key, value) })
		}
	}
}

func (p *Plan) fillFiles(a Adjust) {
	had := p.Files
	if had == nil {
		had = &Files{}
	}
	f, node := *had, keyOrNew(p.node, "files")
	if !hasKey(node, "count") {
		f.Count = scaled(Amount(10), a.Scale)
		setScalar(node, "count", strconv.FormatInt(int64(f.Count), 10))
	}
	if !hasKey(node, "size") {
		f.Size = Range[Size]{1 << 20, 1 << 20}
		setRange(node, "size", f.Size.Min.String(), f.Size.Max.String())
	}
	p.Files = &f
}

func (p *Plan) fillObjects(a Adjust) {
	had := p.Objects
	if had == nil {
		had = &Objects{}
	}
	o, node := *had, keyOrNew(p.node, "objects")
	given := Objects{Count: 10, Size: Range[Size]{1 << 10, 1 << 10}}
	for _, t := range p.Tests {
		if t.Test.Objects != (Objects{}) {
			given = t.Test.Objects
			break
		}
	}
	if !hasKey(node, "count") {
		o.Count = scaled(given.Count, a.Scale)
		setScalar(node, "count", strconv.FormatInt(int64(o.Count), 10))
	}
	if !hasKey(node, "size") {
		o.Size = given.Size
		setRange(node, "size", o.Size.Min.String(), o.Size.Max.String())
	}
	p.Objects = &o
}

// scaled is n times the factor, and at least 1 where n is.
func scaled[T ~int64](n T, factor float64) T {
	if factor == 0 || n == 0 {
		return n
	}
	return max(1, T(math.Round(float64(n)*factor)))
}

// Text is the plan in the language of scenarios. Running it is the same run.
func (p *Plan) Text() []byte {
	return Print([]*Plan{p})
}

// Print is several plans as one scenario file.
func Print(plans []*Plan) []byte {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for _, p := range plans {
		list.Content = append(list.Content, unstyled(clone(p.node)))
	}
	root := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
		scalarNode("assay"), {Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(Version)},
		scalarNode("scenarios"), list,
	}}
	var b bytes.Buffer
	dumper, err := yaml.NewDumper(&b, yaml.WithLineWidth(-1))
	if err == nil {
		err = dumper.Dump(&yaml.Node{Kind: yaml.DocumentNode, Content: []*yaml.Node{root}})
	}
	if err == nil {
		err = dumper.Close()
	}
	if err != nil {
		panic(fmt.Sprintf("scenario: a plan that was parsed cannot be printed: %v", err))
	}
	return b.Bytes()
}

// unstyled drops how the author laid the values out: a plan printed, parsed
// and printed again is the same to the byte.
func unstyled(n *yaml.Node) *yaml.Node {
	n.Style &^= yaml.FlowStyle | yaml.LiteralStyle | yaml.FoldedStyle
	for _, c := range n.Content {
		unstyled(c)
	}
	return n
}

// ID names the plan: the SHA-256 of its text.
func (p *Plan) ID() [32]byte { return sha256.Sum256(p.Text()) }

// Draw is the seed of the plan's items of one name.
func (p *Plan) Draw(name ...string) seed.Seed { return p.Seed.For(name...) }

// Task is a part of a plan's work: plain data, the same wherever it is done.
type Task struct {
	Test     int   // index in the plan's tests
	Target   int   // index among the targets of the test's kind that it is for
	From, To int64 // items [From, To)
	Attempt  uint32
}

const maxChunk = 64 // items of a task: few enough that concurrent tasks end together

// Tasks are the tasks of test number i, made one by one as they are asked for.
func (p *Plan) Tasks(i int) iter.Seq[Task] {
	use := p.Tests[i]
	items := int64(1)
	if use.Test.Items != nil {
		items = use.Test.Items(p, use.Options)
	}
	chunk := min(max(items/int64(4*p.Concurrency), 1), maxChunk)
	targets := p.aimed(use.Test.Target, use.Aim)
	return func(yield func(Task) bool) {
		for from := int64(0); from < items; from += chunk {
			for _, target := range targets {
				if !yield(Task{Test: i, Target: target, From: from, To: min(from+chunk, items)}) {
					return
				}
			}
		}
	}
}

// Items is over how many items test number i is spread, on all its targets.
func (p *Plan) Items(i int) int64 {
	use := p.Tests[i]
	n := int64(len(p.aimed(use.Test.Target, use.Aim)))
	if use.Test.Items == nil {
		return n
	}
	return n * use.Test.Items(p, use.Options)
}

// Generations is how many generations of an object the tests before number i
// may write: test i counts on above them, so that no two tests of a plan, in
// whatever process, write the same generation.
func (p *Plan) Generations(i int) int64 {
	var n int64
	for _, use := range p.Tests[:i] {
		if use.Test.Generations == nil {
			n++
		} else {
			n += use.Test.Generations(p, use.Options)
		}
	}
	return n
}

// aimed are the indexes of the targets of one kind that an aim means.
func (p *Plan) aimed(kind string, a Aim) []int {
	var all []string
	if kind == BucketKind {
		for _, b := range p.Required.Buckets {
			all = append(all, b.Name)
		}
	} else {
		for _, v := range p.Required.Volumes {
			all = append(all, v.Name)
		}
	}
	if a.On != "" {
		return []int{slices.Index(all, a.On)}
	}
	targets := make([]int, len(all))
	for i := range targets {
		targets[i] = i
	}
	return targets
}
