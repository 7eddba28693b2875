package volume

import (
	"context"
	"errors"
	"path"

	"github.com/seed-1b600011/assay/scenario"
)

// renaming are the options of the test rename-files.
type renaming struct {
	writing
	HardLinks bool `yaml:"hard-links" doc:"whether the new name is a hard link, and the old one is then unlinked, instead of a rename"`
}

// deleting are the options of the test delete-files.
type deleting struct {
	writing
}

func registerRenaming(r *scenario.Registry) {
	Test(r, scenario.Test{Name: "rename-files", Doc: "gives every file its other name, and syncs the directory"}, renaming{writing: writing{Sync: Fsync}},
		func(ctx context.Context, v *Volume, f *Files, o renaming) error {
			return f.each(ctx, func(i int64) error { return o.file(ctx, v, f, i) })
		})
	Test(r, scenario.Test{Name: "delete-files", Doc: "unlinks every file, which is made first where it lacks, and syncs the directory"}, deleting{writing: writing{Sync: Fsync}},
		func(ctx context.Context, v *Volume, f *Files, o deleting) error {
			return f.each(ctx, func(i int64) error { return o.file(ctx, v, f, i) })
		})
}

func (w writing) syncDirectory(ctx context.Context, v *Volume, p string) error {
	if w.SyncDirectory != nil && !*w.SyncDirectory || w.Sync == NoSync {
		return nil
	}
	return v.SyncDir(ctx, path.Dir(p))
}

// file moves file number i to its other name.
func (o renaming) file(ctx context.Context, v *Volume, f *Files, i int64) error {
	file, err := f.Ensure(ctx, i, o.writing)
	if err != nil || file == nil {
		return err
	}
	if err := file.Close(ctx); err != nil {
		return err
	}
	from := file.Path()
	to := f.Path(i)
	if from == to {
		to = moved(to)
	}
	if !o.HardLinks {
		return errors.Join(file.Rename(ctx, to), o.syncDirectory(ctx, v, to))
	}
	if err := v.clear(ctx, to); err != nil {
		return err
	}
	if err := errors.Join(file.Link(ctx, to), o.syncDirectory(ctx, v, to)); err != nil {
		return err
	}
	if v.File(to) != file { // the file system refused
		return nil
	}
	file.named(to)
	return errors.Join(v.Unlink(ctx, from), o.syncDirectory(ctx, v, from))
}

// named says by which of its names the file is found from now on.
func (f *File) named(p string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.path = p
}

// file unlinks file number i.
func (o deleting) file(ctx context.Context, v *Volume, f *Files, i int64) error {
	file, err := f.Ensure(ctx, i, o.writing)
	if err != nil || file == nil {
		return err
	}
	p := file.Path()
	if err := errors.Join(file.Close(ctx), v.Unlink(ctx, p)); err != nil {
		return err
	}
	return o.syncDirectory(ctx, v, p)
}
