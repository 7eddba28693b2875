package owed

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed-1b600011/assay/content"
	"github.com/seed-1b600011/assay/history"
)

// naiveOp is an operation on the two blocks of a file, and its size.
type naiveOp struct {
	issued, ended int
	back          bool // it returned
	durable, void bool
	from, to      int // blocks; of a truncation: from is the new size
	value         int // generation; 0: zeros
	sets          bool
	grows         bool // extends the size as a write does, and leaves the bytes alone
	sync          bool
	itself        bool  // a write that syncs itself
	word          int   // where it ended Synced; 0: it did not
	failed        int   // of what syncs: where it ended without; 0: it did not
	look          []int // values of the blocks and the size that a check saw
}

const block = 512

// volumeStory draws a history of one file of up to four blocks.
type volumeStory struct {
	h     *tape
	ops   []*naiveOp
	open  map[uint64]*naiveOp
	order []uint64
	gen   int
	looks bool // a check read a cache: no cut and no failed sync may follow, which would drop what it saw
	cut   bool
	cuts  []int
}

func newVolumeStory() *volumeStory {
	s := &volumeStory{h: volumeTape(), open: map[uint64]*naiveOp{}}
	s.h.do("create", "f", 0, 0, 0)
	s.h.sync("syncfs", "")
	return s
}

func (s *volumeStory) now() int { return len(s.h.records) }

func (s *volumeStory) begin(t *rapid.T, sizes bool) {
	n := &naiveOp{ended: math.MaxInt}
	var op uint64
	switch k := rapid.IntRange(0, 10).Draw(t, "verb"); {
	case k < 4:
		n.sync = true
		op = s.h.begin(rapid.SampledFrom([]string{"fsync", "fdatasync", "syncfs"}).Draw(t, "sync"), "f", 0, 0, 0)
	case k < 8:
		s.gen++
		n.value = s.gen
		n.from = rapid.IntRange(0, 2).Draw(t, "from")
		n.to = rapid.IntRange(n.from+1, 4).Draw(t, "to")
		n.itself = rapid.IntRange(0, 2).Draw(t, "itself") == 0
		op = s.h.begin("write", "f", int64(n.from*block), int64(n.to*block), uint32(n.value))
		if n.itself {
			s.h.records[len(s.h.records)-1].Detail = []byte("O_DSYNC")
		}
	case k == 8 && !sizes:
		n.from, n.to = rapid.IntRange(0, 2).Draw(t, "from"), 4
		op = s.h.begin("punch", "f", int64(n.from*block), 4*block, 0)
	case k == 9:
		n.grows, n.from = true, rapid.IntRange(0, 3).Draw(t, "from")
		n.to = rapid.IntRange(n.from+1, 4).Draw(t, "to")
		op = s.h.begin("allocate", "f", int64(n.from*block), int64(n.to*block), 0)
	default:
		n.sets, n.from, n.to = true, rapid.IntRange(0, 4).Draw(t, "size"), 4
		op = s.h.begin("truncate", "f", 0, int64(n.from*block), 0)
	}
	n.issued = s.now()
	s.ops = append(s.ops, n)
	s.open[op] = n
	s.order = append(s.order, op)
}

func (s *volumeStory) end(t *rapid.T) {
	i := rapid.IntRange(0, len(s.order)-1).Draw(t, "which")
	op := s.order[i]
	s.order = append(s.order[:i:i], s.order[i+1:]...)
	n := s.open[op]
	good := []history.Phase{history.Acknowledged, history.Acknowledged, history.Acknowledged, history.Refused, history.Unknown, history.Synced}
	if n.sync {
		good = []history.Phase{history.Synced, history.Synced, history.Synced, history.Refused, history.Unknown}
	}
	p := rapid.SampledFrom(good).Draw(t, "outcome")
	if s.looks && (n.sync || n.itself) {
		p = history.Synced
	}
	s.h.end(op, p)
	if p != history.Unknown {
		n.ended = s.now()
	}
	n.back = p == history.Acknowledged || p == history.Synced
	switch {
	case p == history.Synced:
		n.word = s.now()
	case (n.sync || n.itself) && !n.back:
		n.failed = s.now()
	}
}

