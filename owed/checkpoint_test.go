package owed

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/seed-1b600011/assay/content"
	"github.com/seed-1b600011/assay/history"
)

// portrait is everything that a book answers.
func portrait(b *Book) map[string]any {
	out := map[string]any{"observations": b.Observations()}
	for target := range b.Targets() {
		out[target] = []any{b.Owed(target), b.Survived(target)}
		for name := range b.Objects(target) {
			s := b.Object(target, name)
			s.book = nil // what it answers, not who
			out[target+"/"+name] = s
		}
		for n := range b.Names(target) {
			out["name "+n.Path] = []any{n.MayBeAbsent, n.State, len(n.Files)}
			for i, f := range n.Files {
				out[fmt.Sprintf("file %s %d", n.Path, i)] = []any{f.ID(), f.Dir(), f.Sizes()}
				if !f.Dir() {
					out[fmt.Sprintf("data %s %d", n.Path, i)] = slices.Collect(f.Extents())
				}
			}
		}
	}
	return out
}

// same holds that a checkpoint at any place changes nothing that follows.
func same(t *rapid.T, records []history.Record) {
	whole := mustFold(t, records)
	at := rapid.IntRange(0, len(records)).Draw(t, "checkpoint")
	prefix, err := Fold(stream(records[:at]), rule)
	if err != nil {
		t.Fatal(err)
	}
	short := append([]history.Record{{Phase: history.Checkpoint}}, collect(prefix)...)
	short = append(short, history.Record{Phase: history.Checkpoint, To: 1})
	again, err := Fold(stream(append(short, records[at:]...)), rule)
	if err != nil {
		t.Fatal(err)
	}
	want, got := portrait(whole), portrait(again)
	for k := range want {
		if !reflect.DeepEqual(want[k], got[k]) {
			t.Fatalf("checkpoint at %d: %s is\n%+v, and was\n%+v", at, k, got[k], want[k])
		}
	}
	if len(want) != len(got) {
		t.Fatalf("checkpoint at %d: %d answers, not %d", at, len(got), len(want))
	}
}

func rule(target string) Rule {
	if target == "v" {
		return volumeRule(target)
	}
	return Rule{}
}

// TestCheckpoint: folding a checkpoint and what came after it is folding all.
func TestCheckpoint(t *testing.T) {
	t.Run("bucket", func(t *testing.T) {
		checkMany(t, func(t *rapid.T) {
			s := &bucketStory{h: bucketTape(), open: map[uint64]int{}}
			for range rapid.IntRange(1, 12).Draw(t, "steps") {
				switch k := rapid.IntRange(0, 9).Draw(t, "step"); {
				case k < 5 && len(s.events) < 6:
					s.begin(t)
				case k < 8 && len(s.order) > 0:
					s.end(t)
				case k == 8 && len(s.events) < 7:
					s.get(t, content.ObjectID("b/k"))
				case k == 9:
					s.h.check("k", content.ObjectID("b/k"), genSeen(content.ObjectID("b/k"), rapid.IntRange(0, 3).Draw(t, "seen"), 600))
				}
			}
			same(t, s.h.records)
		})
	})
	t.Run("ranges", func(t *testing.T) {
		checkMany(t, func(t *rapid.T) {
			s := newVolumeStory()
			s.h.do("truncate", "f", 0, 4*block, 0)
			s.draw(t, false, func() { s.lookAtBlocks(t) })
			same(t, s.h.records)
		})
	})
	t.Run("names", func(t *testing.T) {
		checkMany(t, func(t *rapid.T) {
			s := &namesStory{h: volumeTape(), live: map[string]uint64{}, kinds: map[uint64]bool{}}
			for range rapid.IntRange(1, 9).Draw(t, "steps") {
				s.step(t, false)
			}
			s.h.round("power-cut")
			same(t, s.h.records)
		})
	})
	t.Run("broken promises are kept", func(t *testing.T) {
		h := bucketTape()
		h.do("put", "k", 0, 600, 1)
		op := h.begin("get", "k", 0, 0, 0)
		h.add(history.Record{Op: op, Phase: history.Observed, Verb: "get", Object: "k"})
		h.end(op, history.Acknowledged)
		b, err := Fold(stream(collect(h.fold(t))), bucketRule)
		if err != nil {
			t.Fatal(err)
		}
		if got := kinds(b.Observations()); got != "lost" {
			t.Error(got)
		}
	})
	t.Run("few records", func(t *testing.T) {
		h := bucketTape()
		for g := range uint32(1000) {
			h.do("put", "k", 0, 600, g+1)
		}
		if n := len(collect(h.fold(t))); n != 3 {
			t.Errorf("%d records for one object", n)
		}
	})
	t.Run("damaged", func(t *testing.T) {
		h := volumeTape()
		h.do("mkdir", "d", 0, 0, 0)
		h.do("create", "d/f", 0, 0, 0)
		h.do("write", "d/f", 0, 512, 1)
		h.begin("fsync", "d/f", 0, 0, 0)
		good := collect(h.fold(t))
		for i := range good {
			for cut := range len(good[i].Detail) {
				bad := slices.Clone(good)
				bad[i].Detail = bad[i].Detail[:cut]
				if _, err := Fold(stream(bad), volumeRule); err == nil {
					t.Errorf("record %d with %d bytes of its detail was taken", i, cut)
				}
			}
		}
	})
}

