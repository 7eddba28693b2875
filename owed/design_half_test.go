package owed

import (
	"testing"

	"github.com/seed-1b600011/assay/history"
)

// TestHalfEffects has a test for each verb that may have been done by halves.
func TestHalfEffects(t *testing.T) {
	for _, c := range []struct {
		name    string
		outcome history.Phase
		cut     string
		synced  bool
		lengths map[int]string // blocks that the file then has, and what that is
	}{
		{"an allocation that was refused may have got part of the way", history.Refused, "kill", false,
			map[int]string{1: "lost", 2: "legal", 3: "legal", 4: "legal", 5: "corrupt"}},
		{"one without an outcome", history.Unknown, "kill", false,
			map[int]string{1: "lost", 2: "legal", 3: "legal", 4: "legal", 5: "corrupt"}},
		{"one that returned is whole", history.Acknowledged, "kill", false,
			map[int]string{2: "lost", 3: "lost", 4: "legal", 5: "corrupt"}},
		{"unless it was not synced before a cut", history.Acknowledged, "power-cut", false,
			map[int]string{1: "lost", 2: "legal", 3: "legal", 4: "legal", 5: "corrupt"}},
		{"one that was synced is whole after it", history.Acknowledged, "power-cut", true,
			map[int]string{2: "lost", 3: "lost", 4: "legal", 5: "corrupt"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := volumeTape()
			h.do("create", "f", 0, 0, 0)
			h.do("write", "f", 0, 2*block, 1)
			h.sync("fsync", "f")
			h.end(h.begin("allocate", "f", 0, 4*block, 0), c.outcome)
			if c.synced {
				h.sync("fsync", "f")
			}
			h.round(c.cut)
			for blocks, kind := range c.lengths {
				pieces := []piece{gen(1, min(blocks, 2))}
				if blocks > 2 {
					pieces = append(pieces, zeros(blocks-2))
				}
				want(t, "a file of so many blocks", judgeFile(t, h, pieces...), kind)
			}
			want(t, "what was there before", judgeFile(t, h, zeros(4)), "lost")
		})
	}
}

// TestRefusedName: a file whose creation was refused may be there, but what was
// found is held against the file that was promised.
func TestRefusedName(t *testing.T) {
	h := oneFile()
	h.end(h.begin("create", "f", 0, 0, 0), history.Refused)
	b := h.fold(t)
	want(t, "what was promised, lost", kinds(b.JudgeFile("v", "f", look(0, makeBytes(0, zeros(4)), 1))), "lost")
	want(t, "what was refused", kinds(b.JudgeFile("v", "f", Seen{Present: true})), "legal")
	h.round("power-cut")
	h.check("f", 0, look(0, makeBytes(0, zeros(4)), 1))
	f, _ := h.fold(t).File("v", FileID(0, 1))
	want(t, "blamed once", kinds(f.Judge(look(0, makeBytes(0, zeros(4)), 1))), "legal")
}
