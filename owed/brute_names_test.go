package owed

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed-1b600011/assay/history"
)

// change is what an operation does to names; a rename does both at once.
type change struct {
	sets                map[string]uint64 // name to file, 0: no such name
	back, durable, void bool
}

// namesStory draws a history of the names a, b, c in the root and of d/a, d/b
// in a directory that is made on the way, each operation after the last.
type namesStory struct {
	h       *tape
	changes []*change
	live    map[string]uint64
	kinds   map[uint64]bool // directories
}

var storyNames = []string{"a", "b", "c", "d", "d/a", "d/b"}

func (s *namesStory) free() (out []string) {
	for _, n := range storyNames {
		if s.live[n] == 0 && n != "d" && (len(n) == 1 || s.live["d"] != 0) {
			out = append(out, n)
		}
	}
	return out
}

func (s *namesStory) files() (out []string) {
	for _, n := range storyNames {
		if s.live[n] != 0 && n != "d" {
			out = append(out, n)
		}
	}
	return out
}

func dirOf(name string) string {
	if len(name) > 1 {
		return "d"
	}
	return ""
}

// step draws an operation; plain ones keep the story simple.
func (s *namesStory) step(t *rapid.T, plain bool) {
	free, files := s.free(), s.files()
	c := &change{sets: map[string]uint64{}}
	var op uint64
	k := rapid.IntRange(0, 9).Draw(t, "verb")
	switch {
	case k < 3 && len(free) > 0:
		name := rapid.SampledFrom(free).Draw(t, "name")
		op = s.h.begin("create", name, 0, 0, 0)
		c.sets[name] = FileID(0, op)
	case k == 3 && s.live["d"] == 0:
		op = s.h.begin("mkdir", "d", 0, 0, 0)
		c.sets["d"] = FileID(0, op)
		s.kinds[c.sets["d"]] = true
	case k < 7 && len(files) > 0:
		from := rapid.SampledFrom(files).Draw(t, "from")
		to := storyNames
		if plain {
			to = free
		}
		to = slices.DeleteFunc(slices.Clone(to), func(n string) bool { return n == "d" || len(n) > 1 && s.live["d"] == 0 })
		if len(to) == 0 {
			return
		}
		name := rapid.SampledFrom(to).Draw(t, "to")
		if s.live[name] == s.live[from] {
			return
		}
		op = s.h.beginTo("rename", from, name)
		c.sets[from], c.sets[name] = 0, s.live[from]
	case k == 7 && len(files) > 0 && !plain:
		name := rapid.SampledFrom(files).Draw(t, "name")
		op = s.h.begin("unlink", name, 0, 0, 0)
		c.sets[name] = 0
	case k == 8 && len(files) > 0 && len(free) > 0 && !plain:
		from, name := rapid.SampledFrom(files).Draw(t, "from"), rapid.SampledFrom(free).Draw(t, "to")
		op = s.h.beginTo("link", from, name)
		c.sets[name] = s.live[from]
	default:
		s.sync(t)
		return
	}
	s.changes = append(s.changes, c)
	p := rapid.SampledFrom([]history.Phase{history.Acknowledged, history.Acknowledged, history.Acknowledged, history.Synced}).Draw(t, "outcome")
	s.h.end(op, p)
	c.back, c.durable = true, p == history.Synced
	maps.Copy(s.live, c.sets)
}

func (s *namesStory) sync(t *rapid.T) {
	dir := ""
	verb := rapid.SampledFrom([]string{"syncdir", "syncfs"}).Draw(t, "sync")
	if s.live["d"] != 0 && verb == "syncdir" && rapid.Bool().Draw(t, "of d") {
		dir = "d"
	}
	failed := rapid.IntRange(0, 4).Draw(t, "failed") == 0
	op := s.h.begin(verb, dir, 0, 0, 0)
	if failed {
		s.h.end(op, history.Refused)
	} else {
		s.h.end(op, history.Synced)
	}
	for _, c := range s.changes {
		for name := range c.sets {
			if verb == "syncfs" || dirOf(name) == dir {
				c.durable = c.durable || !failed && !c.void
				c.void = c.void || failed && !c.durable
			}
		}
	}
}

