package owed

import (
	"testing"

	"github.com/seed-1b600011/assay/history"
)

// TestStake holds what is at stake across a fault to what could be taken away.
func TestStake(t *testing.T) {
	unsynced := func() *tape {
		h := volumeTape()
		h.do("create", "f", 0, 0, 0)
		h.do("write", "f", 0, block, 1)
		return h
	}
	for name, c := range map[string]struct {
		tape *tape
		end  func(h *tape)
		want Stake
	}{
		"a cut before anything":                {volumeTape(), cut, Stake{}},
		"a cut of what was never synced":       {unsynced(), cut, Stake{Changed: 2, Answered: 2}},
		"a kill of what was never synced":      {unsynced(), kill, Stake{Promised: 2, Changed: 2, Answered: 2}},
		"a fault without an effect":            {unsynced(), func(h *tape) { h.add(history.Record{Phase: history.FaultOff}) }, Stake{Promised: 2, Changed: 2, Answered: 2}},
		"a cut of synced data without a name":  {after(unsynced(), func(h *tape) { h.sync("fsync", "f") }), cut, Stake{Promised: 1, Changed: 2, Answered: 3}},
		"a cut of all that was synced":         {after(unsynced(), func(h *tape) { h.sync("syncfs", "") }), cut, Stake{Promised: 2, Changed: 2, Answered: 3}},
		"a cut of what a failed sync voided":   {after(unsynced(), func(h *tape) { h.end(h.begin("syncfs", "", 0, 0, 0), history.Refused) }), cut, Stake{Answered: 3}},
		"a kill of nothing but reads":          {after(volumeTape(), func(h *tape) { h.do("probe", "f", 0, 0, 0); h.do("get", "f", 0, 0, 0) }), kill, Stake{Answered: 2}},
		"a kill of what has no answer":         {after(volumeTape(), func(h *tape) { h.begin("create", "f", 0, 0, 0) }), kill, Stake{}},
		"a cut after lines of a program":       {after(volumeTape(), func(h *tape) { h.do("exec", "", 0, 0, 0) }), cut, Stake{Lines: 1, Answered: 1}},
		"what a cut took away is not at stake": {after(unsynced(), cut), kill, Stake{Answered: 2}},
		"an object and one that was refused": {after(bucketTape(), func(h *tape) {
			h.do("put", "k", 0, 9, 1)
			h.end(h.begin("put", "l", 0, 9, 2), history.Refused)
		}), kill, Stake{Promised: 1, Changed: 1, Answered: 2}},
		"an object that was put twice": {after(bucketTape(), func(h *tape) { h.do("put", "k", 0, 9, 1); h.do("put", "k", 0, 9, 2) }), kill, Stake{Promised: 1, Changed: 1, Answered: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			c.end(c.tape)
			all := c.tape.fold(t).Survived(c.tape.target)
			if len(all) == 0 || all[len(all)-1].Stake != c.want {
				t.Errorf("%+v, want %+v", all, c.want)
			}
		})
	}
}

func cut(h *tape)  { h.round("power-cut") }
func kill(h *tape) { h.round("kill") }

func after(h *tape, do func(h *tape)) *tape {
	do(h)
	return h
}

// TestFaultsConcernTheirTarget: what is cut on one volume voids nothing on
// another, and a fault that drops there exposes nothing here.
func TestFaultsConcernTheirTarget(t *testing.T) {
	h := oneFile()
	h.do("write", "f", 0, 4*block, 2)
	h.add(history.Record{Phase: history.FaultOn, Target: "w", Effect: history.Drops})
	h.add(history.Record{Phase: history.FaultOff, Target: "w", Effect: history.Drops})
	h.add(history.Record{Phase: history.Round, Target: "w", Effect: history.Ends | history.Forgets})
	want(t, "what the other volume lost", judgeFile(t, h, gen(1, 4)), "stale")
	h.round("power-cut")
	want(t, "what its own cut took", judgeFile(t, h, gen(1, 4)), "legal")
}
