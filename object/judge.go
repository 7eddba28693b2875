package object

import (
	"context"
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
	readTries   = 3                      // before an error that is the object's counts
	readPause   = 200 * time.Millisecond // between them, and before the second look at a finding
	secondLooks = 100                    // findings that are looked at twice
)

// judge reads every object that was ever put and holds it against what is
// owed, many at once.
func (v view) judge(ctx context.Context, book *owed.Book) ([]verdict.Finding, error) {
	v.bucket.env.Meter.Enter(verdict.Judge, length(book.Objects(v.bucket.real)))
	var mu sync.Mutex
	var all []verdict.Finding
	looks := 0
	err := each(ctx, v.bucket.env.Plan.Concurrency, book.Objects(v.bucket.real), func(ctx context.Context, key string) error {
		state := book.Object(v.bucket.real, key)
		deviations, err := v.look(ctx, key, state)
		v.bucket.env.Meter.Done(1)
		if err != nil || len(deviations) == 0 {
			return err
		}
		first := time.Now()
		mu.Lock()
		again := looks < secondLooks
		looks++
		mu.Unlock()
		last, stable := first, true
		if again {
			stable, err = v.same(ctx, key, state, deviations)
			last = time.Now()
		}
		mu.Lock()
		defer mu.Unlock()
		for _, d := range deviations {
			f := v.finding(key, d)
			f.First, f.Last, f.Stable = first, last, stable && again
			all = append(all, f)
		}
		return err
	})
	sortFindings(all)
	return all, err
}

// look reads one object and judges it.
func (v view) look(ctx context.Context, key string, state owed.State) ([]owed.Deviation, error) {
	want, also := v.expected(key, state)
	var seen owed.Seen
	var err error
	for try := range readTries {
		if try > 0 {
			time.Sleep(readPause)
		}
		seen, err = v.read(ctx, key, want, also)
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil && statusOf(err) == 0 && !seen.Present:
		return nil, fmt.Errorf("%s does not answer: %w", v.bucket.store.place, err) // the store is gone, not the object
	case err != nil:
		seen.Present, seen.Err = true, err.Error()
	}
	return state.Judge(seen), nil
}

// Read reads one object as it is now, for a check that judges it. What the
// book allows is what its bytes are compared with.
func (b *Bucket) Read(ctx context.Context, book *owed.Book, key string) (owed.Seen, error) {
	want, also := b.view().expected(key, book.Object(b.real, key))
	return b.view().read(ctx, key, want, also)
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

// same looks again: whether the deviations are what they were.
func (v view) same(ctx context.Context, key string, state owed.State, before []owed.Deviation) (bool, error) {
	time.Sleep(readPause)
	after, err := v.look(ctx, key, state)
	return slices.EqualFunc(before, after, func(a, b owed.Deviation) bool {
		return a.Kind == b.Kind && a.From == b.From && a.To == b.To
	}), err
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
