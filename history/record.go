package history

import (
	"fmt"
	"time"
)

// Phase says what a Record tells about its operation.
type Phase uint8

// The phases of an operation, and the records that belong to none. Every
// operation is Issued once and then has at most one of Acknowledged, Refused,
// Unknown and Synced; one that has none of them was in flight when its writer
// ended, which is the same as Unknown.
const (
	Issued       Phase = iota // about to begin; in the kernel before it does
	Acknowledged              // the target said that it is done
	Refused                   // the target said that it is not done, and will not be
	Unknown                   // no answer, or one that leaves the outcome open
	Synced                    // acknowledged, and durable by the target's word: a returned fsync, an O_DSYNC write
	Observed                  // what a read saw
	FaultOn                   // a fault begins; Detail names it
	FaultOff                  // a fault ends; From is how many requests it touched
	Round                     // a round ends; Verb is "kill" or "power-cut"
	Checkpoint                // what follows, up to the Checkpoint with To 1, folds all that came before
)

var phases = [...]string{"issued", "acknowledged", "refused", "unknown", "synced", "observed",
	"fault-on", "fault-off", "round", "checkpoint"}

func (p Phase) String() string {
	if int(p) < len(phases) {
		return phases[p]
	}
	return fmt.Sprintf("phase %d", uint8(p))
}

// Record is one line of a history. What a record does not need is left zero:
// a record that ends an operation repeats of it only Op, Writer and what is
// new. A Record read back shares no memory with the reader.
type Record struct {
	Op             uint64 // of the operation, unique within its Writer; 0: of none
	Writer         uint32 // who wrote the record: unique among the files that are read together
	Attempt        uint32 // how often the task had been begun before
	Phase          Phase
	Verb           string        // put, delete, write, fsync, …
	At             time.Duration // CLOCK_BOOTTIME
	Target, Object string
	From, To       int64  // bytes [From, To) of the object
	Generation     uint32 // of the content written or seen; 0: none
	Detail         []byte // what else the verb needs; at most MaxDetail bytes
}

// Limits of a record. Append refuses what exceeds them.
const (
	MaxVerb   = 255
	MaxName   = 64 << 10 // bytes of Target, and of Object
	MaxDetail = 1 << 20
)
