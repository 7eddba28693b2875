package owed

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-1b600011/assay/history"
)

// Rule says what the storage of a target promises. The zero Rule is that of a
// bucket: what was acknowledged is owed, whole. Volumes are {NeedsSync: true,
// MayTear: true}; a target whose rule has either field set is taken for one.
type Rule struct {
	NeedsSync  bool // after a power cut only what a returned sync covered is owed
	MayTear    bool // what is being overwritten may be old in one part and new in another
	FsyncNames bool // an fsync owes the file's names and their directories too, as the file system documents
}

func (r Rule) volume() bool { return r.NeedsSync || r.MayTear }

// Book is what a history obliges targets to hold. It does not change after
// Fold returned it; all methods may be called at the same time.
type Book struct {
	indexing   sync.Mutex // of the owners
	rule       func(string) Rule
	targets    map[string]*target
	deviations []Deviation

	start    time.Duration // At of the first record
	started  bool
	position int64 // of the record being folded, from 1
	open     map[opKey]*pending
	cutOff   map[opKey]struct{} // ended by a round: what is said of them later counts for nothing
}

// opKey names an operation among all writers.
type opKey struct {
	id     uint64
	writer uint32
}

// target is one bucket or one volume.
type target struct {
	name     string
	rule     Rule
	lines    int64 // that programs have promised
	answered int64 // operations that have ended with an answer
	survived []Survived

	objects map[string]*object // of a bucket

	root     *file // of a volume
	files    []*file
	byNumber map[uint64]*file
	unknown  []*op // ended without an answer since the last round
	cut      int64 // position of the last power cut
	medium   bool  // a cut came and nothing was done since: what is seen lies on the medium
	faults   int   // on now, of those that drop what is not durable

	owner   map[uint64]string // built by Owner
	syncs   []int64           // of the whole volume, under way: where they were issued, in order
	renames map[int64]*op     // while a checkpoint is read: the new names, by their issue
}

// pending is an operation that has not ended.
type pending struct {
	target    *target
	verb      verb
	issued    int64
	ops       []*op
	object    *object // of a get
	threshold int64   // of a get: the object's, when it was issued
	file      *file   // of a sync: its file or directory; nil: everything. Of a write that syncs itself: its file. Of a get of a volume: what it reads
	missing   string  // why it can have no effect
}

// Fold reads a history to its end. It fails with the first error of records,
// and where the records cannot be a history: an operation that ends without
// having begun, a verb on the wrong kind of target, an acknowledged write to a
// file that no operation made. It keeps nothing of a record but its strings.
func Fold(records iter.Seq2[history.Record, error], rule func(target string) Rule) (*Book, error) {
	b := &Book{rule: rule}
	b.reset()
	for r, err := range records {
		if err != nil {
			return nil, fmt.Errorf("owed: read the history: %w", err)
		}
		b.position++
		if !b.started && r.Phase != history.Checkpoint {
			b.started, b.start = true, r.At
		}
		if err := b.fold(r); err != nil {
			return nil, fmt.Errorf("owed: record %d (%s %s of operation %d, writer %d, on %s/%s): %w",
				b.position, r.Phase, r.Verb, r.Op, r.Writer, r.Target, r.Object, err)
		}
	}
	return b, nil
}

func (b *Book) reset() {
	b.targets, b.open, b.cutOff = map[string]*target{}, map[opKey]*pending{}, map[opKey]struct{}{}
	b.deviations, b.started = nil, false
}

func (b *Book) fold(r history.Record) error {
	switch r.Phase {
	case history.Issued:
		return b.issue(r)
	case history.Acknowledged, history.Refused, history.Unknown, history.Synced:
		return b.end(r)
	case history.Observed:
		switch {
		case r.Verb == statement:
			return b.restore(r)
		case verbOf(r.Verb) == verbCheck:
			return b.checked(r)
		}
		return b.read(r)
	case history.Round:
		return b.round(r)
	case history.FaultOn, history.FaultOff:
		return b.fault(r)
	case history.Checkpoint:
		if r.To == 0 {
			b.reset() // what follows says all of it again
		}
	}
	return nil
}

