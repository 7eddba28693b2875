package volume

import (
	"context"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/volume/worker"
)

// Sync is how a test asks for what it wrote to be made durable.
type Sync string

// The ways. What each promises is in docs/promises.md.
const (
	NoSync    Sync = "none"
	Fsync     Sync = "fsync"
	Fdatasync Sync = "fdatasync"
	ODSync    Sync = "O_DSYNC"
	OSync     Sync = "O_SYNC"
	SyncFS    Sync = "syncfs"
	Msync     Sync = "msync"
)

// Sync makes durable what has returned of the file, in one of the ways; those
// that are asked for in open(2) have done so already.
func (f *File) Sync(ctx context.Context, how Access) error {
	var call func(*worker.File, func(worker.Answer)) error
	verb := "fsync"
	switch how.Sync {
	case SyncFS:
		return f.v.SyncFS(ctx)
	case Fsync:
		call = func(open *worker.File, hear func(worker.Answer)) error { return open.Fsync(ctx, hear) }
	case Fdatasync:
		verb = "fdatasync"
		call = func(open *worker.File, hear func(worker.Answer)) error { return open.Fdatasync(ctx, hear) }
	case Msync:
		call = func(open *worker.File, hear func(worker.Answer)) error { return open.Msync(ctx, hear) }
	default:
		return nil
	}
	_, err := f.onOpen(ctx, how, history.Synced, history.Record{Verb: verb}, call)
	return err
}

// SyncDir makes the names in a directory durable.
func (v *Volume) SyncDir(ctx context.Context, dir string) error {
	if dir == "." {
		dir = ""
	}
	_, _, err := v.one(ctx, history.Synced, history.Record{Verb: "syncdir", Object: dir}, func(w *worker.Worker, hear func(worker.Answer)) error {
		return w.SyncDir(ctx, v.below(dir), hear)
	})
	return err
}

// SyncFS makes all of the file system durable.
func (v *Volume) SyncFS(ctx context.Context) error {
	_, _, err := v.one(ctx, history.Synced, history.Record{Verb: "syncfs"}, func(w *worker.Worker, hear func(worker.Answer)) error {
		return w.SyncFS(ctx, hear)
	})
	return err
}
