package object

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/seed-1b600011/assay/owed"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
)

func registerList(r *scenario.Registry) {
	Check(r, scenario.Check{
		Name: "check-list", Doc: "reads the whole listing: every object that is owed is in it once, in order and with its size, and nothing else is",
		Controls: []scenario.Control{
			{Name: "one put in 10,000 never enters the listing", Wants: verdict.Lost, Scenario: control("check-list", "put", "{kind: list-hides, count: 1, skip: 4321}")},
			{Name: "one put in 10,000 is lost", Wants: verdict.Lost, Scenario: control("check-list", "put", "{kind: lose, count: 1, skip: 4321}")},
			{Name: "one deleted object in 10,000 stays in the listing", Wants: verdict.Resurrected, Scenario: control("check-list", "put, delete", "{kind: list-invents, count: 1, skip: 6789}")},
			{Name: "a clean run of puts, overwrites, deletes and reads", Scenario: control("check-list", "put, mixed: {operations: 20000}", "")},
		},
	}, struct{}{}, func(ctx context.Context, b *Bucket, book *owed.Book, _ struct{}) ([]verdict.Finding, error) {
		l := listing{bucket: b, book: book}
		err := l.judge(ctx)
		return l.found, err // what complete pages have shown stands
	})
}

// listing holds a bucket's listing against what is owed, both in order, one
// page at a time.
type listing struct {
	bucket *Bucket
	book   *owed.Book
	found  []verdict.Finding
}

func (l *listing) judge(ctx context.Context) error {
	l.bucket.env.Meter.Enter(verdict.Judge, length(l.book.Objects(l.bucket.real)))
	owedKeys, stop := iter.Pull(l.book.Objects(l.bucket.real))
	defer stop()
	key, more := owedKeys()
	last, first := "", true
	for o, err := range l.entries(ctx) {
		if err != nil {
			return err
		}
		if !first && o.Key <= last {
			l.blame(verdict.Corrupt, o.Key, "every key once, in the order of its bytes", fmt.Sprintf("it after %q", last))
			continue
		}
		last, first = o.Key, false
		for more && key < o.Key {
			l.unlisted(key)
			key, more = owedKeys()
		}
		if more && key == o.Key {
			l.listed(o)
			key, more = owedKeys()
			continue
		}
		l.blame(verdict.Corrupt, o.Key, "no such key: none was ever put", fmt.Sprintf("it in the listing, with %d bytes", o.Size))
	}
	for more {
		l.unlisted(key)
		key, more = owedKeys()
	}
	return l.confirm(ctx)
}

// entries are those of the whole listing.
func (l *listing) entries(ctx context.Context) iter.Seq2[Listed, error] {
	return func(yield func(Listed, error) bool) {
		after := ""
		for {
			page, more, err := l.page(ctx, after)
			if err != nil {
				yield(Listed{}, err)
				return
			}
			for _, o := range page {
				if !yield(o, nil) {
					return
				}
			}
			if !more {
				return
			}
			if len(page) == 0 || page[len(page)-1].Key <= after {
				yield(Listed{}, fmt.Errorf("the listing of %s does not come on after %q", l.bucket.real, after))
				return
			}
			after = page[len(page)-1].Key
			l.bucket.env.Meter.Done(int64(len(page)))
		}
	}
}

func (l *listing) page(ctx context.Context, after string) (page []Listed, more bool, err error) {
	err = l.bucket.store.ask(ctx, "list", false, func(ctx context.Context) (err error) {
		page, more, err = l.bucket.client.List(ctx, l.bucket.real, after, 1000)
		return err
	})
	return page, more, err
}

// unlisted judges a key that was issued and is not in the listing.
func (l *listing) unlisted(key string) {
	state := l.book.Object(l.bucket.real, key)
	if state.MayBeAbsent() {
		return
	}
	for _, d := range state.Judge(owed.Seen{}) {
		l.blame(verdict.Lost, key, d.Promised, "no such key in the listing")
		l.found[len(l.found)-1].Ops = d.Ops
	}
}

// listed judges an entry of a key that was issued.
func (l *listing) listed(o Listed) {
	state := l.book.Object(l.bucket.real, o.Key)
	if len(state.Generations()) == 0 {
		for _, d := range state.Judge(owed.Seen{Present: true, Size: o.Size}) {
			l.blame(d.Kind, o.Key, d.Promised, fmt.Sprintf("it in the listing, with %d bytes", o.Size))
			l.found[len(l.found)-1].Ops = d.Ops
			return
		}
		return
	}
	var sizes []int64
	for _, v := range state.Allowed {
		if !v.Absent {
			sizes = append(sizes, v.Size)
		}
	}
	if !slices.Contains(sizes, o.Size) {
		l.blame(verdict.Stale, o.Key, fmt.Sprintf("a size of %v bytes", sizes), fmt.Sprintf("%d bytes in the listing", o.Size))
	}
}

func (l *listing) blame(kind verdict.Kind, key, promised, found string) {
	now := time.Now()
	l.found = append(l.found, verdict.Finding{Kind: kind, Target: l.bucket.real, Object: key, Promised: promised, Found: found, First: now, Last: now})
}

// confirm asks for each key found once more, by a listing that begins right
// before it. One that the store does not answer shows nothing.
func (l *listing) confirm(ctx context.Context) error {
	for i := range l.found[:min(len(l.found), secondLooks)] {
		f := &l.found[i]
		page, _, err := l.page(ctx, before(f.Object))
		if err != nil {
			return err
		}
		there := slices.ContainsFunc(page, func(o Listed) bool { return o.Key == f.Object })
		f.Stable, f.Last = there == (f.Kind != verdict.Lost), time.Now()
		if !f.Stable {
			f.Found += changed(f.Last.Sub(f.First))
		}
	}
	return nil
}

// before is the greatest key of its length that is less than key, near enough:
// a listing after it shows key among its first entries.
func before(key string) string {
	if key == "" {
		return ""
	}
	b := []byte(key)
	if b[len(b)-1] == 0 {
		return string(b[:len(b)-1])
	}
	b[len(b)-1]--
	return string(b)
}
