package owed

import (
	"testing"

	"github.com/seed-1b600011/assay/history"
)

// beginSynced issues a write through O_DSYNC.
func (h *tape) beginSynced(object string, from, to int64, generation uint32) uint64 {
	op := h.begin("write", object, from, to, generation)
	h.records[len(h.records)-1].Detail = []byte("O_DSYNC")
	return op
}

// TestOverlappingSyncs: of two syncs at the same time of which one fails,
// neither gives its word, whichever ends first.
func TestOverlappingSyncs(t *testing.T) {
	for _, c := range []struct {
		name   string
		good   string // the verb of the sync that returns Synced
		failed string // and of the one that does not
		of     string // what that covers
		kind   string // of the loss of what the good one covered
	}{
		{"two fsyncs", "fsync", "fsync", "f", "legal"},
		{"fsync and fdatasync", "fdatasync", "fsync", "f", "legal"},
		{"a syncfs fails", "fsync", "syncfs", "", "legal"},
		{"beside a syncfs", "syncfs", "fsync", "f", "legal"},
		{"two syncfs", "syncfs", "syncfs", "", "legal"},
		{"another file's", "fsync", "fsync", "g", "stale"},
		{"the directory's", "fsync", "syncdir", "", "stale"},
	} {
		for _, outcome := range []history.Phase{history.Refused, history.Unknown} {
			t.Run(c.name, func(t *testing.T) {
				begin := func() (h *tape, good, failed uint64) {
					h = oneFile()
					h.do("create", "g", 0, 0, 0)
					h.do("write", "f", 0, 4*block, 2)
					return h, h.begin(c.good, "f", 0, 0, 0), h.begin(c.failed, c.of, 0, 0, 0)
				}
				h, good, failed := begin()
				h.end(good, history.Synced)
				h.end(failed, outcome)
				want(t, "the good one first", judgeFile(t, h, gen(1, 4)), c.kind)
				h.sync("fsync", "f")
				h.round("power-cut")
				want(t, "and no later sync helps", judgeFile(t, h, gen(1, 4)), c.kind)
				h, good, failed = begin()
				h.end(failed, outcome)
				h.end(good, history.Synced)
				want(t, "the failed one first", judgeFile(t, h, gen(1, 4)), c.kind)
				h, good, _ = begin()
				h.end(good, history.Synced)
				h.sync(c.good, "f")
				h.round("power-cut")
				want(t, "one that never ends has not failed", judgeFile(t, h, gen(1, 4)), "stale")
			})
		}
	}
	t.Run("one that was called after the word was given takes nothing back", func(t *testing.T) {
		h := oneFile()
		h.do("write", "f", 0, 4*block, 2)
		h.sync("fsync", "f")
		h.end(h.begin("fsync", "f", 0, 0, 0), history.Refused)
		want(t, "what was synced", judgeFile(t, h, gen(1, 4)), "stale")
	})
	t.Run("what was durable before both is durable", func(t *testing.T) {
		h := oneFile()
		good, failed := h.begin("fsync", "f", 0, 0, 0), h.begin("fsync", "f", 0, 0, 0)
		h.end(good, history.Synced)
		h.end(failed, history.Refused)
		h.round("power-cut")
		want(t, "generation 1", judgeFile(t, h, zeros(4)), "lost")
	})
	t.Run("writes through O_DSYNC", func(t *testing.T) {
		h := oneFile()
		a, b := h.beginSynced("f", 0, 2*block, 2), h.beginSynced("f", 2*block, 4*block, 2)
		h.end(a, history.Synced)
		h.end(b, history.Refused)
		h.round("power-cut")
		want(t, "both may be lost", judgeFile(t, h, gen(1, 4)), "legal")
		want(t, "nothing else may be there", judgeFile(t, h, gen(1, 2), zeros(2)), "lost")
	})
	t.Run("one that a kill cut short, while writes failed", func(t *testing.T) {
		h := oneFile()
		h.do("write", "f", 0, 4*block, 2)
		h.failing(history.FaultOn)
		good := h.begin("fsync", "f", 0, 0, 0)
		h.begin("fsync", "f", 0, 0, 0)
		h.end(good, history.Synced)
		h.round("kill")
		want(t, "it may have had the error", judgeFile(t, h, gen(1, 4)), "legal")
	})
	t.Run("a rename, of which either directory's sync fails", func(t *testing.T) {
		for _, failed := range []string{"d", "e"} {
			h := volumeTape()
			h.do("mkdir", "d", 0, 0, 0)
			h.do("mkdir", "e", 0, 0, 0)
			h.do("create", "d/f", 0, 0, 0)
			h.sync("syncfs", "")
			h.doTo("rename", "d/f", "e/f")
			good, bad := h.begin("syncdir", "d", 0, 0, 0), h.begin("syncdir", failed, 0, 0, 0)
			h.end(good, history.Synced)
			old := map[string]Entry{"d": {Dir: true}, "e": {Dir: true}, "d/f": {}}
			h.end(bad, history.Refused)
			h.round("power-cut")
			want(t, "the old name after a failed sync of "+failed, judgeNames(t, h, old), "legal")
		}
	})
}
