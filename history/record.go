package history

import (
	"fmt"
	"strings"
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
	FaultOn                   // a fault begins; Object is its place in the plan, Detail names it, Effect is what it allows
	FaultOff                  // a fault ends; From is how many requests it touched
	Round                     // a round of the target ends; Effect says how. Verb and Object are those of the fault that ended it
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
	Effect         Effect // of a fault or a round: what the target may do with its promises; 0: nothing
	Detail         []byte // what else the verb needs; at most MaxDetail bytes
}

// Effect is a set of things that a fault allows its target to do with what it
// has acknowledged. A fault under which a target breaks its word allows nothing.
type Effect uint8

// The effects.
const (
	// Ends: what ran on the target was killed. What was under way then has no
	// outcome, and cannot take effect later.
	Ends Effect = 1 << iota
	// Forgets: caches have lost their content, and what was not durable with it.
	Forgets
	// Drops: requests fail. What was not durable may be dropped, which only the
	// next sync reports, and a file system may shut down and drop all of it.
	Drops
)

var effects = [...]string{"ends", "forgets", "drops"}

// String is the effects in words, separated by commas; of none it is "none".
func (e Effect) String() string {
	var words []string
	for i, w := range effects {
		if e&(1<<i) != 0 {
			words = append(words, w)
		}
	}
	if rest := e &^ (1<<len(effects) - 1); rest != 0 {
		words = append(words, fmt.Sprintf("%#x", uint8(rest)))
	}
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ",")
}

// Limits of a record. Append refuses what exceeds them.
const (
	MaxVerb   = 255
	MaxName   = 64 << 10 // bytes of Target, and of Object
	MaxDetail = 1 << 20
)
