package volume

import (
	"context"
	"errors"
	"sync"

	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/seed"
)

// writing are the options of the tests that write files.
type writing struct {
	Sync          Sync          `yaml:"sync" doc:"how what was written is made durable; default fsync" enum:"none,fsync,fdatasync,O_DSYNC,O_SYNC,syncfs,msync"`
	SyncEvery     int64         `yaml:"sync-every" doc:"writes between two syncs of a file; default: one sync when the file is written" min:"0" max:"1000000000"`
	SyncDirectory *bool         `yaml:"sync-directory" doc:"whether the directory of a new or moved name is synced; default true, whatever sync says"`
	Direct        bool          `yaml:"direct" doc:"whether writes go around the page cache (O_DIRECT), where they are aligned to 4 KiB"`
	Block         scenario.Size `yaml:"block" doc:"bytes a write; default 64K" min:"1" max:"67108864"`
	Depth         int64         `yaml:"queue-depth" doc:"writes of a file at once; default 1" min:"1" max:"256"`
	Order         string        `yaml:"order" doc:"of the writes in a file; default sequential" enum:"sequential,reverse,random"`
	Preallocate   bool          `yaml:"preallocate" doc:"whether space is allocated first (fallocate)"`
	Sparse        bool          `yaml:"sparse" doc:"whether a new file is one hole of its size, for rewrite-files to write into"`
}

// Validate holds what one option alone cannot show.
func (w *writing) Validate() error {
	if w.Sync == Msync && w.Direct {
		return errors.New("msync is of writes through a mapping, which do not go around the page cache: direct is not possible")
	}
	return nil
}

const defaultBlock = 64 << 10

func (w writing) access() Access {
	return Access{Direct: w.Direct, Sync: w.Sync, Mapped: w.Sync == Msync, Depth: w.Depth}
}

func (w writing) block() int64 {
	if w.Block == 0 {
		return defaultBlock
	}
	return int64(w.Block)
}

// write writes a generation to the parts, in the order and as many at once as
// the options say, and syncs.
func (w writing) write(ctx context.Context, draw seed.Seed, f *File, generation uint32, work parts) error {
	work = work.ordered(w.Order, draw)
	every := w.SyncEvery
	if every == 0 {
		every = max(work.n, 1)
	}
	for from := int64(0); from == 0 || from < work.n; from += every {
		if err := w.batch(ctx, f, generation, work.slice(from, min(from+every, work.n))); err != nil {
			return err
		}
		if err := f.Sync(ctx, w.access()); err != nil {
			return err
		}
	}
	return nil
}

// batch writes the parts between two syncs, several at once.
func (w writing) batch(ctx context.Context, f *File, generation uint32, work parts) error {
	each := work.all
	if w.SyncEvery == 0 && w.Order != "reverse" && w.Order != "random" {
		each = work.runs
	}
	if w.Depth <= 1 || work.n == 1 || work.contiguous { // blocks of a run go by Access.Depth
		for p := range each {
			if err := f.Write(ctx, w.access(), generation, p.from, p.to, w.block()); err != nil {
				return err
			}
		}
		return nil
	}
	var group sync.WaitGroup
	next, errs, failed := make(chan part), make(chan error, w.Depth), make(chan struct{}, w.Depth)
	for range min(w.Depth, work.n) {
		group.Go(func() {
			for p := range next {
				if err := f.Write(ctx, w.access(), generation, p.from, p.to, w.block()); err != nil {
					failed <- struct{}{}
					errs <- err
					return
				}
			}
		})
	}
	each(func(p part) bool {
		select {
		case next <- p:
			return true
		case <-failed:
			return false
		}
	})
	close(next)
	group.Wait()
	close(errs)
	var err error
	for e := range errs {
		err = errors.Join(err, e)
	}
	return err
}

func (f *Files) draw(i int64, generation uint32) seed.Seed {
	return f.v.env.Plan.Draw("writes").Index(uint64(i)).Index(uint64(generation))
}

// writeFiles are the options of the test of that name.
type writeFiles struct {
	writing
	Replace string `yaml:"replace" doc:"how a file that is there is replaced: truncate, unlink, or by rename of a new one; default truncate" enum:"truncate,unlink,rename"`
}

// rewriteFiles are the options of the test of that name.
type rewriteFiles struct {
	writing
	Writes int64 `yaml:"writes" doc:"blocks of each file that are written, drawn; default: all of them" min:"0" max:"1000000000"`
	Punch  int64 `yaml:"punch" doc:"blocks of each file, drawn, that become holes before" min:"0" max:"1000000"`
}

// appendFiles are the options of the test of that name.
type appendFiles struct {
	writing
	Writes int64 `yaml:"writes" doc:"blocks that are appended to each file; default 16" min:"1" max:"1000000000"`
}

