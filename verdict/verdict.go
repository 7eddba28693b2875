package verdict

import (
	"fmt"
	"time"
)

// Finding is one broken promise, of one kind, at one place, with its evidence.
// Text fields are for people; nothing decides by them.
type Finding struct {
	Kind     Kind      `json:"kind"`
	Check    string    `json:"check"`              // the check that found it
	Target   string    `json:"target"`             // the bucket, volume or disk
	Object   string    `json:"object"`             // key or path; empty if it is the target's as a whole
	From     int64     `json:"from"`               // first byte concerned
	To       int64     `json:"to"`                 // first byte after them; From and To both 0: the object as a whole
	Promised string    `json:"promised"`           // what the target owed, and by which operation
	Found    string    `json:"found"`              // what was there instead
	Ops      []uint64  `json:"operations"`         // of the history, those that made the promise
	Round    int       `json:"round"`              // in which it was found, from 0
	First    time.Time `json:"first_seen"`         // when it was seen first
	Last     time.Time `json:"last_seen"`          // when it was looked at last
	Stable   bool      `json:"stable"`             // the last look showed the same as the first
	Blame    string    `json:"blame,omitempty"`    // which layer broke the promise, where that can be known
	Evidence string    `json:"evidence,omitempty"` // the file that holds more, if any
}

// String is one line: kind, place, promise, what was found.
func (f Finding) String() string {
	place := f.Target + "/" + f.Object
	if f.From != 0 || f.To != 0 {
		place += fmt.Sprintf("[%d:%d]", f.From, f.To)
	}
	return fmt.Sprintf("%s %s: promised %s; found %s", f.Kind, place, f.Promised, f.Found)
}

// Verdict is the answer to a run. The zero value is Pass; Of decides.
type Verdict uint8

// The verdicts, in the order of their weight: of several runs the greatest counts.
const (
	Pass Verdict = iota
	Inconclusive
	Fail
)

// String is "pass", "inconclusive" or "fail".
func (v Verdict) String() string {
	return [...]string{"pass", "inconclusive", "fail"}[v]
}

// MarshalText is String, for JSON.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (v *Verdict) UnmarshalText(b []byte) error {
	for _, w := range []Verdict{Pass, Inconclusive, Fail} {
		if w.String() == string(b) {
			*v = w
			return nil
		}
	}
	return fmt.Errorf("verdict %q: want pass, inconclusive or fail", b)
}

// Stakes says what a run put at risk. A run that risked nothing proves nothing.
type Stakes struct {
	Vacuous []string // why it proves nothing, the most telling first: a check had nothing at stake, a listed fault touched nothing
	Broken  error    // a check, a test or assay itself failed
}

// Why is why the stakes allow no pass, or "" where they do.
func (s Stakes) Why() string {
	switch {
	case s.Broken != nil:
		return s.Broken.Error()
	case len(s.Vacuous) > 0:
		return s.Vacuous[0]
	default:
		return ""
	}
}

// Of is the verdict on a run. A finding outranks everything; without one, only
// a run with something at stake, whose faults took hold and whose checks did
// not break, passes.
func Of(findings []Finding, s Stakes) Verdict {
	switch {
	case len(findings) > 0:
		return Fail
	case s.Why() != "":
		return Inconclusive
	default:
		return Pass
	}
}