// TestCheckpointAnywhere: the histories that need all of what a checkpoint
// keeps, cut at every record.
func TestCheckpointAnywhere(t *testing.T) {
	for name, write := range map[string]func() *tape{
		"a get under way": func() *tape {
			h := bucketTape()
			h.do("put", "k", 0, 600, 1)
			op := h.begin("get", "k", 0, 0, 0)
			w := h.begin("put", "k", 0, 600, 2)
			h.end(w, history.Acknowledged)
			h.do("put", "k", 0, 600, 3)
			id := content.ObjectID("b/k")
			r := genSeen(id, 1, 600).Record(id)
			r.Op, r.Verb, r.Object = op, "get", "k"
			h.add(r)
			h.end(op, history.Acknowledged)
			return h
		},
		"faults": func() *tape {
			h := oneFile()
			h.do("write", "f", 0, block, 2)
			h.failing(history.FaultOn)
			h.do("write", "f", block, 2*block, 2)
			h.begin("fsync", "f", 0, 0, 0)
			h.round("kill")
			h.do("write", "f", 2*block, 3*block, 2)
			h.failing(history.FaultOff)
			h.do("write", "f", 3*block, 4*block, 2)
			return h
		},
		"half a rename": func() *tape {
			h := volumeTape()
			h.do("create", "b", 0, 0, 0)
			h.do("mkdir", "d", 0, 0, 0)
			h.sync("syncfs", "")
			h.doTo("rename", "b", "d/a")
			h.end(h.begin("create", "b", 0, 0, 0), history.Synced)
			h.sync("syncdir", "")
			h.doTo("rename", "d/a", "c")
			h.end(h.begin("create", "c", 0, 0, 0), history.Synced)
			h.do("unlink", "d/a", 0, 0, 0)
			h.round("power-cut")
			return h
		},
		"a name that came back": func() *tape {
			h := oneFile()
			h.do("unlink", "f", 0, 0, 0)
			h.round("power-cut")
			h.do("write", "f", 0, block, 2)
			return h
		},
		"what was seen, then lost": func() *tape {
			h := oneFile()
			h.do("write", "f", 0, 4*block, 2)
			h.sync("fsync", "f")
			h.doTo("rename", "f", "g")
			h.round("power-cut")
			id := FileID(0, 1)
			h.check("f", id, Seen{})
			h.check("g", id, look(id, makeBytes(id, gen(1, 1), zeros(1), piece{"foreign", 0, 3 * block}), 2))
			h.check("x", id, Seen{Present: true, Dir: true})
			h.begin("write", "g", 0, block, 3)
			h.round("kill")
			return h
		},
	} {
		t.Run(name, func(t *testing.T) {
			records := write().records
			whole, err := Fold(stream(records), rule)
			if err != nil {
				t.Fatal(err)
			}
			for at := range records {
				prefix, err := Fold(stream(records[:at]), rule)
				if err != nil {
					t.Fatal(err)
				}
				again, err := Fold(stream(append(collect(prefix), records[at:]...)), rule)
				if err != nil {
					t.Fatalf("checkpoint at %d: %v", at, err)
				}
				if want, got := portrait(whole), portrait(again); !reflect.DeepEqual(want, got) {
					t.Fatalf("checkpoint at %d:\n%+v, and was\n%+v", at, got, want)
				}
			}
		})
	}
}

