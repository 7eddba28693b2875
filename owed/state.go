package owed

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-1b600011/assay/history"
)

// Version is a value that a register may hold, with the evidence that a
// finding shows.
type Version struct {
	Generation uint32 // 0 where Absent
	Size       int64  // of an object, in bytes; 0 of a range
	Absent     bool   // no such object; zeros in a range
	Damaged    bool   // a check has seen and blamed it: whatever is there is let pass
	Op         uint64
	Writer     uint32
	Verb       string        // empty: nobody wrote here yet; "check": what a check saw, by no operation known
	Issued     time.Duration // CLOCK_BOOTTIME, as in the history
	Ended      time.Duration // 0 while it may still take effect
	Outcome    history.Phase // Issued: never ended; Observed: seen to have taken effect
	Owed       bool          // a promise, and not only possible
}

// State is what one register may hold: an object as a whole, or a range of a
// file. The zero State allows nothing and is of no use.
type State struct {
	Target, Object string
	From, To       int64     // of a range; both 0: an object as a whole
	Allowed        []Version // in the order of issue; never empty

	whole   bool
	naming  bool // of a name, not of what it holds
	mayTear bool
	top     uint32 // the highest generation that was ever issued
	id      uint64 // content.Tag.Object of its bytes
	start   time.Duration
	book    *Book // whose history says whose the bytes are; nil: unknown
}

// MayBeAbsent tells whether no object, or zeros, is allowed.
func (s State) MayBeAbsent() bool {
	return slices.ContainsFunc(s.Allowed, func(v Version) bool { return v.Absent || v.Damaged })
}

// Generations are those that are allowed, in the order of issue.
func (s State) Generations() []uint32 {
	var out []uint32
	for _, v := range s.Allowed {
		if !v.Absent && !v.Damaged && !slices.Contains(out, v.Generation) {
			out = append(out, v.Generation)
		}
	}
	return out
}

// Newest is the version issued last: the best one to ask content.Classify for,
// with the other Generations as its also.
func (s State) Newest() Version {
	if len(s.Allowed) == 0 {
		return Version{Absent: true}
	}
	return s.Allowed[len(s.Allowed)-1]
}

// ID is the content.Tag.Object of the register's bytes.
func (s State) ID() uint64 { return s.id }

func (s *State) allow(ops []*op) {
	s.Allowed = make([]Version, 0, len(ops))
	for _, w := range ops {
		s.Allowed = append(s.Allowed, s.version(w))
	}
}

func (s *State) version(w *op) Version {
	v := Version{Generation: w.generation, Absent: w.value == nothing, Damaged: w.value == anything,
		Op: w.id, Writer: w.writer, Issued: w.began, Ended: w.over, Outcome: w.outcome, Owed: w.firm()}
	if w.verb != verbOther {
		v.Verb = w.verb.String()
	}
	if s.whole {
		v.Size = w.to
	}
	return v
}

// only is the one operation of ops that explains what was seen, if it is one.
func (s *State) only(ops []*op, seen Seen) (found *op) {
	for _, w := range ops {
		if s.fits(s.version(w), seen) {
			if found != nil {
				return nil
			}
			found = w
		}
	}
	return found
}

// newest is the youngest operation of ops that explains what was seen.
func (s *State) newest(ops []*op, seen Seen) *op {
	for _, w := range slices.Backward(ops) {
		if s.fits(s.version(w), seen) {
			return w
		}
	}
	return original()
}

// describe tells of v for a person.
func (s *State) describe(v Version) string {
	what := fmt.Sprintf("generation %d", v.Generation)
	switch {
	case v.Damaged:
		what = "damage seen before"
	case v.Absent && s.naming:
		what = "no such name"
	case s.naming:
		what = "the name"
	case v.Absent && s.whole:
		what = "absence"
	case v.Absent:
		what = "zeros"
	case s.whole:
		what += fmt.Sprintf(", %d bytes", v.Size)
	}
	switch v.Verb {
	case "":
		return what + " (nothing was written there)"
	case "check":
		return fmt.Sprintf("%s (seen by a check %s after start)", what, since(s.start, v.Ended))
	}
	return fmt.Sprintf("%s (%s, %s)", what, operation(v.Op, v.Writer, v.Verb), told(v.Outcome, v.Issued, v.Ended, s.start))
}

func operation(id uint64, writer uint32, verb string) string {
	if writer != 0 {
		return fmt.Sprintf("%s, operation %d of writer %d", verb, id, writer)
	}
	return fmt.Sprintf("%s, operation %d", verb, id)
}

func told(outcome history.Phase, issued, ended, start time.Duration) string {
	if outcome == history.Issued || outcome == history.Unknown {
		return fmt.Sprintf("issued %s after start, outcome unknown", since(start, issued))
	}
	return fmt.Sprintf("%s %s after start", outcome, since(start, ended))
}

func since(start, at time.Duration) string {
	return fmt.Sprintf("%.1f s", (at - start).Seconds())
}

// promise tells what was owed, for a finding: the promise itself if there is
// one, and how many other values would have been let pass.
func (s *State) promise() (text string, ops []uint64) {
	var told []string
	for _, v := range slices.Backward(s.Allowed) {
		if v.Op != 0 {
			ops = append(ops, v.Op)
		}
		if len(told) < 3 {
			told = append(told, s.describe(v))
		}
	}
	text = strings.Join(told, " or ")
	if more := len(s.Allowed) - len(told); more > 0 {
		text += fmt.Sprintf(", or %d more", more)
	}
	return text, ops
}
