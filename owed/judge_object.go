package owed

import (
	"fmt"

	"github.com/seed-1b600011/assay/content"
	"github.com/seed-1b600011/assay/verdict"
)

// judgeObject judges an object as a whole: it must be one of the allowed
// versions from its first byte to its last.
func (s *State) judgeObject(seen Seen) []Deviation {
	d := s.deviations()
	if seen.Err != "" {
		if !s.MayBeAbsent() {
			d.add(verdict.Unreadable, 0, 0, seen.Err)
		}
		return d.list
	}
	for _, v := range s.Allowed {
		if s.fits(v, seen) {
			return nil
		}
	}
	switch {
	case !seen.Present:
		d.add(verdict.Lost, 0, 0, "no such object")
	case len(s.Generations()) == 0:
		s.judgeUnowed(seen, d)
	default:
		s.judgeParts(seen, d)
	}
	return d.list
}

// fits tells whether v explains all that was seen.
func (s *State) fits(v Version, seen Seen) bool {
	if v.Damaged {
		return true
	}
	if v.Absent || !seen.Present {
		return v.Absent == !seen.Present
	}
	if seen.Dir || seen.Size != v.Size {
		return false
	}
	seed, _ := seen.seed(s.id)
	for _, p := range seen.Spans {
		if !s.explains(v, p, seed) {
			return false
		}
	}
	return true
}

// judgeUnowed judges an object that must not be there.
func (s *State) judgeUnowed(seen Seen, d *deviations) {
	all := len(seen.Spans) > 0
	for _, p := range seen.Spans {
		if _, ours := inPlace(p, s.id); p.Class == content.Misdirected && !ours {
			d.add(verdict.Misdirected, p.From, p.To, s.misdirected(p))
		} else {
			all = false
		}
	}
	switch found := fmt.Sprintf("an object of %d bytes", seen.Size); {
	case all: // nothing of this object came back
	case s.top > 0:
		d.add(verdict.Resurrected, 0, 0, found)
	default:
		d.add(verdict.Corrupt, 0, 0, found+" that nobody wrote")
	}
}

// judgeParts judges an object that is none of the versions allowed, against
// the one that it is most of.
func (s *State) judgeParts(seen Seen, d *deviations) {
	if p, all := s.another(seen); all {
		d.add(verdict.Misdirected, 0, seen.Size, s.misdirected(p))
		return
	}
	seed, _ := seen.seed(s.id)
	v, promised := s.mostly(seen)
	reached := int64(-1)
	for _, p := range seen.Spans {
		reached = max(reached, p.To)
		inside, surplus := p, p
		inside, fits := clip(inside, 0, v.Size)
		if !promised || fits {
			if !promised {
				inside = p
			}
			if kind, found := s.part(inside, v, promised, seed); kind != "" {
				d.add(kind, inside.From, inside.To, found)
			}
		}
		if surplus, more := clip(surplus, v.Size, p.To); promised && more {
			d.add(s.surplus(surplus, v), surplus.From, surplus.To, surplus.String())
		}
	}
	switch {
	case promised && seen.Size < v.Size:
		d.add(verdict.Lost, seen.Size, v.Size, fmt.Sprintf("an end after %d bytes", seen.Size))
	case promised && seen.Size > v.Size && reached <= v.Size:
		d.add(verdict.Corrupt, v.Size, seen.Size, fmt.Sprintf("%d bytes", seen.Size))
	case len(d.list) == 0: // a part was looked at, and looks right; the whole is of no allowed size
		d.add(verdict.Corrupt, 0, 0, fmt.Sprintf("%d bytes", seen.Size))
	}
}

// another tells whether all that was seen is one other object, from its first
// byte on: then its size is that object's too, and nothing more is said of it.
func (s *State) another(seen Seen) (p content.Span, all bool) {
	if len(seen.Spans) == 0 {
		return p, false
	}
	p = seen.Spans[0]
	all = p.Class == content.Misdirected && p.Is.Object != s.id && p.From == 0 && p.IsOff == 0
	at := p.From
	for _, q := range seen.Spans {
		all = all && q.From == at && q.Class == content.Misdirected && q.Is == p.Is && q.IsOff == q.From
		at = q.To
	}
	return p, all && at == seen.Size
}

// mostly is the version that most bytes are of: an allowed one if any byte is
// of one, else the newest generation that was found (promised is false then),
// else the newest allowed.
func (s *State) mostly(seen Seen) (v Version, promised bool) {
	count := map[uint32]int64{}
	var newest uint32
	for _, p := range seen.Spans {
		if g, ok := inPlace(p, s.id); ok {
			count[g] += p.To - p.From
			newest = max(newest, g)
		}
	}
	var most int64
	for _, a := range s.Allowed { // the newest of equals
		if !a.Absent && count[a.Generation] >= most && (count[a.Generation] > 0 || most == 0) {
			v, most = a, count[a.Generation]
		}
	}
	if most == 0 && newest > 0 {
		return Version{Generation: newest, Size: seen.Size}, false
	}
	return v, true
}

// part judges a span where v, promised or not, is most of the object.
func (s *State) part(p content.Span, v Version, promised bool, seed uint64) (kind verdict.Kind, found string) {
	g, ours := inPlace(p, s.id)
	switch {
	case s.explains(v, p, seed):
		if promised {
			return "", ""
		}
		if v.Generation > s.top {
			return verdict.Corrupt, fmt.Sprintf("generation %d, which was never written", v.Generation)
		}
		return verdict.Stale, fmt.Sprintf("generation %d", v.Generation)
	case ours && g > s.top:
		return verdict.Corrupt, fmt.Sprintf("generation %d, which was never written", g)
	case ours:
		return verdict.Torn, fmt.Sprintf("generation %d beside generation %d", g, v.Generation)
	case p.Class == content.Misdirected:
		return verdict.Misdirected, s.misdirected(p)
	case p.Class == content.Zero:
		return verdict.Lost, "zeros"
	}
	return verdict.Corrupt, p.String()
}

// surplus is the kind of bytes behind the end of v.
func (s *State) surplus(p content.Span, v Version) verdict.Kind {
	g, ours := inPlace(p, s.id)
	switch {
	case ours && g != v.Generation && g <= s.top:
		return verdict.Torn
	case !ours && p.Class == content.Misdirected:
		return verdict.Misdirected
	}
	return verdict.Corrupt
}
