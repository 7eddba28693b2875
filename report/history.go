package report

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/owed"
	"github.com/seed-1b600011/assay/verdict"
)

// Records says which records of a history are shown; the zero value shows all.
// Faults, rounds and checkpoints are always shown, but for those of another
// target than Target.
type Records struct {
	Target string // only those on this target
	// Object limits them to one object, under all the names that renames gave
	// it, with the syncs that cover it and what was done to the directories above.
	Object string
	// Ops limits them further: of what changes or reads the object, only these
	// operations.
	Ops []uint64
	// Rounds is how many rounds are shown, with what checks saw after the last
	// of them; 0: all.
	Rounds int
}

// OfFinding are the records that a finding rests on: the operations that made
// the promise, the syncs that cover them, and what checks saw, up to the round
// in which it was found.
func OfFinding(f verdict.Finding) Records {
	return Records{Target: f.Target, Object: f.Object, Ops: f.Ops, Rounds: f.Round + 1}
}

// A History is read from the beginning each time it is called, up to the first
// error, as by history.ReadDir.
type History func() iter.Seq2[history.Record, error]

// Text writes the records for a person, one a line, in the order in which they
// were appended, and then the operations that have no end. It holds no more
// than those, and with Object the names of files. An error of the history is
// returned after what could be read was written.
func (h History) Text(w io.Writer, which Records) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, lineForm, "SECONDS", "OPERATION", "WHAT", "OUTCOME", "ON WHAT")
	err := h.each(which, func(e entry) error {
		_, err := io.WriteString(out, e.line())
		return err
	})
	return errors.Join(err, out.Flush())
}

// each gives the entries that are shown to show, until that fails.
func (h History) each(which Records, show func(entry) error) error {
	f := newFollower(which)
	if which.Object != "" {
		for e, err := range h.entries() {
			if err != nil {
				break // it comes again
			}
			f.learn(e)
		}
		f.again()
	}
	rounds := 0
	for e, err := range h.entries() {
		if err != nil {
			return err
		}
		if e.Phase == history.Round {
			rounds = e.round
		}
		if which.Rounds > 0 && rounds >= which.Rounds && e.Phase == history.Issued && !e.underWay {
			return nil
		}
		if !f.wants(e) {
			continue
		}
		if err := show(e); err != nil {
			return err
		}
	}
	return nil
}

// entry is a record as it is shown: one that ends an operation repeats what
// that was begun with.
type entry struct {
	history.Record
	since    time.Duration // since the first record of the history
	took     time.Duration // of an operation's end: since it was issued
	name     string        // the new name, of a rename or a link
	round    int           // that a Round ends, or that cut an operation off; from 1
	folded   int           // records in the checkpoint that ends here
	underWay bool          // the operation has no end; the record is that of its beginning
	seen     *owed.Seen    // of what was Observed
}

type opKey struct {
	writer uint32
	op     uint64
}

// open is an operation that has no end yet.
type open struct {
	entry
	cut int // the round whose end it did not live to see; 0: none
}

// joiner makes entries of records.
type joiner struct {
	start   time.Duration
	started bool
	open    map[opKey]open
	round   int
	cut     map[string]bool // targets of the Rounds since an operation was issued
	folding bool
	folded  int
}

// entries are the records with what they need to be read on their own. After
// the last, or before an error, come the operations that have no end.
func (h History) entries() iter.Seq2[entry, error] {
	return func(yield func(entry, error) bool) {
		j := &joiner{open: map[opKey]open{}}
		var failed error
		for r, err := range h() {
			if failed = err; err != nil {
				break
			}
			for _, e := range j.take(r) {
				if !yield(e, nil) {
					return
				}
			}
		}
		for _, e := range j.left(false) {
			if !yield(e, nil) {
				return
			}
		}
		if failed != nil {
			yield(entry{}, failed)
		}
	}
}

// take gives the entries that a record makes: mostly one.
func (j *joiner) take(r history.Record) []entry {
	if j.fold(r) {
		return nil
	}
	if !j.started && r.Phase != history.Checkpoint {
		j.started, j.start = true, r.At
	}
	e := entry{Record: r, since: r.At - j.start}
	key := opKey{r.Writer, r.Op}
	switch r.Phase {
	case history.Issued:
		if r.Verb == "rename" || r.Verb == "link" {
			e.name = string(r.Detail)
		}
		j.open[key] = open{entry: e}
		if j.cut != nil { // of what the last round cut off, nothing more can come
			j.cut = nil
			return append(j.left(true), e)
		}
	case history.Acknowledged, history.Refused, history.Unknown, history.Synced:
		e = j.end(e, key)
	case history.Observed:
		e = j.observed(e, key)
	case history.Round:
		e.round = j.ends(e)
	case history.Checkpoint:
		e.folded, j.folded = j.folded, 0
	}
	return []entry{e}
}

// fold counts the records of a checkpoint instead of showing them: they are
// not what was done, but what it comes to.
func (j *joiner) fold(r history.Record) bool {
	switch {
	case r.Phase == history.Checkpoint && r.To == 0:
		j.folding = true
		return true
	case r.Phase == history.Checkpoint:
		j.folding = false
	case j.folding:
		if j.folded == 0 { // this one has the time from which owed.Book counts
			j.started, j.start = true, r.At
		}
		j.folded++
		return true
	}
	return false
}

// end is the end of an operation with what it was begun with.
func (j *joiner) end(e entry, key opKey) entry {
	begun, ok := j.open[key]
	if !ok {
		return e
	}
	delete(j.open, key)
	e.took, e.name = e.At-begun.At, begun.name
	e.Verb, e.Target, e.Object = begun.Verb, begun.Target, begun.Object
	if e.From == 0 && e.To == 0 && e.Generation == 0 {
		e.From, e.To, e.Generation = begun.From, begun.To, begun.Generation
	}
	return e
}

// observed is what a read or a check saw. An operation that is not ended yet
// goes on.
func (j *joiner) observed(e entry, key opKey) entry {
	if begun, ok := j.open[key]; ok && e.Op != 0 {
		e.took = e.At - begun.At
		if e.Verb == "" {
			e.Verb, e.Target, e.Object = begun.Verb, begun.Target, begun.Object
		}
	}
	if seen, err := owed.SeenIn(e.Record); err == nil {
		e.seen = &seen
	}
	return e
}

// ends is the number of the round that ends, of which each target has a record.
func (j *joiner) ends(e entry) int {
	if j.cut == nil || e.Target == "" || j.cut[e.Target] || j.cut[""] {
		j.round++
		j.cut = map[string]bool{}
	}
	j.cut[e.Target] = true
	for key, o := range j.open {
		if o.cut == 0 && (e.Target == "" || e.Target == o.Target) {
			o.cut = j.round
			j.open[key] = o
		}
	}
	return j.round
}

// left are the operations without an end: those that a round has cut off, or all.
func (j *joiner) left(cut bool) []entry {
	var all []entry
	for _, key := range slices.SortedFunc(maps.Keys(j.open), compareOps) {
		o := j.open[key]
		if cut && o.cut == 0 {
			continue
		}
		o.underWay, o.round = true, o.cut
		all = append(all, o.entry)
		delete(j.open, key)
	}
	return all
}

func compareOps(a, b opKey) int {
	if a.writer != b.writer {
		return int(int64(a.writer) - int64(b.writer))
	}
	return int(int64(a.op - b.op))
}
