package owed

import (
	"testing"

	"github.com/seed-1b600011/assay/history"
)

// oneFile is a volume with the file f of four durable blocks of generation 1.
func oneFile() *tape {
	h := volumeTape()
	h.do("create", "f", 0, 0, 0)
	h.do("write", "f", 0, 4*block, 1)
	h.sync("fsync", "f")
	h.sync("syncdir", "")
	return h
}

// judgeFile is what Judge says if f, made by the first operation, is this.
func judgeFile(t *testing.T, h *tape, pieces ...piece) string {
	t.Helper()
	f, ok := h.fold(t).File("v", FileID(0, 1))
	if !ok {
		t.Fatal("no file")
	}
	return kinds(f.Judge(look(f.ID(), makeBytes(f.ID(), pieces...), 1, 2, 3)))
}

func judgeNames(t *testing.T, h *tape, found map[string]Entry) string {
	t.Helper()
	return kinds(h.fold(t).JudgeNames("v", found))
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}

func gen(g uint32, blocks int) piece { return piece{"gen", g, blocks * block} }

func zeros(blocks int) piece { return piece{"zero", 0, blocks * block} }

// TestDesign has a test for each sentence of what is owed.
func TestDesign(t *testing.T) {
	t.Run("after a kill alone, every write that returned is owed", func(t *testing.T) {
		h := oneFile()
		h.do("write", "f", 0, 4*block, 2)
		h.round("kill")
		want(t, "the write", judgeFile(t, h, gen(2, 4)), "legal")
		want(t, "what was before", judgeFile(t, h, gen(1, 4)), "stale")
	})
	t.Run("across a power cut, only what a returned sync covered is", func(t *testing.T) {
		h := oneFile()
		h.do("write", "f", 0, 4*block, 2)
		h.round("power-cut")
		want(t, "the write", judgeFile(t, h, gen(2, 4)), "legal")
		want(t, "what was before", judgeFile(t, h, gen(1, 4)), "legal")
		want(t, "both", judgeFile(t, h, gen(1, 1), gen(2, 3)), "legal")
		want(t, "zeros", judgeFile(t, h, gen(1, 1), zeros(1), gen(2, 2)), "lost")
	})
	t.Run("a write that is durable when it returns needs no other sync", func(t *testing.T) {
		h := oneFile()
		h.end(h.begin("write", "f", 0, 4*block, 2), history.Synced)
		h.round("power-cut")
		want(t, "what was before", judgeFile(t, h, gen(1, 4)), "stale")
	})
	t.Run("a sync covers a write only if it had returned before the sync was called", func(t *testing.T) {
		h := oneFile()
		w := h.begin("write", "f", 0, 4*block, 2)
		s := h.begin("fsync", "f", 0, 0, 0)
		h.end(w, history.Acknowledged)
		h.end(s, history.Synced)
		h.round("power-cut")
		want(t, "what was before", judgeFile(t, h, gen(1, 4)), "legal")
	})
	t.Run("and the sync returned", func(t *testing.T) {
		h := oneFile()
		h.do("write", "f", 0, 4*block, 2)
		h.begin("fsync", "f", 0, 0, 0)
		h.round("power-cut")
		want(t, "what was before", judgeFile(t, h, gen(1, 4)), "legal")
	})
	t.Run("a failed sync voids every promise since the last good one", func(t *testing.T) {
		for _, outcome := range []history.Phase{history.Refused, history.Unknown} {
			h := oneFile()
			h.do("write", "f", 0, 2*block, 2)
			h.sync("fsync", "f")
			h.do("write", "f", 2*block, 4*block, 2)
			h.end(h.begin("fsync", "f", 0, 0, 0), outcome)
			want(t, "dropped, at once", judgeFile(t, h, gen(2, 2), gen(1, 2)), "legal")
			h.sync("fsync", "f") // succeeds, and means nothing
			h.round("power-cut")
			want(t, "dropped", judgeFile(t, h, gen(2, 2), gen(1, 2)), "legal")
			want(t, "what was synced before", judgeFile(t, h, gen(1, 4)), "stale")
		}
	})
	t.Run("until the data is written and synced again", func(t *testing.T) {
		h := oneFile()
		h.do("write", "f", 0, 4*block, 2)
		h.end(h.begin("fsync", "f", 0, 0, 0), history.Refused)
		h.do("write", "f", 0, 4*block, 3)
		h.sync("fsync", "f")
		h.round("power-cut")
		want(t, "the new write", judgeFile(t, h, gen(3, 4)), "legal")
		want(t, "the old one", judgeFile(t, h, gen(2, 4)), "stale")
	})
	t.Run("a sync that a kill interrupts voids nothing, unless writes were failing", func(t *testing.T) {
		h := oneFile()
		h.do("write", "f", 0, 4*block, 2)
		h.begin("fsync", "f", 0, 0, 0)
		h.round("kill")
		want(t, "what was before", judgeFile(t, h, gen(1, 4)), "stale")
		h = oneFile()
		h.failing(history.FaultOn)
		h.do("write", "f", 0, 4*block, 2)
		h.begin("fsync", "f", 0, 0, 0)
		h.round("kill")
		h.failing(history.FaultOff)
		h.sync("fsync", "f")
		want(t, "a page that was dropped", judgeFile(t, h, gen(1, 4)), "legal")
	})
	t.Run("while writes fail, what was not synced is not owed even without a cut", func(t *testing.T) {
		h := oneFile()
		h.do("write", "f", 0, 2*block, 2)
		h.failing(history.FaultOn)
		h.do("write", "f", 2*block, 4*block, 2)
		h.round("kill")
		want(t, "dropped", judgeFile(t, h, gen(1, 4)), "legal")
		h.sync("fsync", "f") // would have told
		want(t, "dropped in silence", judgeFile(t, h, gen(1, 4)), "stale")
	})
	t.Run("what was in flight may be there wholly, partly or not at all", func(t *testing.T) {
		for _, round := range []string{"kill", "power-cut"} {
			h := oneFile()
			h.begin("write", "f", block, 6*block, 2)
			h.round(round)
			for _, got := range [][]piece{
				{gen(1, 1), gen(2, 5)}, {gen(1, 4)}, {gen(1, 2), gen(2, 1), gen(1, 1)}, {gen(1, 1), gen(2, 4)}, {gen(1, 4), zeros(1), gen(2, 1)},
			} {
				want(t, round, judgeFile(t, h, got...), "legal")
			}
			want(t, "outside its range", judgeFile(t, h, gen(2, 6)), "stale")
			want(t, "shorter than before", judgeFile(t, h, gen(1, 3)), "lost")
			want(t, "longer than ever", judgeFile(t, h, gen(1, 4), gen(2, 3)), "stale")
		}
	})
	t.Run("what a kill left in flight cannot take effect later on a volume", func(t *testing.T) {
		h := oneFile()
		h.begin("write", "f", 0, 4*block, 2)
		h.round("kill")
		h.do("write", "f", 0, 4*block, 3)
		want(t, "the killed write", judgeFile(t, h, gen(2, 4)), "stale")
	})
	t.Run("in a bucket it can, for ever, unless it was seen", func(t *testing.T) {
		h := bucketTape()
		h.do("put", "k", 0, 600, 1)
		h.end(h.begin("put", "k", 0, 600, 2), history.Unknown)
		h.round("kill")
		h.do("put", "k", 0, 600, 3)
		judge := func(g int) string {
			s := h.fold(t).Object("b", "k")
			return kinds(s.Judge(genSeen(s.ID(), g, 600)))
		}
		want(t, "late", judge(2), "legal")
		h.readBack("k", 2)
		h.do("put", "k", 0, 600, 4)
		want(t, "late, but seen before the last put", judge(2), "stale")
		want(t, "the last put", judge(4), "legal")
	})
	t.Run("a range being overwritten may hold old, new or both", func(t *testing.T) {
		h := oneFile()
		h.begin("write", "f", 0, 4*block, 2)
		want(t, "both", judgeFile(t, h, gen(1, 1), gen(2, 1), gen(1, 2)), "legal")
	})
	t.Run("zeros in a range that was synced are lost, in one that was not they are legal", func(t *testing.T) {
		h := oneFile()
		h.do("write", "f", 4*block, 8*block, 2)
		h.round("power-cut")
		want(t, "synced", judgeFile(t, h, gen(1, 3), zeros(1)), "lost")
		want(t, "not synced", judgeFile(t, h, gen(1, 4), zeros(4)), "legal")
	})
	t.Run("stale is older than the newest generation that is owed", func(t *testing.T) {
		h := oneFile()
		h.do("write", "f", 0, 4*block, 2)
		h.sync("fsync", "f")
		h.do("write", "f", 0, 4*block, 3)
		h.round("power-cut")
		want(t, "older", judgeFile(t, h, gen(1, 4)), "stale")
		want(t, "owed", judgeFile(t, h, gen(2, 4)), "legal")
		want(t, "newer", judgeFile(t, h, gen(3, 4)), "legal")
	})
	t.Run("what was refused may be there or not", func(t *testing.T) {
		h := bucketTape()
		h.do("put", "k", 0, 600, 1)
		h.end(h.begin("put", "k", 0, 600, 2), history.Refused)
		s := h.fold(t).Object("b", "k")
		want(t, "there", kinds(s.Judge(genSeen(s.ID(), 2, 600))), "legal")
		want(t, "not there", kinds(s.Judge(genSeen(s.ID(), 1, 600))), "legal")
	})
	t.Run("a deviation is blamed once, and the next round goes on with what survived", func(t *testing.T) {
		h := oneFile()
		h.do("write", "f", 0, 4*block, 2)
		h.sync("fsync", "f")
		h.round("power-cut")
		id := FileID(0, 1)
		got := makeBytes(id, gen(1, 2), zeros(1), piece{"flip", 2, block})
		want(t, "at first", judgeFile(t, h, gen(1, 2), zeros(1), piece{"flip", 2, block}), "stale+lost+corrupt")
		h.check("f", id, look(id, got, 2, 1))
		want(t, "again", judgeFile(t, h, gen(1, 2), zeros(1), piece{"flip", 2, block}), "legal")
		want(t, "another change", judgeFile(t, h, gen(1, 2), gen(2, 2)), "stale")
		h.do("write", "f", 0, 4*block, 3)
		h.sync("fsync", "f")
		want(t, "written anew", judgeFile(t, h, gen(1, 2), zeros(1), piece{"flip", 2, block}), "stale+lost+corrupt")
	})
	t.Run("a look is as durable as what it saw", func(t *testing.T) {
		id := FileID(0, 1)
		h := oneFile()
		h.begin("write", "f", 0, 4*block, 2)
		h.round("kill")
		h.check("f", id, look(id, makeBytes(id, gen(1, 4)), 1))
		h.round("power-cut")
		want(t, "what a look at durable data ruled out", judgeFile(t, h, gen(2, 4)), "stale")
		h = oneFile()
		h.begin("write", "f", 0, 4*block, 2)
		h.round("kill")
		h.check("f", id, look(id, makeBytes(id, gen(2, 4)), 2))
		want(t, "back, behind a look", judgeFile(t, h, gen(1, 4)), "stale")
		h.round("power-cut")
		want(t, "back, after a cut", judgeFile(t, h, gen(1, 4)), "legal")
		h = oneFile()
		h.begin("write", "f", 0, 4*block, 2)
		h.round("power-cut")
		h.check("f", id, look(id, makeBytes(id, gen(2, 4)), 2))
		h.round("power-cut")
		want(t, "back, though it lay on the medium", judgeFile(t, h, gen(1, 4)), "stale")
		h = oneFile()
		h.do("write", "f", 0, 4*block, 2)
		h.end(h.begin("fsync", "f", 0, 0, 0), history.Refused)
		h.check("f", id, look(id, makeBytes(id, gen(2, 4)), 2))
		want(t, "dropped, though a cache showed it", judgeFile(t, h, gen(1, 4)), "legal")
	})
	t.Run("a file keeps its identity under other names", func(t *testing.T) {
		h := oneFile()
		h.doTo("rename", "f", "g")
		h.doTo("link", "g", "h")
		h.do("write", "h", 0, 4*block, 2)
		h.sync("fsync", "g")
		h.round("power-cut")
		want(t, "written under its other name", judgeFile(t, h, gen(1, 4)), "stale")
		if name, ok := h.fold(t).Owner("v", FileID(0, 1)); !ok || name != "h" {
			t.Errorf("owner %q, %t", name, ok)
		}
	})
	t.Run("names", designNames)
	t.Run("reads", designReads)
}

