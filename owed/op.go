package owed

import (
	"math"
	"slices"
	"time"

	"github.com/seed-1b600011/assay/history"
)

// forever is the end of an operation that may still take effect.
const forever = math.MaxInt64

// value is what a register holds once an operation took effect.
type value uint8

const (
	bytesOf  value = iota // the bytes of a generation; in a directory: a name
	nothing               // zeros; of an object or a name: absence
	anything              // damage that a check has seen and blamed
)

// op is an operation on one or more registers. Positions count records of the
// merged stream, so that no two events share one.
type op struct {
	issued, ended int64
	began, over   time.Duration // At of the records at those positions
	from, to      int64         // of an object: to is its size
	id            uint64
	name          *binding // of an operation on a name only
	writer        uint32
	generation    uint32
	value         value
	verb          verb
	outcome       history.Phase
	sealed        int64 // where the sync ended by whose word it is durable
	durable       bool  // survives a power cut
	contested     bool  // durable, by the word of a sync that another, still under way, may take back
	void          bool  // a failed sync or a cut took the promise back
	exposed       bool  // a fault that fails writes was on: owed once it is durable
}

// original is what every register holds before the first operation.
func original() *op {
	return &op{value: nothing, outcome: history.Synced, durable: true}
}

// firm tells whether w is a promise: what ended before it began is over.
func (w *op) firm() bool {
	if w.void || w.exposed && !w.durable {
		return false
	}
	return w.returned()
}

// returned tells whether w is known to have taken effect.
func (w *op) returned() bool {
	switch w.outcome {
	case history.Acknowledged, history.Synced, history.Observed:
		return true
	}
	return false
}

// waits tells whether a sync may still make w durable.
func (w *op) waits() bool { return w.returned() && !w.void && !w.durable }

// threshold is the position at which the youngest firm operation was issued.
// An operation that ended before it cannot be the last one to take effect.
func threshold(ops []*op) (t int64) {
	for _, w := range ops {
		if w.firm() && w.issued > t {
			t = w.issued
		}
	}
	return t
}

// bedrock is threshold over what no cut can take back.
func bedrock(ops []*op) (t int64) {
	for _, w := range ops {
		if w.stands() && w.issued > t {
			t = w.issued
		}
	}
	return t
}

// prune drops what can never be allowed again, whatever happens next.
func prune(ops []*op) []*op {
	t := bedrock(ops)
	if len(ops) == 0 || t == 0 {
		return ops
	}
	return slices.DeleteFunc(ops, func(w *op) bool { return w.ended < t })
}

// allowed gives, oldest first, the operations of a register that may have been
// the last to take effect.
func allowed(ops []*op) []*op { return endingFrom(ops, threshold(ops)) }

func endingFrom(ops []*op, t int64) []*op {
	keep := make([]*op, 0, len(ops))
	for _, w := range ops {
		if w.ended >= t {
			keep = append(keep, w)
		}
	}
	return keep
}