// TestSeen: what is written into a record comes back.
func TestSeen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Seen{Present: rapid.Bool().Draw(t, "present"), Size: rapid.Int64Range(0, math.MaxInt64).Draw(t, "size"), Err: rapid.StringN(0, 20, 100).Draw(t, "err")}
		at := int64(0)
		for range rapid.IntRange(0, 5).Draw(t, "spans") {
			p := content.Span{From: at + rapid.Int64Range(0, 10).Draw(t, "gap"), Class: content.Class(rapid.IntRange(0, 7).Draw(t, "class"))}
			p.To = p.From + rapid.Int64Range(0, 1<<40).Draw(t, "length")
			p.Is = content.Tag{Seed: rapid.Uint64().Draw(t, "seed"), Object: 5, Generation: rapid.Uint32().Draw(t, "generation")}
			p.IsOff, p.BitsWrong, p.FirstWrong = rapid.Int64Range(0, 1<<40).Draw(t, "off"), 3, 4
			s.Spans = append(s.Spans, p)
			at = p.To
		}
		if s.Size == 0 && !s.Present && s.Err == "" && len(s.Spans) == 0 {
			s = Seen{}
		}
		got, err := SeenIn(s.Record(1))
		if err != nil || !reflect.DeepEqual(got, s) {
			t.Fatalf("%+v came back as %+v (%v)", s, got, err)
		}
	})
	whole := genSeen(9, 4, 600)
	r := whole.Record(9)
	if r.To != 600 || r.Generation != 4 || len(r.Detail) != 16 {
		t.Errorf("one generation throughout takes %+v", r)
	}
	if got, err := SeenIn(r); err != nil || !reflect.DeepEqual(got, whole) {
		t.Errorf("%+v, %v", got, err)
	}
	if r := (Seen{}).Record(9); len(r.Detail) > 0 {
		t.Errorf("absence takes %+v", r)
	}
	many := Seen{Present: true, Size: 1 << 30}
	for i := range int64(100_000) {
		many.Spans = append(many.Spans, content.Span{From: i, To: i + 1, Class: content.Class(i % 2)})
	}
	if r := many.Record(9); len(r.Detail) > history.MaxDetail {
		t.Errorf("%d bytes of detail", len(r.Detail))
	}
}

// FuzzSeenIn: whatever a record says, reading it ends, and what was read can be
// written again.
func FuzzSeenIn(f *testing.F) {
	f.Add(uint32(0), int64(0), genSeen(9, 4, 600).encode())
	f.Add(uint32(4), int64(600), genSeen(9, 4, 600).Record(9).Detail)
	f.Add(uint32(0), int64(0), Seen{Err: "input/output error"}.encode())
	f.Add(uint32(0), int64(0), Seen{Present: true, Size: 16, Spans: []content.Span{
		{To: 16, Class: content.Misdirected, Is: content.Tag{Object: 9, Generation: 1}, IsOff: -3051}}}.encode())
	f.Add(uint32(0), int64(0), Seen{Present: true, Size: 16, Spans: []content.Span{
		{To: content.MaxSize + 1, Class: content.Zero}}}.encode())
	f.Fuzz(func(t *testing.T, generation uint32, to int64, detail []byte) {
		s, err := SeenIn(history.Record{Generation: generation, To: to, Detail: detail})
		if err != nil {
			return
		}
		again, err := SeenIn(s.Record(9))
		if err != nil || len(again.Spans) > len(s.Spans) || again.Size != s.Size || again.Present != s.Present {
			t.Fatalf("%+v came back as %+v (%v)", s, again, err)
		}
		State{whole: true, Allowed: []Version{{Generation: 1, Size: 600}}}.Judge(s)
		State{To: 600, Allowed: []Version{{Generation: 1}}}.Judge(s)
	})
}

// FuzzFold: no history, however senseless, does worse than an error.
func FuzzFold(f *testing.F) {
	f.Add([]byte{0, 4, 1, 1, 0, 0, 1, 0, 1, 6, 1, 1})
	verbs := []string{"put", "delete", "get", "list", "check", "owed"}
	for _, w := range words {
		verbs = append(verbs, w.word)
	}
	names := []string{"", "a", "b", "d", "d/a", "..", "a/a", "/"}
	f.Fuzz(func(t *testing.T, script []byte) {
		var records []history.Record
		for len(script) >= 4 {
			r := history.Record{Phase: history.Phase(script[0] % 11), Verb: verbs[int(script[1])%len(verbs)], Op: uint64(script[2] % 8),
				Object: names[int(script[3])%len(names)], Target: []string{"b", "v", ""}[script[3]/8%3], Generation: uint32(script[3] / 64),
				From: int64(script[2] / 8), To: int64(script[2]/8) + int64(script[3]/32)}
			script = script[4:]
			if len(script) > 0 {
				n := min(len(script), int(script[0]%16))
				r.Detail, script = script[:n], script[n:]
			}
			records = append(records, r)
		}
		b, err := Fold(stream(records), rule)
		if err != nil {
			return
		}
		portrait(b)
		if _, err := Fold(stream(collect(b)), rule); err != nil {
			t.Fatalf("its checkpoint: %v", err)
		}
	})
}