// readBack is a get that sees a generation.
func (h *tape) readBack(key string, generation int) {
	op := h.begin("get", key, 0, 0, 0)
	id := State{}.ID()
	if b, err := Fold(h.all(), bucketRule); err == nil {
		id = b.Object("b", key).ID()
	}
	r := genSeen(id, generation, 600).Record(id)
	r.Op, r.Verb, r.Object = op, "get", key
	h.add(r)
	h.end(op, history.Acknowledged)
}

func designReads(t *testing.T) {
	observed := func(write func(h *tape)) string {
		h := bucketTape()
		h.do("put", "k", 0, 600, 1)
		write(h)
		return kinds(h.fold(t).Observations())
	}
	want(t, "the last put", observed(func(h *tape) { h.readBack("k", 1) }), "legal")
	want(t, "nothing", observed(func(h *tape) { h.readBack("k", 0) }), "lost")
	want(t, "the one before", observed(func(h *tape) { h.do("put", "k", 0, 600, 2); h.readBack("k", 1) }), "stale")
	want(t, "one that ends while it reads", observed(func(h *tape) {
		w := h.begin("put", "k", 0, 600, 2)
		op := h.begin("get", "k", 0, 0, 0)
		h.end(w, history.Acknowledged)
		h.do("put", "k", 0, 600, 3)
		id := h.fold(t).Object("b", "k").ID()
		r := genSeen(id, 1, 600).Record(id)
		r.Op, r.Verb, r.Object = op, "get", "k"
		h.add(r)
		h.end(op, history.Acknowledged)
	}), "legal")
	want(t, "back behind what was seen, then refused", observed(func(h *tape) {
		w := h.begin("put", "k", 0, 600, 2)
		h.begin("get", "k", 0, 0, 0) // keeps everything that it may see
		h.readBack("k", 2)
		h.end(w, history.Refused)
		h.readBack("k", 1)
	}), "stale")
	want(t, "back behind what was seen", observed(func(h *tape) {
		h.end(h.begin("put", "k", 0, 600, 2), history.Unknown)
		h.readBack("k", 2)
		h.readBack("k", 1)
	}), "stale")
}

