package owed

import (
	"cmp"
	"slices"

	"github.com/seed-1b600011/assay/history"
)

// SizeRange is a run of sizes that a file may have, both ends included.
type SizeRange struct{ Lo, Hi int64 }

// sizes are the operations on the size of a file. Truncations set it, writes
// and allocations only ever extend it; the first operation sets it to 0.
type sizes struct{ ops []*op }

func newSizes() sizes { return sizes{ops: []*op{original()}} }

// sets reports whether w sets the size; otherwise it extends it to w.to.
func sets(w *op) bool { return !extends(w) }

// extends reports whether w only ever makes the file longer, in steps: until it
// is firm, any size on the way may be what it got to.
func extends(w *op) bool { return w.verb == verbWrite || w.verb == verbAllocate }

// setTo is the size that w sets: a truncation to n concerns the bytes from n on.
func setTo(w *op) int64 { return w.from }

// add makes w one of the operations, and drops what no outcome of the others
// can bring back.
func (s *sizes) add(w *op) { s.ops = append(s.ops, w) }

func (s *sizes) prune() {
	var cut int64 // the youngest durable setting
	for _, w := range s.ops {
		if sets(w) && w.stands() {
			cut = max(cut, w.issued)
		}
	}
	s.ops = slices.DeleteFunc(s.ops, func(w *op) bool { return w.ended < cut })
	// A durable write that comes after every setting hides the shorter ones.
	var lastSet int64
	for _, w := range s.ops {
		if sets(w) {
			lastSet = max(lastSet, w.ended)
		}
	}
	var reach int64 = -1
	var top *op
	for _, w := range s.ops {
		if !sets(w) && w.stands() && w.issued > lastSet && w.to > reach {
			reach, top = w.to, w
		}
	}
	s.ops = slices.DeleteFunc(s.ops, func(w *op) bool {
		return !sets(w) && w != top && w.to <= reach && w.ended != forever
	})
}

// ranges are the sizes that the file may have, in order, without overlap.
func (s *sizes) ranges() []SizeRange {
	var cut int64 // what ended before the youngest firm setting is over
	for _, w := range s.ops {
		if sets(w) && w.firm() {
			cut = max(cut, w.issued)
		}
	}
	var out []SizeRange
	var top int64
	for _, t := range s.ops {
		if sets(t) && t.ended >= cut {
			if t.value == anything {
				return []SizeRange{{0, forever}}
			}
			out, top = s.after(t, out, top)
		}
	}
	for _, t := range s.ops {
		// A truncation that is not owed may have got part of the way.
		if sets(t) && t.ended >= cut && !t.firm() && setTo(t) < top {
			out = append(out, SizeRange{setTo(t), top})
		}
	}
	return merged(out)
}

// after appends the sizes that follow if t was the last to set it; top is the
// greatest so far.
func (s *sizes) after(t *op, out []SizeRange, top int64) ([]SizeRange, int64) {
	low := setTo(t)
	for _, w := range s.ops {
		if !sets(w) && w.firm() && w.issued > t.ended {
			low = max(low, w.to)
		}
	}
	out = append(out, SizeRange{low, low})
	top = max(top, low)
	for _, w := range s.ops {
		if sets(w) || w.ended < t.issued || w.to <= low {
			continue
		}
		top = max(top, w.to)
		if w.firm() {
			out = append(out, SizeRange{w.to, w.to})
			continue
		}
		out = append(out, SizeRange{max(low, min(w.from+1, w.to)), w.to})
	}
	return out, top
}

func merged(in []SizeRange) []SizeRange {
	slices.SortFunc(in, func(a, b SizeRange) int { return cmp.Compare(a.Lo, b.Lo) })
	out := in[:0]
	for _, r := range in {
		if n := len(out); n > 0 && r.Lo <= out[n-1].Hi+1 {
			out[n-1].Hi = max(out[n-1].Hi, r.Hi)
			continue
		}
		out = append(out, r)
	}
	return out
}

// promise is the operation that owes the file its least size, for a finding.
func (s *sizes) promise() *op {
	var best *op
	for _, w := range s.ops {
		if w.firm() && (best == nil || w.issued > best.issued) {
			best = w
		}
	}
	if best == nil {
		return &op{value: nothing, outcome: history.Synced}
	}
	return best
}
