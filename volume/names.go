package volume

import (
	"context"
	"fmt"
	"path"
	"syscall"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/volume/worker"
)

// refusals says that nothing but errors comes.
type refusals struct {
	n     int64
	errno syscall.Errno
}

func (r *refusals) Error() string {
	return fmt.Sprintf("the last %d operations failed, and no fault is on: %v", r.n, r.errno)
}
func (r *refusals) Unwrap() error { return r.errno }

// mkdirs makes a directory and those above it, each with its name made durable.
func (v *Volume) mkdirs(ctx context.Context, dir string) error {
	if dir == "." || dir == "" || dir == "/" {
		return nil
	}
	v.making.Lock() // of two who make one directory the one who fails must not be who made it
	defer v.making.Unlock()
	return v.mkdirsAlone(ctx, dir)
}

func (v *Volume) mkdirsAlone(ctx context.Context, dir string) error {
	if dir == "." {
		return nil
	}
	v.mu.Lock()
	there := v.dirs[dir]
	v.mu.Unlock()
	if there {
		return nil
	}
	if err := v.mkdirsAlone(ctx, path.Dir(dir)); err != nil {
		return err
	}
	_, errno, err := v.one(ctx, history.Acknowledged, history.Record{Verb: "mkdir", Object: dir}, func(w *worker.Worker, hear func(worker.Answer)) error {
		return w.Mkdir(ctx, v.below(dir), hear)
	})
	if err != nil || errno != 0 && errno != fileExists {
		return err
	}
	v.mu.Lock()
	v.dirs[dir] = true
	v.mu.Unlock()
	return v.SyncDir(ctx, path.Dir(dir))
}

// Unlink takes a name away. One that is not there is no error.
func (v *Volume) Unlink(ctx context.Context, p string) error {
	v.mu.Lock()
	delete(v.files, p)
	v.mu.Unlock()
	_, _, err := v.one(ctx, history.Acknowledged, history.Record{Verb: "unlink", Object: p}, func(w *worker.Worker, hear func(worker.Answer)) error {
		return w.Unlink(ctx, v.below(p), false, hear)
	})
	return err
}

// Rename gives the file another name, in place of what has it.
func (f *File) Rename(ctx context.Context, to string) error {
	from := f.Path()
	_, errno, err := f.v.one(ctx, history.Acknowledged, history.Record{Verb: "rename", Object: from, Detail: []byte(to)}, func(w *worker.Worker, hear func(worker.Answer)) error {
		return w.Rename(ctx, f.v.below(from), f.v.below(to), hear)
	})
	if err != nil || errno != 0 {
		return err
	}
	f.mu.Lock()
	f.path = to
	f.mu.Unlock()
	f.v.mu.Lock()
	delete(f.v.files, from)
	f.v.files[to] = f
	f.v.mu.Unlock()
	return nil
}

// Link gives the file another name beside the one that it has.
func (f *File) Link(ctx context.Context, name string) error {
	from := f.Path()
	_, errno, err := f.v.one(ctx, history.Acknowledged, history.Record{Verb: "link", Object: from, Detail: []byte(name)}, func(w *worker.Worker, hear func(worker.Answer)) error {
		return w.Link(ctx, f.v.below(from), f.v.below(name), hear)
	})
	if err == nil && errno == 0 {
		f.v.mu.Lock()
		f.v.files[name] = f
		f.v.mu.Unlock()
	}
	return err
}

// File is what this run knows to be at a path: nil where nothing is, or nobody
// knows what.
func (v *Volume) File(p string) *File {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.files[p]
}

// clear makes sure that nothing is at a path.
func (v *Volume) clear(ctx context.Context, p string) error {
	v.mu.Lock()
	free := v.surveyed && v.files[p] == nil
	v.mu.Unlock()
	if free {
		return nil
	}
	return v.Unlink(ctx, p)
}