// TestErrors: what cannot be a history is refused, and said where.
func TestErrors(t *testing.T) {
	for name, write := range map[string]func(h *tape){
		"ends without having begun": func(h *tape) { h.end(9, history.Acknowledged) },
		"begins twice":              func(h *tape) { h.begin("put", "k", 0, 1, 1); h.ops--; h.begin("put", "k", 0, 1, 1) },
		"no number":                 func(h *tape) { h.add(history.Record{Phase: history.Issued, Verb: "put"}) },
		"a volume's verb":           func(h *tape) { h.begin("fsync", "k", 0, 0, 0) },
		"sees without having begun": func(h *tape) { h.add(history.Record{Op: 5, Phase: history.Observed, Verb: "get", Object: "k"}) },
		"nonsense seen":             func(h *tape) { h.add(history.Record{Phase: history.Observed, Verb: "check", Detail: []byte{9}}) },
	} {
		h := bucketTape()
		write(h)
		if _, err := Fold(h.all(), bucketRule); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	h := volumeTape()
	h.do("write", "nowhere", 0, 1, 1)
	if _, err := Fold(h.all(), volumeRule); err == nil {
		t.Error("an acknowledged write to no file: taken")
	}
	h = volumeTape()
	h.end(h.begin("unlink", "d/x", 0, 0, 0), history.Refused)
	h.begin("write", "nowhere", 0, 1, 1)
	h.round("kill")
	h.end(2, history.Unknown) // said after the round ended it
	h.fold(t)
}