func registerWriting(r *scenario.Registry) {
	Test(r, scenario.Test{Name: "write-files", Doc: "writes every file anew, and syncs it and its directory"}, writeFiles{writing: writing{Sync: Fsync}},
		func(ctx context.Context, v *Volume, f *Files, o writeFiles) error {
			return f.each(ctx, func(i int64) error { return o.file(ctx, v, f, i) })
		})
	Test(r, scenario.Test{Name: "rewrite-files", Doc: "overwrites blocks of every file in place"}, rewriteFiles{writing: writing{Sync: Fsync}},
		func(ctx context.Context, v *Volume, f *Files, o rewriteFiles) error {
			return f.each(ctx, func(i int64) error { return o.file(ctx, f, i) })
		})
	Test(r, scenario.Test{Name: "append-files", Doc: "appends to every file, and cuts it to nothing when it is as long as the plan says"}, appendFiles{writing: writing{Sync: Fsync}, Writes: 16},
		func(ctx context.Context, v *Volume, f *Files, o appendFiles) error {
			return f.each(ctx, func(i int64) error { return o.file(ctx, f, i) })
		})
}

// each does the files of a task, one after the other.
func (f *Files) each(ctx context.Context, do func(i int64) error) error {
	for i := range f.Mine {
		if err := do(i); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return nil
}

// file writes file number i as a whole.
func (o writeFiles) file(ctx context.Context, v *Volume, f *Files, i int64) error {
	var file *File
	for _, p := range []string{f.Path(i), moved(f.Path(i))} {
		if file = v.File(p); file != nil {
			break
		}
	}
	switch {
	case o.Replace == "rename":
		return o.replace(ctx, v, f, i)
	case file == nil || o.Replace == "unlink":
		if file != nil {
			if err := errors.Join(file.Close(ctx), v.Unlink(ctx, file.Path())); err != nil {
				return err
			}
		}
		file, err := f.make(ctx, i, f.Path(i), o.writing)
		return errors.Join(err, file.Close(ctx))
	}
	if err := file.Truncate(ctx, o.access(), 0); err != nil {
		return err
	}
	return errors.Join(f.fill(ctx, i, file, o.writing), file.Close(ctx))
}

// replace writes a new file beside the one that is there and renames it over
// that: whoever looks sees the old one or the new one, whole.
func (o writeFiles) replace(ctx context.Context, v *Volume, f *Files, i int64) error {
	w := o.writing
	no := false
	w.SyncDirectory = &no // the new name matters, the interim one does not
	file, err := f.make(ctx, i, interim(f.Path(i)), w)
	if err != nil || file == nil {
		return err
	}
	if err := errors.Join(file.Close(ctx), file.Rename(ctx, f.Path(i))); err != nil {
		return err
	}
	return o.syncDirectory(ctx, v, f.Path(i))
}

// file overwrites blocks of file number i.
func (o rewriteFiles) file(ctx context.Context, f *Files, i int64) error {
	file, err := f.Ensure(ctx, i, o.writing)
	if err != nil || file == nil {
		return err
	}
	generation := file.Next()
	draw := f.draw(i, generation)
	count := (file.Size() + o.block() - 1) / o.block()
	at := func(n int64) part { return part{n * o.block(), min((n+1)*o.block(), file.Size())} }
	for n := range o.Punch {
		if count > 0 {
			p := at(int64(draw.For("punch").Below(uint64(n), uint64(count))))
			if err := file.Punch(ctx, o.access(), p.from, p.to); err != nil {
				return err
			}
		}
	}
	work := o.blocks(0, file.Size())
	if o.Writes > 0 && count > 0 {
		block := draw.For("block")
		work = parts{n: o.Writes, at: func(n int64) part { return at(int64(block.Below(uint64(n), uint64(count)))) }}
	}
	return errors.Join(o.write(ctx, draw, file, generation, work), file.Close(ctx))
}

// file appends to file number i.
func (o appendFiles) file(ctx context.Context, f *Files, i int64) error {
	file, err := f.Ensure(ctx, i, o.writing)
	if err != nil || file == nil {
		return err
	}
	if file.Size() >= f.Size(i, 0) {
		if err := errors.Join(file.Truncate(ctx, o.access(), 0), file.Sync(ctx, o.access())); err != nil {
			return err
		}
	}
	generation := file.Next()
	from := file.Size()
	to := from + o.Writes*o.block()
	if o.Sync == Msync {
		if err := file.Truncate(ctx, o.access(), to); err != nil {
			return err
		}
	}
	return errors.Join(o.write(ctx, f.draw(i, generation), file, generation, o.blocks(from, to)), file.Close(ctx))
}

func interim(p string) string { return suffixed(p, ".new") }

func moved(p string) string { return suffixed(p, ".moved") }

// suffixed is a path whose name ends otherwise and is no longer than a name may be.
func suffixed(p, suffix string) string {
	if start := len(p) - len(name(p)); len(p)-start > 255-len(suffix) {
		p = p[:start+255-len(suffix)]
	}
	return p + suffix
}

func name(p string) string {
	for i := len(p) - 1; i >= 0; i-- {
		if p[i] == '/' {
			return p[i+1:]
		}
	}
	return p
}
