package worker

import (
	"context"
	"fmt"

	"github.com/seed-1b600011/assay/content"
	"golang.org/x/sys/unix"
)

// File is a file that the child has open.
type File struct {
	w      *Worker
	handle uint64
}

// hear functions get the answer in the goroutine that reads all answers: they
// must not wait for anything.

// Open opens a file with flags of open(2), in the mode 0644 where it makes one.
// The file is to be used only if the answer has no errno.
func (w *Worker) Open(ctx context.Context, path string, flags int, hear func(Answer)) (*File, error) {
	w.mu.Lock()
	w.file++
	f := &File{w, w.file}
	w.mu.Unlock()
	return f, w.one(ctx, request{op: opOpen, file: f.handle, path: path, flags: int64(flags)}, hear)
}

// Close closes the file.
func (f *File) Close(ctx context.Context, hear func(Answer)) error {
	return f.w.one(ctx, request{op: opClose, file: f.handle}, hear)
}

// Write writes the content t to [from, to) in blocks of so many bytes, one
// after the other; hear is called for each as it has returned. After one that
// failed the rest is not begun: ECANCELED.
func (f *File) Write(ctx context.Context, t content.Tag, from, to, block int64, hear func(Answer)) error {
	return f.write(ctx, opWrite, t, from, to, block, 1, hear)
}

// WriteAtOnce is Write with so many blocks in the kernel at the same time; they
// end, and are heard of, in any order.
func (f *File) WriteAtOnce(ctx context.Context, t content.Tag, from, to, block, depth int64, hear func(Answer)) error {
	return f.write(ctx, opWrite, t, from, to, block, depth, hear)
}

// WriteMapped is Write through a shared mapping; the file must be as long as
// that already.
func (f *File) WriteMapped(ctx context.Context, t content.Tag, from, to, block int64, hear func(Answer)) error {
	return f.write(ctx, opMapWrite, t, from, to, block, 1, hear)
}

func (f *File) write(ctx context.Context, o op, t content.Tag, from, to, block, depth int64, hear func(Answer)) error {
	if block <= 0 {
		return fmt.Errorf("worker: write in blocks of %d bytes", block)
	}
	answers := int(max(1, (to-from+block-1)/block))
	return f.w.ask(ctx, request{op: o, file: f.handle, flags: depth, from: from, to: to, block: block, tags: []content.Tag{t}}, answers, hear)
}

// Truncate sets the size.
func (f *File) Truncate(ctx context.Context, size int64, hear func(Answer)) error {
	return f.w.one(ctx, request{op: opTruncate, file: f.handle, to: size}, hear)
}

// Allocate allocates [from, to), which reads as zeros where nothing was written;
// the file is then at least that long (fallocate(2), mode 0).
func (f *File) Allocate(ctx context.Context, from, to int64, hear func(Answer)) error {
	return f.w.one(ctx, request{op: opAllocate, file: f.handle, from: from, to: to}, hear)
}

// Punch makes a hole of [from, to).
func (f *File) Punch(ctx context.Context, from, to int64, hear func(Answer)) error {
	return f.w.one(ctx, request{op: opPunch, file: f.handle, from: from, to: to}, hear)
}

// Fsync, Fdatasync and Msync sync the file; Msync what WriteMapped wrote.
func (f *File) Fsync(ctx context.Context, hear func(Answer)) error {
	return f.w.one(ctx, request{op: opFsync, file: f.handle}, hear)
}

// Fdatasync is fdatasync(2).
func (f *File) Fdatasync(ctx context.Context, hear func(Answer)) error {
	return f.w.one(ctx, request{op: opFdatasync, file: f.handle}, hear)
}

// Msync is msync(2) with MS_SYNC, of the whole mapping.
func (f *File) Msync(ctx context.Context, hear func(Answer)) error {
	return f.w.one(ctx, request{op: opMsync, file: f.handle}, hear)
}

// SyncDir syncs the directory at path.
func (w *Worker) SyncDir(ctx context.Context, path string, hear func(Answer)) error {
	return w.one(ctx, request{op: opSyncDir, path: path}, hear)
}

// SyncFS syncs the file system.
func (w *Worker) SyncFS(ctx context.Context, hear func(Answer)) error {
	return w.one(ctx, request{op: opSyncFS}, hear)
}

// Mkdir makes a directory.
func (w *Worker) Mkdir(ctx context.Context, path string, hear func(Answer)) error {
	return w.one(ctx, request{op: opMkdir, path: path}, hear)
}

// Rename renames.
func (w *Worker) Rename(ctx context.Context, from, to string, hear func(Answer)) error {
	return w.one(ctx, request{op: opRename, path: from, second: to}, hear)
}

// Link gives the file at path another name.
func (w *Worker) Link(ctx context.Context, path, name string, hear func(Answer)) error {
	return w.one(ctx, request{op: opLink, path: path, second: name}, hear)
}

// Unlink takes a name away; of a directory with dir.
func (w *Worker) Unlink(ctx context.Context, path string, dir bool, hear func(Answer)) error {
	o := opUnlink
	if dir {
		o = opRmdir
	}
	return w.one(ctx, request{op: o, path: path}, hear)
}

// Flags of open(2) that a caller needs.
const (
	Create   = unix.O_CREAT | unix.O_EXCL
	Write    = unix.O_RDWR // a mapping needs both
	Direct   = unix.O_DIRECT
	DataSync = unix.O_DSYNC
	FullSync = unix.O_SYNC
)