func (b *Book) target(name string) *target {
	t := b.targets[name]
	if t == nil {
		name = strings.Clone(name)
		t = &target{name: name, rule: b.rule(name)}
		if t.rule.volume() {
			t.root = &file{dir: true, entries: map[string]*register{}}
			t.files, t.byNumber = []*file{t.root}, map[uint64]*file{}
		} else {
			t.objects = map[string]*object{}
		}
		b.targets[name] = t
	}
	return t
}

// issue begins an operation.
func (b *Book) issue(r history.Record) error {
	key := opKey{r.Op, r.Writer}
	delete(b.cutOff, key)
	if r.Op == 0 {
		return fmt.Errorf("an operation needs a number above 0")
	}
	if _, twice := b.open[key]; twice {
		return fmt.Errorf("it was issued before and has not ended")
	}
	v := verbOf(r.Verb)
	t := b.target(r.Target)
	p := &pending{target: t, verb: v, issued: b.position}
	volume := t.rule.volume()
	switch {
	case v.onBucket() && volume, v.onVolume() && !volume:
		return fmt.Errorf("%s is no verb of this kind of target", r.Verb)
	case volume:
		if err := b.issueVolume(p, r); err != nil {
			return err
		}
	default:
		b.issueBucket(p, r)
	}
	b.open[key] = p
	return nil
}

// newOp is the operation that r begins, as it stands before it ends.
func (b *Book) newOp(v verb, r history.Record) *op {
	return &op{issued: b.position, ended: forever, began: r.At, from: r.From, to: r.To, id: r.Op,
		writer: r.Writer, generation: r.Generation, verb: v, outcome: history.Issued}
}

// end ends an operation.
func (b *Book) end(r history.Record) error {
	key := opKey{r.Op, r.Writer}
	p := b.open[key]
	if p == nil {
		if _, late := b.cutOff[key]; late {
			return nil
		}
		return fmt.Errorf("it ends but is not under way")
	}
	delete(b.open, key)
	t := p.target
	done := r.Phase == history.Acknowledged || r.Phase == history.Synced
	if done && p.missing != "" {
		return fmt.Errorf("acknowledged, though %s", p.missing)
	}
	t.count(p, r.Phase)
	for _, w := range p.ops {
		b.finish(t, w, r, done)
	}
	switch {
	case p.verb == verbGet && p.object != nil:
		p.object.readers--
	case p.syncs():
		b.endSync(p, r.Phase)
	}
	if p.object != nil { // of a bucket
		p.object.prune()
	}
	for _, w := range p.ops {
		if w.durable && t.rule.volume() {
			t.seal(w, b.position)
			if f := w.name.file; f != nil {
				f.size.prune()
			}
		}
	}
	return nil
}

// finish gives w its outcome.
func (b *Book) finish(t *target, w *op, r history.Record, done bool) {
	seen := w.outcome == history.Observed
	if seen && !done {
		return // refused or unknown, but a read saw that it took effect
	}
	w.outcome, w.over = r.Phase, r.At
	switch r.Phase {
	case history.Unknown:
		t.unknown = append(t.unknown, w)
		return
	case history.Synced:
		w.durable = !w.void
	case history.Acknowledged:
		w.durable = !t.rule.NeedsSync && !w.void
	}
	if !seen {
		w.ended = b.position
	}
}

// Observations are the promises that reads found broken while operations were
// going on, in the order of the history.
func (b *Book) Observations() []Deviation { return slices.Clone(b.deviations) }

// Targets are the targets of the history, by name.
func (b *Book) Targets() iter.Seq[string] { return slices.Values(slices.Sorted(maps.Keys(b.targets))) }