// settle finds, by all that has happened, what is durable and what is void.
func (s *volumeStory) settle() {
	for _, w := range s.ops {
		if w.sync || w.look != nil {
			continue
		}
		w.durable, w.void = false, false
		for _, by := range s.ops {
			covers := by == w && !w.sync || by.sync && w.back && w.ended < by.issued
			w.durable = w.durable || covers && by.word != 0 && s.stands(w, by)
		}
		for _, x := range s.ops {
			w.void = w.void || !w.durable && x.failed > w.issued
		}
		for _, at := range s.cuts {
			w.void = w.void || !w.durable && at > w.issued
		}
	}
}

// stands reports whether the word of a sync on w counts: no cut came before it,
// and no sync that failed while w was there was called before it.
func (s *volumeStory) stands(w, by *naiveOp) bool {
	for _, x := range s.ops {
		if x.failed > w.issued && x.issued < by.word {
			return false
		}
	}
	for _, at := range s.cuts {
		if at > w.issued && at < by.word {
			return false
		}
	}
	return true
}

func (s *volumeStory) round(verb string) {
	s.h.round(verb)
	for _, w := range s.ops {
		w.ended = min(w.ended, s.now())
	}
	s.order, s.open = nil, map[uint64]*naiveOp{}
	s.cut = verb == "power-cut"
	if s.cut {
		s.cuts = append(s.cuts, s.now())
	}
}

// block gives the events on one block.
func (s *volumeStory) block(i int) (out []event) {
	s.settle()
	for _, w := range s.ops {
		e := event{issued: w.issued, ended: w.ended, must: w.back && !w.void, value: w.value}
		switch {
		case w.look != nil:
			e.look, e.must, e.value = true, true, w.look[i]
		case w.sync || w.grows || i < w.from || i >= w.to:
			continue
		}
		out = append(out, e)
	}
	return out
}

// TestRangesAgainstBruteForce: what the book allows of each block of a file is
// exactly what some order of the operations, without those that need not have
// survived, leaves there: with syncs, failed syncs, kills, cuts and checks.
func TestRangesAgainstBruteForce(t *testing.T) {
	checkMany(t, func(t *rapid.T) {
		s := newVolumeStory()
		s.h.do("truncate", "f", 0, 4*block, 0)
		s.h.sync("fsync", "f")
		s.draw(t, false, func() { s.lookAtBlocks(t) })
		id := FileID(0, 1)
		book := mustFold(t, s.h.records)
		for _, b := range []*Book{book, mustFold(t, collect(book))} {
			f, _ := b.File("v", id)
			for i := range 4 {
				s.compareBlock(t, f, i)
			}
		}
	})
}

// draw draws the steps of a story; look is done after some rounds.
func (s *volumeStory) draw(t *rapid.T, sizes bool, look func()) {
	for range rapid.IntRange(1, 14).Draw(t, "steps") {
		switch k := rapid.IntRange(0, 19).Draw(t, "step"); {
		case k < 9 && len(s.ops) < 7:
			s.begin(t, sizes)
		case k < 17 && len(s.order) > 0:
			s.end(t)
		case k == 17 && !s.looks:
			s.round("kill")
			if rapid.Bool().Draw(t, "look") && look != nil {
				look()
				s.looks = true
			}
		case k >= 18 && !s.looks:
			s.round("power-cut")
			if rapid.Bool().Draw(t, "look") && look != nil {
				look()
			}
		}
	}
}

func (s *volumeStory) compareBlock(t *rapid.T, f File, i int) {
	reachable := reach(s.block(i))
	for v := 0; v <= s.gen; v++ {
		p := content.Span{From: int64(i * block), To: int64(i+1) * block, Class: content.Zero}
		if v > 0 {
			p.Class, p.Is = content.Exact, content.Tag{Seed: testSeed, Object: f.ID(), Generation: uint32(v)}
			p.IsOff = p.From
		}
		var d []Deviation
		for x := range f.runs(p.From, p.To) {
			st := f.state(x)
			d = joinAll(d, st.Judge(Seen{Present: true, Size: p.To, Spans: []content.Span{p}}))
		}
		if reachable[v] && len(d) > 0 {
			t.Fatalf("false alarm: block %d may be %d, but %+v\n%v", i, v, d, s.block(i))
		}
		if !reachable[v] && len(d) == 0 {
			t.Fatalf("missed: block %d cannot be %d\n%v", i, v, s.block(i))
		}
	}
}

