package owed

import (
	"slices"

	"github.com/seed-1b600011/assay/content"
	"github.com/seed-1b600011/assay/history"
)

// checked narrows what is owed to what a check saw, after heal and with
// nothing under way: a deviation is blamed once, and the next round goes on
// with what survived.
func (b *Book) checked(r history.Record) error {
	seen, err := SeenIn(r)
	if err != nil {
		return err
	}
	t := b.target(r.Target)
	if !t.rule.volume() {
		b.checkedObject(t, r, seen)
		return nil
	}
	if seen.Err != "" {
		return nil // an error tells nothing of what is there
	}
	reg := t.register(r.Object)
	if reg == nil {
		return nil // in a directory that is not there
	}
	f := b.identify(t, reg, seen, r)
	b.narrowName(t, reg, f, r)
	if f != nil && !f.dir && !f.strange {
		b.narrowData(t, f, r, seen)
	}
	return nil
}

// identify gives the file that was seen under a name: the one that its content
// names, else the likeliest of those that may be there and may be what was seen.
// What no operation made gets a number of its own.
func (b *Book) identify(t *target, reg *register, seen Seen, r history.Record) *file {
	if !seen.Present {
		return nil
	}
	for _, p := range seen.Spans {
		if f := t.byNumber[p.Is.Object]; f != nil && !f.dir && p.Class != content.Corrupt && p.IsOff == p.From {
			return f
		}
	}
	var may []File
	for _, w := range allowed(reg.ops) {
		if f := w.name.file; f != nil && f.dir == seen.Dir {
			may = withNew(may, File{b, t, f, r.Object, w.outcome == history.Refused})
		}
	}
	if len(may) > 0 {
		for _, f := range slices.Backward(may) {
			if len(may) > 1 && len(f.Judge(seen)) == 0 {
				return f.file
			}
		}
		return may[len(may)-1].file
	}
	f := t.newFile(content.ObjectID(t.name+"/"+r.Object+"/"+r.At.String()), seen.Dir)
	f.strange = true
	return f
}

// look is the pseudo-operation that a check's look at a register is.
func (b *Book) look(t *target, r history.Record, saw *op) *op {
	p := &op{issued: b.position, ended: b.position, began: r.At, over: r.At, id: r.Op, writer: r.Writer,
		verb: verbCheck, outcome: history.Observed, durable: t.medium || !t.rule.NeedsSync}
	if saw != nil {
		p.durable = p.durable || saw.durable
		p.evidence(saw)
	}
	return p
}

// proves tells whether having seen what w does proves anything for later: not
// from a cache that may drop it.
func (t *target) proves(w *op) bool {
	return t.medium || w == nil || w.durable || !w.void && !w.exposed
}

func (b *Book) narrowName(t *target, reg *register, f *file, r history.Record) {
	legal := allowed(reg.ops)
	var saw *op
	for _, w := range legal {
		if w.name.file == f {
			saw = w
		}
	}
	if !t.proves(saw) || len(legal) == 1 && saw != nil && (saw.durable || !t.medium) {
		return
	}
	p := b.look(t, r, saw)
	p.name = &binding{reg: reg, file: f}
	if f == nil {
		p.value = nothing
	}
	reg.add(p)
	reg.ops = prune(reg.ops)
	if !p.durable {
		reg.dir.dirty = append(reg.dir.dirty, p)
	}
}

func (b *Book) narrowData(t *target, f *file, r history.Record, seen Seen) {
	seed, _ := seen.seed(f.number)
	for _, part := range seen.Spans {
		part, ok := clip(part, 0, seen.Size)
		if !ok {
			continue
		}
		for x := range f.data.within(part.From, part.To) {
			cut, _ := clip(part, x.from, x.to)
			b.narrowExtent(t, f, x, cut, r, seed)
		}
	}
	b.narrowSize(t, f, r, seen.Size)
}

func (b *Book) narrowExtent(t *target, f *file, x *extent, part content.Span, r history.Record, seed uint64) {
	legal := allowed(x.ops)
	s := State{id: f.number, From: x.from, To: x.to}
	var saw *op
	for _, w := range legal {
		if w.value == anything || s.explains(s.version(w), part, seed) {
			saw = w
		}
	}
	if !t.proves(saw) || len(legal) == 1 && saw != nil && (saw.durable || !t.medium) {
		return
	}
	p := b.look(t, r, saw)
	p.from, p.to, p.name = x.from, x.to, &binding{file: f}
	switch g, ours := inPlace(part, f.number); {
	case saw != nil:
		p.value, p.generation = saw.value, saw.generation
	case ours:
		p.generation = g
		f.top = max(f.top, g)
	case part.Class == content.Zero:
		p.value = nothing
	default:
		p.value = anything
	}
	x.ops = prune(append(x.ops, p))
	if !p.durable {
		f.dirty = append(f.dirty, p)
	}
}

// narrowSize makes the size that was seen the size of the file.
func (b *Book) narrowSize(t *target, f *file, r history.Record, size int64) {
	if ranges := f.size.ranges(); !t.medium && len(ranges) == 1 && ranges[0] == (SizeRange{size, size}) {
		return
	}
	for _, w := range f.size.ops {
		if !t.proves(w) {
			return
		}
	}
	p := b.look(t, r, nil)
	p.from, p.to, p.value, p.name = size, size, nothing, &binding{file: f}
	f.size.add(p)
	f.size.prune()
	if !p.durable {
		f.dirty = append(f.dirty, p)
	}
}
