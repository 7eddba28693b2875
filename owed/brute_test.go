package owed

import (
	"math"
	"os"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed-1b600011/assay/content"
	"github.com/seed-1b600011/assay/history"
)

// The interpreter of histories in this file is naive on purpose: it keeps
// every event, tries every order of the operations that real time allows, and
// with each every way of leaving out those that need not have taken effect.

// event is an operation, or a look at the register, in a naive history.
type event struct {
	issued, ended int // math.MaxInt: may still take effect
	must          bool
	value         int // what the register holds after it; of a look: what was seen
	look          bool
}

// reach is every value that the register may hold in the end, from 0 on.
func reach(events []event) map[int]bool {
	type node struct{ used, value int }
	out, been := map[int]bool{}, map[node]bool{}
	var walk func(node)
	walk = func(n node) {
		if been[n] {
			return
		}
		been[n] = true
		if n.used == 1<<len(events)-1 {
			out[n.value] = true
			return
		}
		for i, e := range events {
			if n.used&(1<<i) != 0 || !ready(events, n.used, i) {
				continue
			}
			next := node{n.used | 1<<i, n.value}
			if e.look {
				if e.value == n.value {
					walk(next)
				}
				continue
			}
			if !e.must {
				walk(next)
			}
			next.value = e.value
			walk(next)
		}
	}
	walk(node{})
	return out
}

// ready tells whether all that ended before event i began is behind.
func ready(events []event, used, i int) bool {
	for j, e := range events {
		if used&(1<<j) == 0 && e.ended < events[i].issued {
			return false
		}
	}
	return true
}

// runs is how many histories a property is tried on.
func checkMany(t *testing.T, property func(*rapid.T)) {
	t.Helper()
	rounds := 3
	if os.Getenv("ASSAY_FULL") == "1" {
		rounds = 300
	}
	for range rounds {
		rapid.Check(t, property)
	}
}

func genSeen(id uint64, generation int, size int) Seen {
	if generation == 0 {
		return Seen{}
	}
	tag := content.Tag{Seed: testSeed, Object: id, Generation: uint32(generation)}
	return Seen{Present: true, Size: int64(size), Spans: []content.Span{{To: int64(size), Is: tag}}}
}

// bucketStory draws a history of one key, as records and as events.
type bucketStory struct {
	h      *tape
	events []event
	open   map[uint64]int // operation to event
	order  []uint64
	gen    int
}

func (s *bucketStory) now() int { return len(s.h.records) }

func (s *bucketStory) begin(t *rapid.T) {
	verb, value := "delete", 0
	if rapid.IntRange(0, 3).Draw(t, "verb") > 0 {
		s.gen++
		verb, value = "put", s.gen
	}
	op := s.h.begin(verb, "k", 0, 600, uint32(value))
	s.open[op] = len(s.events)
	s.order = append(s.order, op)
	s.events = append(s.events, event{issued: s.now(), ended: math.MaxInt, value: value})
}

func (s *bucketStory) end(t *rapid.T) {
	i := rapid.IntRange(0, len(s.order)-1).Draw(t, "which")
	op := s.order[i]
	s.order = append(s.order[:i:i], s.order[i+1:]...)
	e := &s.events[s.open[op]]
	p := rapid.SampledFrom([]history.Phase{history.Acknowledged, history.Acknowledged, history.Refused, history.Unknown}).Draw(t, "outcome")
	s.h.end(op, p)
	if p != history.Unknown {
		e.ended = s.now()
	}
	e.must = p == history.Acknowledged
}

