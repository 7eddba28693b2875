package volume

import (
	"context"
	"errors"
	"path"
	"sync"
	"syscall"
	"time"

	"github.com/seed-1b600011/assay/content"
	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/owed"
	"github.com/seed-1b600011/assay/volume/worker"
)

// File is a file of a volume that this run has made and knows. Its methods may
// be called by several goroutines at once; of two writes to one range at the
// same time either may win.
type File struct {
	v  *Volume
	id uint64 // owed.FileID: its content's object

	mu         sync.Mutex
	path       string
	size       int64
	generation uint32 // the last that was given
	open       *worker.File
	how        Access // it is open
}

// Access is how a file is opened for writing. The zero value goes through the
// page cache.
type Access struct {
	Direct bool  // O_DIRECT, for what is aligned to 4096 bytes
	Sync   Sync  // ODSync and OSync open it so
	Mapped bool  // writes go through a shared mapping
	Depth  int64 // blocks of one Write in the kernel at the same time; 0: 1
}

// Path is where the file is, as far as this run has seen.
func (f *File) Path() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.path
}

// Size is the size that the file was last given, in bytes.
func (f *File) Size() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.size
}

// Next is a generation that no content of the file has had.
func (f *File) Next() uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.generation++
	return f.generation
}

func (f *File) tag(generation uint32) content.Tag { return f.v.tag(f.id, generation) }

func (v *Volume) tag(id uint64, generation uint32) content.Tag {
	return content.Tag{Seed: uint64(v.env.Plan.Draw("content")), Object: id, Generation: generation}
}

// maxFailing is how many operations in a row may be refused while no fault is
// on before a test gives up: the rest would only take time. That there is no
// space left does not count.
const maxFailing = 64

// operation is what of one is the same for all.
type operation struct {
	v     *Volume
	began time.Time
	ids   []uint64
	good  history.Phase // of those that succeed
	errno syscall.Errno // of the first that failed
	err   error         // of the history
	depth int           // so many at the same time; 0: 1
	done  []time.Duration
	bytes []int64
}

// begin writes the operations into the history, before any of them begins.
func (v *Volume) beginOps(ctx context.Context, good history.Phase, records ...history.Record) (*operation, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	o := &operation{v: v, good: good}
	for _, r := range records {
		if r.Verb != "get" {
			v.changes.Add(1)
		}
		r.Target = v.Name()
		id, err := v.env.History.Begin(r)
		if err != nil {
			return nil, err
		}
		o.ids = append(o.ids, id)
	}
	v.begun.Add(int64(len(o.ids)))
	v.atWork.Add(int64(len(o.ids)))
	o.began = time.Now()
	return o, nil
}

// hear writes an outcome into the history, as soon as it is known.
func (o *operation) hear(a worker.Answer) {
	r := history.Record{Op: o.ids[a.Index], Phase: o.good}
	if a.Errno != 0 {
		r.Phase, r.Detail = history.Refused, []byte(a.Errno.Error())
		if o.errno == 0 {
			o.errno = a.Errno
		}
	}
	if err := o.v.env.History.Append(r); err != nil {
		o.err = errors.Join(o.err, err)
	}
	o.done = append(o.done, time.Since(o.began))
	o.bytes = append(o.bytes, a.Bytes)
}

// end counts what was done, and gives the errno of the first that failed.
func (o *operation) end(ctx context.Context, asked error) (syscall.Errno, error) {
	o.v.atWork.Add(-int64(len(o.ids)))
	if asked != nil {
		if errors.Is(asked, worker.ErrEnded) || ctx.Err() != nil {
			return 0, o.v.ends(ctx, asked)
		}
		return 0, asked
	}
	if o.err != nil {
		return 0, o.err
	}
	for i, at := range o.done {
		var before time.Duration // when it can have begun: as the one that made room for it had ended
		if from := i - max(1, o.depth); from >= 0 {
			before = o.done[from]
		}
		phase := o.good
		if o.bytes[i] == 0 && o.errno != 0 {
			phase = history.Refused
		}
		o.v.env.Meter.Operation(ctx, phase, o.bytes[i], at-before)
	}
	return o.errno, o.v.patience(ctx, o.errno)
}

// patience slows a test down that meets nothing but errors, and in the end
// gives it up.
func (v *Volume) patience(ctx context.Context, errno syscall.Errno) error {
	if errno == 0 || errno == syscall.ENOSPC || errno == syscall.EDQUOT {
		v.failing.Store(0)
		return nil
	}
	n := v.failing.Add(1)
	if v.env.FaultsOn() == 0 && n >= maxFailing {
		return v.ends(ctx, &refusals{n, errno})
	}
	select {
	case <-time.After(time.Millisecond):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// one is an operation with a single answer.
func (v *Volume) one(ctx context.Context, good history.Phase, r history.Record, call func(*worker.Worker, func(worker.Answer)) error) (uint64, syscall.Errno, error) {
	w, err := v.at()
	if err != nil {
		return 0, 0, err
	}
	o, err := v.beginOps(ctx, good, r)
	if err != nil {
		return 0, 0, err
	}
	errno, err := o.end(ctx, call(w, o.hear))
	return o.ids[0], errno, err
}

// Create makes a file that is not there, and the directories above it. It gives
// nil where the file system refused.
func (v *Volume) Create(ctx context.Context, p string, how Access) (*File, error) {
	if err := v.mkdirs(ctx, path.Dir(p)); err != nil {
		return nil, err
	}
	f := &File{v: v, path: p, how: how}
	id, errno, err := v.one(ctx, history.Acknowledged, history.Record{Verb: "create", Object: p}, func(w *worker.Worker, hear func(worker.Answer)) (err error) {
		f.open, err = w.Open(ctx, v.below(p), how.flags()|worker.Create, hear)
		return err
	})
	if err != nil || errno != 0 {
		return nil, err
	}
	f.id = owed.FileID(0, id)
	v.mu.Lock()
	v.files[p] = f
	v.mu.Unlock()
	return f, nil
}

func (a Access) flags() int {
	flags := worker.Write
	if a.Direct {
		flags |= worker.Direct
	}
	switch a.Sync {
	case ODSync:
		flags |= worker.DataSync
	case OSync:
		flags |= worker.FullSync
	}
	return flags
}

// opened opens the file in the way that is wanted, unless it is. false: the
// file system refused.
func (f *File) opened(ctx context.Context, how Access) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open != nil && f.how == how {
		return true, nil
	}
	if f.open != nil {
		if err := f.shut(ctx); err != nil {
			return false, err
		}
	}
	w, err := f.v.at()
	if err != nil {
		return false, err
	}
	var errno syscall.Errno
	open, err := w.Open(ctx, f.v.below(f.path), how.flags(), func(a worker.Answer) { errno = a.Errno })
	if err != nil {
		return false, f.v.ends(ctx, err)
	}
	if errno != 0 {
		return false, f.v.patience(ctx, errno)
	}
	f.open, f.how = open, how
	return true, nil
}

// Close closes the file, if it is one and open. What that says of earlier writes is no
// promise (close(2)).
func (f *File) Close(ctx context.Context) error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open == nil {
		return nil
	}
	return f.shut(ctx)
}

