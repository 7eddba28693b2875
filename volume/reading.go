package volume

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/owed"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
	"github.com/seed-1b600011/assay/volume/worker"
)

// A check reads when every fault is off: what a disk does to reads alone
// (corrupt-reads, stale-reads) is gone by then. read-files reads while faults
// are on and records what it saw, for check-files to judge. A read goes to the
// disk only where the kernel lets go of the file's pages, which it does of those
// that are written back; what it still has in memory no fault of reads touches.

func registerReading(r *scenario.Registry) {
	Test(r, scenario.Test{Name: "read-files", Doc: "reads every file once, writing first those that are not there; check-files judges what was seen"}, struct{}{},
		func(ctx context.Context, v *Volume, f *Files, _ struct{}) error {
			if err := f.each(ctx, func(i int64) error { return f.there(ctx, i) }); err != nil {
				return err
			}
			return f.each(ctx, func(i int64) error { return f.read(ctx, i) })
		})
}

// there makes file number i, synced, where this run knows of none.
func (f *Files) there(ctx context.Context, i int64) error {
	file, err := f.Ensure(ctx, i, writing{Sync: Fsync})
	return errors.Join(err, file.Close(ctx))
}

func (f *Files) read(ctx context.Context, i int64) error {
	for _, p := range []string{f.Path(i), moved(f.Path(i))} {
		if file := f.v.File(p); file != nil {
			return file.Read(ctx)
		}
	}
	return nil // the file system has refused it
}

// Read reads all of the file and writes what it saw into the history. It is for
// files that nobody writes to meanwhile: of others nothing is concluded.
func (f *File) Read(ctx context.Context) error {
	v, p := f.v, f.Path()
	w, err := v.at()
	if err != nil {
		return err
	}
	book, err := v.reading.book(v)
	if err != nil {
		return err
	}
	o, err := v.beginOps(ctx, history.Acknowledged, history.Record{Verb: "get", Object: p})
	if err != nil {
		return err
	}
	r, errno, err := w.ReadParts(ctx, v.below(p), 0, v.expected(book, p))
	if err == nil && errno == 0 {
		seen := owed.Seen{Present: true, Size: r.Size, Spans: r.Spans}.Record(f.id)
		seen.Op, seen.Verb, seen.Target, seen.Object = o.ids[0], "get", v.Name(), p
		err = v.env.History.Append(seen)
	}
	if err == nil {
		o.hear(worker.Answer{Errno: errno, Bytes: r.Size})
	}
	if _, err := o.end(ctx, err); err != nil {
		return fmt.Errorf("read %q: %w", p, err)
	}
	return nil
}

// lately is what the volume was obliged to hold not long ago: it says which
// contents the bytes of a file are compared with. The history is folded again
// only when something has changed since.
type lately struct {
	mu      sync.Mutex
	folded  *owed.Book
	changes int64 // of the volume, when it was folded
}

func (l *lately) book(v *Volume) (*owed.Book, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	changes := v.changes.Load()
	if l.folded != nil && l.changes == changes {
		return l.folded, nil
	}
	book, err := v.env.Book()
	if err != nil {
		return nil, err
	}
	l.folded, l.changes = book, changes
	return book, nil
}

// forget is for when the round has ended: what is there then was not known before.
func (l *lately) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.folded = nil
}

// observed are the deviations that reads have seen and no check has told of.
func (v *Volume) observed(book *owed.Book) (all []verdict.Finding) {
	now, seen := time.Now(), 0
	for _, d := range book.Observations() {
		if d.Target != v.Name() {
			continue
		}
		if seen++; seen > v.observations {
			all = append(all, v.finding(d, now, now, false))
		}
	}
	v.observations = seen
	return all
}