// outcomes is every set of names that may be there: the durable changes, with
// any of the others, in order.
func (s *namesStory) outcomes(cut bool) (out []map[string]uint64) {
	var free []int
	for i, c := range s.changes {
		if !c.durable && (cut || c.void) {
			free = append(free, i)
		}
	}
	for some := range 1 << len(free) {
		state := map[string]uint64{}
		for i, c := range s.changes {
			if j := slices.Index(free, i); j < 0 || some&(1<<j) != 0 {
				maps.Copy(state, c.sets)
			}
		}
		maps.DeleteFunc(state, func(_ string, f uint64) bool { return f == 0 })
		if state["d"] == 0 { // a name in a directory that is not there is not there
			delete(state, "d/a")
			delete(state, "d/b")
		}
		out = append(out, state)
	}
	return out
}

func (s *namesStory) entries(state map[string]uint64, hide bool) map[string]Entry {
	out := map[string]Entry{}
	for name, f := range state {
		e := Entry{Dir: s.kinds[f], File: f}
		if hide || e.Dir {
			e.File = 0
		}
		out[name] = e
	}
	return out
}

// TestNamesAgainstBruteForce: no set of names that a cut may leave is blamed.
// A name that has, alone, what no cut leaves there is always blamed. And where
// files were only made and renamed, so is a file that is nowhere.
func TestNamesAgainstBruteForce(t *testing.T) {
	checkMany(t, func(t *rapid.T) {
		s := &namesStory{h: volumeTape(), live: map[string]uint64{}, kinds: map[uint64]bool{}}
		s.h.sync("syncfs", "")
		plain := rapid.Bool().Draw(t, "plain")
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			s.step(t, plain)
		}
		cut := rapid.IntRange(0, 3).Draw(t, "round") > 0
		s.h.round(map[bool]string{true: "power-cut", false: "kill"}[cut])
		outcomes := s.outcomes(cut)
		book := mustFold(t, s.h.records)
		for _, b := range []*Book{book, mustFold(t, collect(book))} {
			for _, state := range outcomes {
				for _, hide := range []bool{false, true} {
					if d := b.JudgeNames("v", s.entries(state, hide)); len(d) > 0 {
						t.Fatalf("false alarm: %v may be there, but %+v\n%s", state, d, s)
					}
				}
			}
			s.wrongAlone(t, b, outcomes)
			if plain {
				s.nowhere(t, b, outcomes)
			}
		}
	})
}

// wrongAlone changes one name at a time to what no outcome has there. Only
// names in the root: one in a directory that may be absent may be absent.
func (s *namesStory) wrongAlone(t *rapid.T, b *Book, outcomes []map[string]uint64) {
	files := []uint64{0}
	for _, c := range s.changes {
		for _, f := range c.sets {
			if f != 0 && !s.kinds[f] && !slices.Contains(files, f) {
				files = append(files, f)
			}
		}
	}
	for _, name := range []string{"a", "b", "c"} {
		for _, f := range files {
			if slices.ContainsFunc(outcomes, func(o map[string]uint64) bool { return o[name] == f }) {
				continue
			}
			state := maps.Clone(outcomes[0])
			if state[name] = f; f == 0 {
				delete(state, name)
			}
			if d := b.JudgeNames("v", s.entries(state, false)); len(d) == 0 {
				t.Fatalf("missed: %s cannot be %x\n%s", name, f, s)
			}
		}
	}
}

// nowhere takes away, wherever a single name may lack it, a file that every
// outcome has somewhere.
func (s *namesStory) nowhere(t *rapid.T, b *Book, outcomes []map[string]uint64) {
	for _, c := range s.changes {
		for _, f := range c.sets {
			if f == 0 || slices.ContainsFunc(outcomes, func(o map[string]uint64) bool { return !slices.Contains(slices.Collect(maps.Values(o)), f) }) {
				continue
			}
			for _, o := range outcomes {
				state := maps.Clone(o)
				maps.DeleteFunc(state, func(_ string, have uint64) bool { return have == f })
				if s.kinds[f] {
					delete(state, "d/a")
					delete(state, "d/b")
				}
				if d := b.JudgeNames("v", s.entries(state, false)); len(d) == 0 {
					t.Fatalf("missed: %x must be somewhere, and is not in %v\n%s", f, state, s)
				}
			}
		}
	}
}

func (s *namesStory) String() string {
	text := ""
	for _, c := range s.changes {
		text += fmt.Sprintf("%x back %t durable %t void %t\n", c.sets, c.back, c.durable, c.void)
	}
	return text
}
