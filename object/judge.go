package object

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-1b600011/assay/content"
	"github.com/seed-1b600011/assay/owed"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
)

// judged keeps what the history of a bucket obliges it to hold, folded once
// for all checks of a round.
type judged struct {
	mu    sync.Mutex
	round int
	folds *owed.Book
}

// book folds the history up to the end of the round.
func (j *judged) book(e *scenario.Env) (*owed.Book, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.folds != nil && j.round == e.Round() {
		return j.folds, nil
	}
	book, err := e.Book()
	if err != nil {
		return nil, err
	}
	j.folds, j.round = book, e.Round()
	return book, nil
}

const (
	readPause   = 200 * time.Millisecond // before the second look at a finding
	secondLooks = 100                    // findings that are looked at twice
)

// judging is one check's look at all objects.
type judging struct {
	view
	book *owed.Book

	mu     sync.Mutex
	found  []verdict.Finding
	looks  int   // second ones
	unread int64 // objects of which the store told nothing, though it answered others
	why    error // of the first of these
}

// judge reads every object that was ever put and holds it against what is
// owed, many at once. The findings stand, whatever the error says of other
// objects.
func (v view) judge(ctx context.Context, book *owed.Book) ([]verdict.Finding, error) {
	v.bucket.env.Meter.Enter(verdict.Judge, length(book.Objects(v.bucket.real)))
	j := judging{view: v, book: book}
	err := each(ctx, v.bucket.env.Plan.Concurrency, book.Objects(v.bucket.real), j.object)
	sortFindings(j.found)
	if j.unread > 0 {
		err = errors.Join(err, fmt.Errorf("%d objects could not be judged, the first: %w", j.unread, j.why))
	}
	return j.found, err
}

// object judges one object. An error ends the check.
func (j *judging) object(ctx context.Context, key string) error {
	state := j.book.Object(j.bucket.real, key)
	deviations, err := j.look(ctx, key, state, j.hasty())
	j.bucket.env.Meter.Done(1)
	if err != nil {
		return j.left(err)
	}
	if len(deviations) == 0 {
		return nil
	}
	first, same := time.Now(), false
	last := first
	if j.second() {
		if same, err = j.same(ctx, key, state, deviations); err == nil {
			last = time.Now()
		}
	}
	j.mu.Lock()
	for _, d := range deviations {
		f := j.finding(key, d)
		f.First, f.Last, f.Stable = first, last, same
		if last.After(first) && !same {
			f.Found += changed(last.Sub(first))
		}
		j.found = append(j.found, f)
	}
	j.mu.Unlock()
	return j.left(err)
}

// changed is what Found says where a second look has seen something else.
func changed(later time.Duration) string {
	return fmt.Sprintf("; %v later no longer", later.Round(time.Millisecond))
}

// hasty reports whether patience has been in vain for an object before.
func (j *judging) hasty() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.unread > 0
}

// second reports whether one more finding may be looked at twice.
func (j *judging) second() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.looks++
	return j.looks <= secondLooks
}

// left passes over an object of which the store told nothing for as long as
// patience lasted, unless it told nothing of others either.
func (j *judging) left(err error) error {
	if !isAway(err) || j.at.inVain() {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.unread++; j.unread == 1 {
		j.why = err
	}
	return nil
}

// same looks again, and reports whether the deviations are what they were. An
// error is no second look.
func (v view) same(ctx context.Context, key string, state owed.State, before []owed.Deviation) (bool, error) {
	time.Sleep(readPause)
	after, err := v.look(ctx, key, state, false)
	return err == nil && slices.EqualFunc(before, after, func(a, b owed.Deviation) bool {
		return a.Kind == b.Kind && a.From == b.From && a.To == b.To
	}), err
}

// look reads one object, as patiently as the store needs, and judges it.
func (v view) look(ctx context.Context, key string, state owed.State, hasty bool) ([]owed.Deviation, error) {
	want, also := v.expected(key, state)
	seen, err := v.patiently(ctx, key, want, also, hasty)
	if err != nil {
		return nil, err
	}
	return state.Judge(seen), nil
}

// patiently reads an object until the store has told all of it.
func (v view) patiently(ctx context.Context, key string, want content.Tag, also []content.Tag, hasty bool) (seen owed.Seen, err error) {
	err = v.at.ask(ctx, "get", hasty, func(ctx context.Context) (err error) {
		seen, err = v.read(ctx, key, want, also)
		return err
	})
	return seen, err
}

// Read reads one object as it is now, for a check that judges it. What the
// book allows is what its bytes are compared with. It is as patient as the store
// needs; an error says nothing of the object.
func (b *Bucket) Read(ctx context.Context, book *owed.Book, key string) (owed.Seen, error) {
	want, also := b.view().expected(key, book.Object(b.real, key))
	return b.view().patiently(ctx, key, want, also, false)
}

// Finding is a deviation of an object as the finding that a check returns.
func (b *Bucket) Finding(key string, d owed.Deviation) verdict.Finding {
	f := b.view().finding(key, d)
	f.First = time.Now()
	f.Last = f.First
	return f
}

// expected are the contents that the state allows: the newest, and the others.
func (v view) expected(key string, state owed.State) (want content.Tag, also []content.Tag) {
	generations := state.Generations()
	for i, g := range generations {
		if i == len(generations)-1 {
			want = v.bucket.Tag(key, g)
		} else {
			also = append(also, v.bucket.Tag(key, g))
		}
	}
	if len(generations) == 0 {
		want = v.bucket.Tag(key, 0) // no content is allowed; whose it is shows all the same
	}
	return want, also
}

// finding is a deviation of an object as a finding.
func (v view) finding(key string, d owed.Deviation) verdict.Finding {
	return verdict.Finding{Kind: d.Kind, Target: v.real, Object: key, From: d.From, To: d.To,
		Promised: d.Promised, Found: d.Found, Ops: d.Ops}
}

// observed are the deviations that reads while the tests ran have seen.
func (b *Bucket) observed(book *owed.Book) []verdict.Finding {
	var all []verdict.Finding
	now := time.Now()
	for _, d := range book.Observations() {
		if d.Target == b.real {
			f := b.view().finding(d.Object, d)
			f.First, f.Last = now, now
			all = append(all, f)
		}
	}
	return all
}

// once drops findings that say of the same object what another says: a loss
// that several reads met is one.
func once(fs []verdict.Finding) []verdict.Finding {
	type same struct {
		kind     verdict.Kind
		object   string
		from, to int64
	}
	seen := map[same]bool{}
	return slices.DeleteFunc(fs, func(f verdict.Finding) bool {
		k := same{f.Kind, f.Object, f.From, f.To}
		defer func() { seen[k] = true }()
		return seen[k]
	})
}

func sortFindings(fs []verdict.Finding) {
	slices.SortStableFunc(fs, func(a, b verdict.Finding) int {
		if c := strings.Compare(a.Object, b.Object); c != 0 {
			return c
		}
		return int(min(max(a.From-b.From, -1), 1))
	})
}

// length is how many values there are.
func length(values iter.Seq[string]) (n int64) {
	for range values {
		n++
	}
	return n
}

// each calls do for all values, as many at once as told, and stops at the
// first error.
func each(ctx context.Context, atOnce int, values iter.Seq[string], do func(context.Context, string) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan string, atOnce)
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() {
			for v := range queue {
				if err := do(ctx, v); err != nil {
					cancel(err)
				}
			}
		})
	}
	for v := range values {
		select {
		case queue <- v:
			continue
		case <-ctx.Done():
		}
		break
	}
	close(queue)
	workers.Wait()
	return context.Cause(ctx)
}
