package volume

import (
	"context"
	"fmt"
	"path"

	"github.com/seed-1b600011/assay/scenario"
)

// Files are the files of a plan as one task of a test sees them. It is safe for
// concurrent use.
type Files struct {
	v    *Volume
	task scenario.Task
}

// Count is how many files the plan has.
func (f *Files) Count() int64 { return int64(f.v.env.Plan.Files.Count) }

// Mine gives the numbers of the files of this task.
func (f *Files) Mine(yield func(i int64) bool) {
	for i := f.task.From; i < f.task.To; i++ {
		if !yield(i) {
			return
		}
	}
}

// Path is the path of file number i.
func (f *Files) Path(i int64) string {
	p := f.v.env.Plan.Files
	name := fmt.Sprintf("%08d", i)
	if p.Names == "odd" {
		name = oddName(i)
	}
	return path.Join(string(p.Prefix), name)
}

// oddName is a name of 255 bytes, the most that Linux has (limits.h), of which
// any 254 with different numbers hold every byte that a name may: all but 0 and
// the slash.
func oddName(i int64) string {
	b := fmt.Appendf(nil, "%08d", i)
	for c := byte(i); len(b) < 255; c++ {
		if c != 0 && c != '/' {
			b = append(b, c)
		}
	}
	return string(b)
}

// Size is the size of a generation of file number i.
func (f *Files) Size(i int64, generation uint32) int64 {
	return int64(f.v.env.Plan.Files.Size.Draw(f.v.env.Plan.Draw("files", "size").Index(uint64(generation)), uint64(i)))
}

// Ensure gives file number i, wherever it is now, and makes it where this run
// knows of none; nil: the file system refused.
func (f *Files) Ensure(ctx context.Context, i int64, w writing) (*File, error) {
	for _, p := range []string{f.Path(i), moved(f.Path(i))} {
		if file := f.v.File(p); file != nil {
			return file, nil
		}
	}
	return f.make(ctx, i, f.Path(i), w)
}

// make makes file number i at a path, with its content.
func (f *Files) make(ctx context.Context, i int64, p string, w writing) (*File, error) {
	if err := f.v.clear(ctx, p); err != nil {
		return nil, err
	}
	file, err := f.v.Create(ctx, p, w.access())
	if err != nil || file == nil {
		return nil, err
	}
	if err := f.fill(ctx, i, file, w); err != nil {
		return nil, err
	}
	if w.SyncDirectory == nil || *w.SyncDirectory {
		if err := f.v.SyncDir(ctx, path.Dir(p)); err != nil {
			return nil, err
		}
	}
	return file, nil
}

// fill writes a new generation of all of the file.
func (f *Files) fill(ctx context.Context, i int64, file *File, w writing) error {
	generation := file.Next()
	size := f.Size(i, generation)
	if w.Sparse || w.Sync == Msync {
		if err := file.Truncate(ctx, w.access(), size); err != nil {
			return err
		}
		if w.Sparse {
			return file.Sync(ctx, w.access())
		}
	}
	if w.Preallocate && size > 0 {
		if err := file.Grow(ctx, w.access(), size); err != nil {
			return err
		}
	}
	return w.write(ctx, f.draw(i, generation), file, generation, w.blocks(0, size))
}