// lookAtBlocks is a check that sees, of each block, something that may be there.
func (s *volumeStory) lookAtBlocks(t *rapid.T) {
	s.settle()
	id := FileID(0, 1)
	n := &naiveOp{look: make([]int, 4), back: true, durable: true}
	seen := Seen{Present: true, Size: 4 * block}
	for i := range 4 {
		v := rapid.SampledFrom(keys(reach(s.block(i)))).Draw(t, "seen")
		n.look[i] = v
		p := content.Span{From: int64(i * block), To: int64(i+1) * block, Class: content.Zero}
		if v > 0 {
			p.Class, p.Is, p.IsOff = content.Exact, content.Tag{Seed: testSeed, Object: id, Generation: uint32(v)}, p.From
		}
		if !s.cut { // what a cache shows of a voided write proves nothing
			for _, w := range s.ops {
				if w.void && w.value == v && !w.sync {
					n.look = nil
				}
			}
			if n.look == nil {
				return
			}
		}
		seen.Spans = append(seen.Spans, p)
	}
	s.h.check("f", id, seen)
	n.issued, n.ended = s.now(), s.now()
	s.ops = append(s.ops, n)
}

// TestSizesAgainstBruteForce: no size that some order leaves is ever blamed,
// also where a write or a truncation got part of the way; and where every
// operation is certain and one followed the other, only one size is let pass.
func TestSizesAgainstBruteForce(t *testing.T) {
	checkMany(t, func(t *rapid.T) {
		s := newVolumeStory()
		s.draw(t, true, nil)
		book := mustFold(t, s.h.records)
		for _, b := range []*Book{book, mustFold(t, collect(book))} {
			f, _ := b.File("v", FileID(0, 1))
			reachable := s.sizes()
			for size := 0; size <= 4*block; size += block / 2 {
				legal := false
				for _, r := range f.Sizes() {
					legal = legal || r.Lo <= int64(size) && int64(size) <= r.Hi
				}
				if reachable[size*2/block] && !legal {
					t.Fatalf("false alarm: size %d is possible, allowed are %v\n%v", size, f.Sizes(), s.ops)
				}
				if legal && !reachable[size*2/block] && s.certain() {
					t.Fatalf("missed: size %d is impossible, allowed are %v", size, f.Sizes())
				}
			}
		}
	})
}

// certain tells that every operation returned, none is void, and each ended
// before the next began.
func (s *volumeStory) certain() bool {
	last := 0
	for _, w := range s.ops {
		if w.sync {
			continue
		}
		if !w.back || w.void || w.issued < last {
			return false
		}
		last = w.ended
	}
	return true
}

// sizes is every size, in half blocks, that may be there.
func (s *volumeStory) sizes() map[int]bool {
	s.settle()
	var ops []*naiveOp
	var events []event
	for _, w := range s.ops {
		if !w.sync && (w.sets || w.grows || w.value > 0) {
			ops = append(ops, w)
			events = append(events, event{issued: w.issued, ended: w.ended})
		}
	}
	type node struct{ used, size int }
	out, been := map[int]bool{}, map[node]bool{}
	var walk func(node)
	walk = func(n node) {
		if been[n] {
			return
		}
		been[n] = true
		if n.used == 1<<len(ops)-1 {
			out[n.size] = true
		}
		for i, w := range ops {
			if n.used&(1<<i) != 0 || !ready(events, n.used, i) {
				continue
			}
			for size := range 9 {
				from, to := 2*w.from, 2*w.to
				whole := w.sets && size == from || !w.sets && size == max(n.size, to)
				none := size == n.size
				part := w.sets && size > from && size < n.size || !w.sets && size > from && size < to && size > n.size
				if whole || !(w.back && !w.void) && (none || part) {
					walk(node{n.used | 1<<i, size})
				}
			}
		}
	}
	walk(node{})
	return out
}
