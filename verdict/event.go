package verdict

import (
	"math/bits"
	"time"
)

// State is a step of a run.
type State string

// The steps, in order. Drive, heal and judge repeat where a fault ends a round.
const (
	Prepare State = "prepare"
	Drive   State = "drive"
	Heal    State = "heal"
	Judge   State = "judge"
	Clean   State = "clean"
	Done    State = "done"
)

// Event is something that happened in a run: a change of state, a finding, a
// tick, or a message. There is never one per operation. Exactly one of State,
// Finding, Tick and Message is set.
type Event struct {
	At       time.Time
	Scenario string // name
	Repeat   int    // which plan of the scenario, from 0
	Round    int    // from 0
	State    State
	Finding  *Finding
	Tick     *Tick
	Message  string
}

// Events receives events. It may be called from several goroutines at once
// and must return soon; a nil Events is not allowed, use Discard.
type Events func(Event)

// Discard is the Events that nobody listens to.
func Discard(Event) {}

// Tick is where a run stands, sent once a second and at the end of a state.
// Counters count from the beginning of the run and never fall.
type Tick struct {
	State        State     `json:"state"`
	Stage        string    `json:"stage,omitempty"` // of the state: the check that judges
	Done         int64     `json:"done"`            // objects or operations finished in this stage; it falls only when the stage changes
	Total        int64     `json:"total"`           // how many there will be; 0 if unknown
	Acknowledged int64     `json:"acknowledged"`    // operations
	Refused      int64     `json:"refused"`
	Unknown      int64     `json:"unknown"`
	Bytes        int64     `json:"bytes"`   // read and written
	Latency      Histogram `json:"latency"` // of all operations of the run so far

	Driving time.Duration `json:"driving_ns"` // for which the state was Drive, so far
}

// Refusal is what a target said to requests that it did not do, and how often.
// An answer that never came is one too. No verdict comes from it.
type Refusal struct {
	What    string `json:"what"`              // the request and the answer: "put: SlowDown (HTTP status 503)"
	Message string `json:"message,omitempty"` // the target's own words, the first time
	Count   int64  `json:"count"`
}

// Histogram counts durations in buckets of at most 1/8 relative width from
// 1 µs to about 19 hours; what is shorter or longer counts in the first or the
// last bucket. The zero value is empty. It is not safe for concurrent use.
type Histogram struct {
	Buckets [buckets]int64 `json:"-"`
	Count   int64          `json:"count"`
	Max     time.Duration  `json:"max_ns"`
}

const (
	subBits = 3
	buckets = 34 << subBits
)

func bucketOf(d time.Duration) int {
	us := uint64(max(d, 0) / time.Microsecond)
	if us < 1<<subBits {
		return int(us)
	}
	exp := bits.Len64(us) - 1 - subBits
	i := exp<<subBits + int(us>>exp)
	return min(i, buckets-1)
}

// upper is the largest duration of bucket i, exclusive.
func upper(i int) time.Duration {
	if i < 1<<subBits {
		return time.Duration(i+1) * time.Microsecond
	}
	exp := i>>subBits - 1
	sub := i&(1<<subBits-1) | 1<<subBits
	return time.Duration(sub+1) << exp * time.Microsecond
}

// Add counts one duration.
func (h *Histogram) Add(d time.Duration) {
	h.Buckets[bucketOf(d)]++
	h.Count++
	h.Max = max(h.Max, d)
}

// Merge adds what o has counted.
func (h *Histogram) Merge(o *Histogram) {
	for i, n := range o.Buckets {
		h.Buckets[i] += n
	}
	h.Count += o.Count
	h.Max = max(h.Max, o.Max)
}

// Quantile is a duration that the share q (0 to 1) of those counted did not
// exceed, at most 1/8 above the true one; 0 if nothing was counted.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.Count == 0 {
		return 0
	}
	rank := int64(q * float64(h.Count))
	var seen int64
	for i, n := range h.Buckets {
		seen += n
		if seen > rank || seen == h.Count {
			return min(upper(i), h.Max)
		}
	}
	return h.Max
}
