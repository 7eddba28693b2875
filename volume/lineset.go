package volume

import (
	"cmp"
	"slices"
)

// span is the lines [from, to).
type span struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// lineSet is a set of lines, as spans of their numbers in order; no two meet.
type lineSet []span

// has reports whether the number is in one of them.
func (s lineSet) has(i int64) bool {
	n, _ := slices.BinarySearchFunc(s, i, func(x span, i int64) int {
		if x.To <= i {
			return -1
		}
		return 1
	})
	return n < len(s) && s[n].From <= i
}

// with are these and more.
func (s lineSet) with(more ...span) lineSet {
	all := slices.Concat(s, more)
	slices.SortFunc(all, func(a, b span) int { return cmp.Compare(a.From, b.From) })
	var out lineSet
	for _, x := range all {
		if n := len(out); n > 0 && x.From <= out[n-1].To {
			out[n-1].To = max(out[n-1].To, x.To)
		} else if x.From < x.To {
			out = append(out, x)
		}
	}
	return out
}