func (f *File) shut(ctx context.Context) error {
	open := f.open
	f.open = nil
	if err := open.Close(ctx, func(worker.Answer) {}); err != nil {
		return f.v.ends(ctx, err)
	}
	return nil
}

// runBytes and runBlocks are how much is asked for at once at most: little, as
// all of it counts as begun, and is held in memory.
const (
	runBytes  = 2 << 20
	runBlocks = 4096
)

// Write writes a generation to [from, to) in blocks. It goes on after errors:
// they are in the history.
func (f *File) Write(ctx context.Context, how Access, generation uint32, from, to, block int64) error {
	ok, err := f.opened(ctx, how)
	if err != nil || !ok {
		return err
	}
	run := block * min(max(1, runBytes/block), runBlocks)
	for at := from; at < to; at += run {
		if err := f.writeRun(ctx, how, generation, at, min(at+run, to), block); err != nil {
			return err
		}
	}
	return nil
}

func (f *File) writeRun(ctx context.Context, how Access, generation uint32, from, to, block int64) error {
	f.mu.Lock()
	p, open := f.path, f.open
	f.mu.Unlock()
	if open == nil {
		return nil // another goroutine met an error
	}
	good, itself := history.Acknowledged, []byte(nil)
	if how.Sync == ODSync || how.Sync == OSync {
		good, itself = history.Synced, []byte(how.Sync) // one that fails is a failed sync too
	}
	var records []history.Record
	for at := from; at < to; at += block {
		records = append(records, history.Record{Verb: "write", Object: p, From: at, To: min(at+block, to), Generation: generation, Detail: itself})
	}
	o, err := f.v.beginOps(ctx, good, records...)
	if err != nil {
		return err
	}
	t := f.tag(generation)
	if how.Mapped {
		err = open.WriteMapped(ctx, t, from, to, block, o.hear)
	} else {
		o.depth = max(1, int(how.Depth))
		err = open.WriteAtOnce(ctx, t, from, to, block, int64(o.depth), o.hear)
	}
	errno, err := o.end(ctx, err)
	if err == nil && errno == 0 {
		f.mu.Lock()
		f.size = max(f.size, to)
		f.mu.Unlock()
	}
	return err
}

// Truncate sets the size.
func (f *File) Truncate(ctx context.Context, how Access, size int64) error {
	errno, err := f.onOpen(ctx, how, history.Acknowledged, history.Record{Verb: "truncate", To: size},
		func(open *worker.File, hear func(worker.Answer)) error { return open.Truncate(ctx, size, hear) })
	if err == nil && errno == 0 {
		f.mu.Lock()
		f.size = size
		f.mu.Unlock()
	}
	return err
}

// Punch makes a hole of [from, to), which then reads as zeros.
func (f *File) Punch(ctx context.Context, how Access, from, to int64) error {
	_, err := f.onOpen(ctx, how, history.Acknowledged, history.Record{Verb: "punch", From: from, To: to},
		func(open *worker.File, hear func(worker.Answer)) error { return open.Punch(ctx, from, to, hear) })
	return err
}

// Grow allocates the space of the first size bytes, and makes the file as long
// as that if it is shorter: what is new reads as zeros. A file system may grow
// the file in steps and stop at any of them (fallocate(2) names no half effects;
// ext4 leaves them).
func (f *File) Grow(ctx context.Context, how Access, size int64) error {
	errno, err := f.onOpen(ctx, how, history.Acknowledged, history.Record{Verb: "allocate", To: size},
		func(open *worker.File, hear func(worker.Answer)) error { return open.Allocate(ctx, 0, size, hear) })
	if err == nil && errno == 0 {
		f.mu.Lock()
		f.size = max(f.size, size)
		f.mu.Unlock()
	}
	return err
}

func (f *File) onOpen(ctx context.Context, how Access, good history.Phase, r history.Record, call func(*worker.File, func(worker.Answer)) error) (syscall.Errno, error) {
	ok, err := f.opened(ctx, how)
	if err != nil || !ok {
		return syscall.EBADF, err
	}
	f.mu.Lock()
	r.Object = f.path
	open := f.open
	f.mu.Unlock()
	_, errno, err := f.v.one(ctx, good, r, func(_ *worker.Worker, hear func(worker.Answer)) error { return call(open, hear) })
	return errno, err
}