// TestBucketAgainstBruteForce: what the book allows of a key is exactly what
// some order of the requests leaves there, checks in between included.
func TestBucketAgainstBruteForce(t *testing.T) {
	checkMany(t, func(t *rapid.T) {
		s := &bucketStory{h: bucketTape(), open: map[uint64]int{}}
		exact := true
		id := content.ObjectID("b/k")
		for range rapid.IntRange(1, 11).Draw(t, "steps") {
			switch k := rapid.IntRange(0, 9).Draw(t, "step"); {
			case k < 5 && len(s.events) < 6:
				s.begin(t)
			case k < 8 && len(s.order) > 0:
				s.end(t)
			case k == 8 && len(s.order) == 0 && len(s.events) < 8:
				v := rapid.SampledFrom(keys(reach(s.events))).Draw(t, "seen")
				s.h.check("k", id, genSeen(id, v, 600))
				s.events = append(s.events, event{issued: s.now(), ended: s.now(), must: true, value: v, look: true})
				exact = exact && v != 0 // whose absence it is cannot be seen
			case k == 9:
				s.h.round("kill")
			}
		}
		compare(t, s, exact)
	})
}

// compare holds the book, and the one of its checkpoint, against brute force.
func compare(t *rapid.T, s *bucketStory, exact bool) {
	book := mustFold(t, s.h.records)
	again := mustFold(t, collect(book))
	reachable := reach(s.events)
	for v := 0; v <= s.gen; v++ {
		for _, b := range []*Book{book, again} {
			st := b.Object("b", "k")
			d := st.Judge(genSeen(st.ID(), v, 600))
			if reachable[v] && len(d) > 0 {
				t.Fatalf("false alarm: generation %d is possible, but %+v\n%v", v, d, s.events)
			}
			if exact && !reachable[v] && len(d) == 0 {
				t.Fatalf("missed: generation %d is impossible\n%v\n%v", v, s.events, st.Allowed)
			}
		}
	}
}

func mustFold(t *rapid.T, records []history.Record) *Book {
	rule := bucketRule
	for _, r := range records {
		if r.Target == "v" {
			rule = volumeRule
		}
	}
	b, err := Fold(stream(records), rule)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func collect(b *Book) (out []history.Record) {
	for r := range b.Checkpoint() {
		out = append(out, r)
	}
	return out
}

func keys(m map[int]bool) (out []int) {
	for k := range 64 {
		if m[k] {
			out = append(out, k)
		}
	}
	return out
}

// TestReadsAgainstBruteForce: a get that some order explains is never blamed,
// nor is what that order leaves; and what a single get proves is used.
func TestReadsAgainstBruteForce(t *testing.T) {
	checkMany(t, func(t *rapid.T) {
		s := &bucketStory{h: bucketTape(), open: map[uint64]int{}}
		id := content.ObjectID("b/k")
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			switch k := rapid.IntRange(0, 9).Draw(t, "step"); {
			case k < 4 && len(s.events) < 7:
				s.begin(t)
			case k < 7 && len(s.order) > 0:
				s.end(t)
			case k >= 7 && len(s.events) < 8:
				s.get(t, id)
			}
		}
		book := mustFold(t, s.h.records)
		if d := book.Observations(); len(d) > 0 {
			t.Fatalf("a get is blamed that an order explains: %+v\n%v", d, s.events)
		}
		compare(t, s, false)
	})
}

// get reads, while something else may begin or end, a value that it can have seen.
func (s *bucketStory) get(t *rapid.T, id uint64) {
	op := s.h.begin("get", "k", 0, 0, 0)
	i := len(s.events)
	s.events = append(s.events, event{issued: s.now(), ended: math.MaxInt, must: true, look: true})
	if rapid.Bool().Draw(t, "begin inside") {
		s.begin(t)
	}
	if len(s.order) > 0 && rapid.Bool().Draw(t, "end inside") {
		s.end(t)
	}
	s.events[i].ended = s.now() + 1
	var can []int
	for v := 0; v <= s.gen; v++ {
		s.events[i].value = v
		if len(reach(s.events)) > 0 {
			can = append(can, v)
		}
	}
	v := rapid.SampledFrom(can).Draw(t, "seen")
	s.events[i].value = v
	r := genSeen(id, v, 600).Record(id)
	r.Op, r.Verb, r.Object = op, "get", "k"
	s.h.add(r)
	s.h.end(op, history.Acknowledged)
}
