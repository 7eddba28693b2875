package owed

import (
	"bytes"
	"fmt"

	"github.com/seed-1b600011/assay/content"
	"github.com/seed-1b600011/assay/verdict"
)

// Deviation is one broken promise, in one range, as a finding needs it.
type Deviation struct {
	Kind           verdict.Kind
	Target, Object string
	From, To       int64 // bytes; both 0: the object or the name as a whole
	Promised       string
	Found          string
	Ops            []uint64 // that made the promise
}

// Judge names the kind of every deviation of what was seen from what is
// allowed; none: it is as promised. A range is judged by the spans inside it.
// Pieces below 24 bytes are compared byte by byte with what each allowed
// version has there, so that a chance likeness is never taken for another
// generation.
func (s State) Judge(seen Seen) []Deviation {
	for _, v := range s.Allowed {
		if v.Damaged {
			return nil
		}
	}
	if s.whole {
		return s.judgeObject(seen)
	}
	return s.judgeRange(seen)
}

func (s *State) judgeRange(seen Seen) []Deviation {
	d := s.deviations()
	seed, _ := seen.seed(s.id)
	if seen.Err != "" {
		if !s.unpromised() {
			d.add(verdict.Unreadable, s.From, s.To, seen.Err)
		}
		return d.list
	}
	for _, p := range seen.Spans {
		if p, ok := clip(p, s.From, s.To); ok {
			if kind, found := s.span(p, seed); kind != "" {
				d.add(kind, p.From, p.To, found)
			}
		}
	}
	if !s.mayTear && len(d.list) == 0 && !s.oneExplains(seen, seed) {
		d.add(verdict.Torn, s.From, s.To, "parts of several versions")
	}
	return d.list
}

// oneExplains tells whether one version explains all of the range.
func (s *State) oneExplains(seen Seen, seed uint64) bool {
	for _, v := range s.Allowed {
		all := true
		for _, p := range seen.Spans {
			if p, ok := clip(p, s.From, s.To); ok && p.Class != content.Different {
				all = all && s.explains(v, p, seed)
			}
		}
		if all {
			return true
		}
	}
	return false
}

// unpromised tells that a range may never have been written.
func (s *State) unpromised() bool {
	for _, v := range s.Allowed {
		if v.Verb == "" || v.Damaged {
			return true
		}
	}
	return false
}

// span judges a part of a range; the empty kind is legal.
func (s *State) span(p content.Span, seed uint64) (kind verdict.Kind, found string) {
	for _, v := range s.Allowed {
		if s.explains(v, p, seed) {
			return "", ""
		}
	}
	g, ours := inPlace(p, s.id)
	switch {
	case ours && g <= s.top:
		return verdict.Stale, fmt.Sprintf("generation %d", g)
	case ours:
		return verdict.Corrupt, fmt.Sprintf("generation %d, which was never written", g)
	case p.Class == content.Zero:
		return verdict.Lost, "zeros"
	case p.Class == content.Misdirected:
		return verdict.Misdirected, s.misdirected(p)
	case p.Class == content.Different && (len(s.Allowed) > 1 || s.MayBeAbsent()):
		return "", "" // too short to tell a mixture of what is allowed
	}
	return verdict.Corrupt, p.String()
}

// misdirected tells whose bytes stand where others belong, by name if the
// history knows it.
func (s *State) misdirected(p content.Span) string {
	if s.book != nil {
		if name, ok := s.book.Owner(s.Target, p.Is.Object); ok {
			return fmt.Sprintf("generation %d of %s from offset %d", p.Is.Generation, name, p.IsOff)
		}
	}
	return fmt.Sprintf("%s from offset %d", p.Is, p.IsOff)
}

// explains tells whether p is what v has there.
func (s *State) explains(v Version, p content.Span, seed uint64) bool {
	if v.Absent {
		return !s.whole && (p.Class == content.Zero || short(p) && bytes.Equal(made(p), make([]byte, p.To-p.From)))
	}
	if g, ok := inPlace(p, s.id); ok && g == v.Generation {
		return true
	}
	have := made(p)
	return short(p) && have != nil && content.Equal(have, content.Tag{Seed: seed, Object: s.id, Generation: v.Generation}, p.From)
}

// copySize is the length from which on content names what it reads.
const copySize = 24

func short(p content.Span) bool { return p.To-p.From < copySize }

// made is the bytes of a short span, nil where its class does not tell.
func made(p content.Span) []byte {
	if !short(p) {
		return nil
	}
	b := make([]byte, p.To-p.From)
	switch p.Class {
	case content.Zero:
	case content.Exact, content.Older, content.Newer, content.Misdirected:
		content.Fill(b, p.Is, p.IsOff)
	default:
		return nil
	}
	return b
}

// seed is that of the content, if anything seen tells it.
func (s Seen) seed(object uint64) (uint64, bool) {
	for _, p := range s.Spans {
		if p.Is.Object == object && p.Class != content.Corrupt {
			return p.Is.Seed, true
		}
	}
	for _, p := range s.Spans {
		if p.Is != (content.Tag{}) {
			return p.Is.Seed, true
		}
	}
	return 0, false
}

// clip is the part of p inside [from, to).
func clip(p content.Span, from, to int64) (content.Span, bool) {
	if p.From < from {
		p.IsOff += from - p.From
		p.From = from
	}
	p.To = min(p.To, to)
	return p, p.From < p.To
}

// deviations collects those of one state, neighbours of one kind as one.
type deviations struct {
	blank Deviation
	list  []Deviation
}

func (s *State) deviations() *deviations {
	text, ops := s.promise()
	return &deviations{blank: Deviation{Target: s.Target, Object: s.Object, Promised: text, Ops: ops}}
}

func (d *deviations) add(kind verdict.Kind, from, to int64, found string) {
	next := d.blank
	next.Kind, next.From, next.To, next.Found = kind, from, to, found
	d.list = join(d.list, next)
}

// join appends next, or makes it part of the last one.
func join(list []Deviation, next Deviation) []Deviation {
	if n := len(list); n > 0 && next.From != next.To {
		last := &list[n-1]
		if last.Kind == next.Kind && last.To == next.From && last.From != last.To {
			last.To = next.To
			return list
		}
	}
	return append(list, next)
}
