package owed

import (
	"fmt"
	"iter"
	"slices"

	"github.com/seed-1b600011/assay/content"
	"github.com/seed-1b600011/assay/verdict"
)

// File is what a volume owes of one file, whatever its name. The zero File is
// of no use.
type File struct {
	book   *Book
	target *target
	file   *file
	path   string

	refused bool // by the name under which it may be found: that was refused
}

// Extent is a range of a file that the same operations concern.
type Extent struct {
	From, To int64
	State    State
}

// ID is the file's number, the content.Tag.Object of its bytes; see FileID.
func (f File) ID() uint64 { return f.file.number }

// Generation is the highest that was ever written to it; 0: none.
func (f File) Generation() uint32 { return f.file.top }

// Dir tells whether it is a directory, which has no sizes and no extents.
func (f File) Dir() bool { return f.file.dir }

// Sizes are the sizes that the file may have, in order; Hi of the last is
// math.MaxInt64 where nothing is owed.
func (f File) Sizes() []SizeRange {
	if f.file.dir {
		return nil
	}
	return f.file.size.ranges()
}

// Extents gives the states of the file's ranges, in order and without a gap up
// to the greatest size that it may have. Neighbours differ.
func (f File) Extents() iter.Seq[Extent] {
	return func(yield func(Extent) bool) {
		for x := range f.runs(0, f.reach()) {
			if !yield(Extent{From: x.from, To: x.to, State: f.state(x)}) {
				return
			}
		}
	}
}

// reach is the greatest size that the file may have.
func (f File) reach() int64 {
	sizes := f.Sizes()
	if len(sizes) == 0 {
		return 0
	}
	return sizes[len(sizes)-1].Hi
}

// runs gives the extents inside [from, to), neighbours that are alike as one.
func (f File) runs(from, to int64) iter.Seq[extent] {
	return func(yield func(extent) bool) {
		var last extent
		for x := range f.file.data.touching(from, to) {
			ops := allowed(x.ops)
			if slices.EqualFunc(ops, last.ops, alike) {
				last.to = min(x.to, to)
				continue
			}
			if last.to > last.from && !yield(last) {
				return
			}
			last = extent{max(x.from, from), min(x.to, to), ops}
		}
		if last.to > last.from {
			yield(last)
		}
	}
}

// alike tells whether two operations are one, or say the same to whoever asks:
// a check that saw a range in several parts leaves as many of them.
func alike(a, b *op) bool {
	if a == b {
		return true
	}
	x, y := *a, *b
	for _, w := range []*op{&x, &y} {
		w.issued, w.ended, w.from, w.to, w.name = 0, 0, 0, 0, nil
	}
	return x == y
}

func (f File) state(x extent) State {
	s := State{Target: f.target.name, Object: f.path, From: x.from, To: x.to, mayTear: f.target.rule.MayTear,
		top: f.file.top, id: f.file.number, start: f.book.start}
	s.allow(x.ops)
	return s
}

// Judge names the kind of every deviation of the file that was found. It looks
// at Size, Spans and Err of seen; the name is not its matter.
func (f File) Judge(seen Seen) []Deviation {
	if f.file.strange || f.file.dir {
		return nil
	}
	sizes := f.Sizes()
	end := min(seen.Size, f.reach())
	if seen.Err != "" {
		end = sizes[0].Lo
	}
	var out []Deviation
	rest := seen
	for x := range f.runs(0, end) {
		s := f.state(x)
		part := rest
		if seen.Err == "" {
			rest.Spans = behind(rest.Spans, x.from)
			part.Spans = upTo(rest.Spans, x.to)
			if len(part.Spans) == 0 {
				continue
			}
		}
		out = joinAll(out, s.Judge(part))
	}
	if seen.Err != "" {
		return out
	}
	return f.judgeSize(seen, sizes, out)
}

// behind drops the spans that end at or before at.
func behind(spans []content.Span, at int64) []content.Span {
	for len(spans) > 0 && spans[0].To <= at {
		spans = spans[1:]
	}
	return spans
}

// upTo is the spans that begin before at.
func upTo(spans []content.Span, at int64) []content.Span {
	n := 0
	for n < len(spans) && spans[n].From < at {
		n++
	}
	return spans[:n]
}

// judgeSize appends what is wrong with the size: a missing tail is lost, a
// surplus is judged as what it is.
func (f File) judgeSize(seen Seen, sizes []SizeRange, out []Deviation) []Deviation {
	for _, r := range sizes {
		if r.Lo <= seen.Size && seen.Size <= r.Hi {
			return out
		}
	}
	s := State{Target: f.target.name, Object: f.path, id: f.file.number, start: f.book.start, whole: true}
	w := f.file.size.promise()
	d := s.deviations()
	d.blank.Promised = fmt.Sprintf("a size of %s", sizeText(sizes))
	if w.id != 0 {
		d.blank.Promised += fmt.Sprintf(" (%s, %s)", operation(w.id, w.writer, w.verb.String()),
			told(w.outcome, w.began, w.over, f.book.start))
		d.blank.Ops = []uint64{w.id}
	}
	for _, r := range sizes {
		if seen.Size < r.Lo {
			d.add(verdict.Lost, seen.Size, r.Lo, fmt.Sprintf("an end after %d bytes", seen.Size))
			return joinAll(out, d.list)
		}
	}
	from := sizes[len(sizes)-1].Hi
	for _, p := range behind(seen.Spans, from) {
		p, _ = clip(p, from, seen.Size)
		kind := verdict.Corrupt
		if g, ours := inPlace(p, f.file.number); ours && g <= f.file.top {
			kind = verdict.Stale
		} else if !ours && p.Class == content.Misdirected {
			kind = verdict.Misdirected
		}
		d.add(kind, p.From, p.To, p.String())
	}
	if len(d.list) == 0 {
		d.add(verdict.Corrupt, from, seen.Size, fmt.Sprintf("%d bytes", seen.Size))
	}
	return joinAll(out, d.list)
}

func joinAll(list, more []Deviation) []Deviation {
	for _, d := range more {
		list = join(list, d)
	}
	return list
}

func sizeText(sizes []SizeRange) string {
	text := ""
	for i, r := range sizes {
		if i > 0 {
			text += " or "
		}
		text += fmt.Sprint(r.Lo)
		if r.Hi != r.Lo {
			text += fmt.Sprintf(" to %d", r.Hi)
		}
	}
	return text
}
