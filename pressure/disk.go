package pressure

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/seed-1b600011/assay/content"
	"github.com/seed-1b600011/assay/seed"
	"golang.org/x/sys/unix"
)

// DiskOptions say where disk space is taken. The zero value takes it in the
// working directory.
type DiskOptions struct {
	// Dir is the directory, on the file system to fill.
	Dir string
	// Limit is the most that is held, in bytes; 0: what the file system has.
	Limit int64
	// Margin is how many bytes of the file system are left free. 0: a hundredth
	// of it, at least 16 MiB and at most 1 GiB. SetFull leaves none.
	Margin int64
}

// Disk holds disk space and inodes. Make one with NewDisk.
type Disk struct {
	o    DiskOptions
	turn turn
	seed seed.Seed
	home *home
	// Left is what a killed process left and could not be removed; nil: nothing.
	Left error

	files  []int64 // sizes; used by whose turn it is
	direct atomic.Bool

	mu     sync.Mutex
	state  State
	inodes int64
}

// DiskState is what a Disk does.
type DiskState struct {
	State
	Inodes int64  `json:"inodes"` // empty files that are held
	Dir    string `json:"dir"`    // where the files are
	Direct bool   `json:"direct"` // the last write went past the page cache
}

// NewDisk makes a directory for the files, and removes those of processes that
// were killed. Close removes it.
func NewDisk(o DiskOptions) (*Disk, error) {
	if o.Dir == "" {
		o.Dir = "."
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("pressure: %w", err)
	}
	d := &Disk{o: o, seed: seed.New()}
	if d.home, d.Left, err = openHome(dir); err != nil {
		return nil, fmt.Errorf("pressure: a directory for files: %w", err)
	}
	return d, nil
}

// layout is so many bytes as files.
func layout(bytes int64) (sizes []int64) {
	for ; bytes > maxFile; bytes -= maxFile {
		sizes = append(sizes, maxFile)
	}
	if bytes > 0 {
		sizes = append(sizes, bytes)
	}
	return sizes
}

// Set holds so many bytes in files, exactly, and returns when they are synced.
// More than the limit is a *LimitError and changes nothing. A disk or quota
// that is full before is a *ShortError, and what was written is held.
func (d *Disk) Set(ctx context.Context, bytes int64) error {
	if bytes < 0 {
		return fmt.Errorf("pressure: %d bytes of disk", bytes)
	}
	return d.set(ctx, bytes, func() []int64 { return layout(bytes) }, false)
}

// SetFiles holds files of these sizes.
func (d *Disk) SetFiles(ctx context.Context, sizes []int64) error {
	var sum int64
	for _, s := range sizes {
		if s <= 0 || sum > math.MaxInt64-s {
			return fmt.Errorf("pressure: a file of %d bytes", s)
		}
		sum += s
	}
	return d.set(ctx, sum, func() []int64 { return sizes }, false)
}

// Fill holds as much as the limit allows.
func (d *Disk) Fill(ctx context.Context) error {
	for {
		limit, _, err := d.limit()
		if err != nil {
			return err
		}
		err = d.Set(ctx, down(limit, sector))
		var over *LimitError
		if !errors.As(err, &over) {
			return err
		}
	}
}

// SetFull writes until the disk or the quota is full, whatever the limit, and
// so until nobody else can write. It ends with a *ShortError.
func (d *Disk) SetFull(ctx context.Context) error {
	const endless = 1 << 60
	return d.set(ctx, 0, func() []int64 {
		sizes := make([]int64, 0, len(d.files)+1)
		sizes = append(sizes, d.files...)
		return append(sizes, endless) // one file; the largest that a file system allows is an end too
	}, true)
}

func (d *Disk) set(ctx context.Context, bytes int64, sizes func() []int64, beyond bool) error {
	ctx, done, err := d.turn.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	limit, bound, err := d.limit()
	if err != nil {
		return err
	}
	d.mu.Lock()
	held := d.state.Held
	d.mu.Unlock()
	if beyond {
		bytes = limit // and what comes after
	}
	if bytes > limit && bytes > held && !beyond {
		return &LimitError{Asked: bytes, Limit: limit, Bound: bound}
	}
	d.mu.Lock()
	d.state.Asked, d.state.Reason = bytes, ""
	d.mu.Unlock()
	want := sizes()
	if err := d.shrink(want); err != nil {
		return d.short(bytes, err)
	}
	if err := d.grow(ctx, want); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		return d.short(bytes, err)
	}
	return nil
}

func numbered(i int64) string { return fmt.Sprintf("%08d", i) }

// shrink cuts files that are larger than they are to be, and removes those that
// are not to be: the last first.
func (d *Disk) shrink(want []int64) error {
	for i := len(d.files) - 1; i >= 0; i-- {
		size := int64(0)
		if i < len(want) {
			size = want[i]
		}
		if size >= d.files[i] {
			continue
		}
		if size > 0 {
			if err := d.truncate(i, size); err != nil {
				return err
			}
		} else if err := d.home.files.remove(numbered(int64(i))); err != nil {
			return err
		}
		d.add(size - d.files[i])
		d.files[i] = size
	}
	if len(d.files) > len(want) {
		d.files = d.files[:len(want)]
	}
	return nil
}

func (d *Disk) truncate(i int, size int64) error {
	f, err := d.home.files.file(numbered(int64(i)), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}

// grow makes and extends files.
func (d *Disk) grow(ctx context.Context, want []int64) error {
	grown := false
	for i, size := range want {
		if i == len(d.files) {
			d.files = append(d.files, 0)
		}
		if d.files[i] >= size {
			continue
		}
		grown = true
		if err := d.extend(ctx, i, size); err != nil {
			return err
		}
	}
	if !grown {
		return nil
	}
	return d.home.files.f.Sync()
}

func (d *Disk) extend(ctx context.Context, i int, size int64) error {
	b, err := openBlocks(d.home.files, numbered(int64(i)), d.files[i] == 0, content.Tag{Seed: uint64(d.seed), Object: uint64(i)})
	if err == nil {
		d.direct.Store(b.direct)
		err = b.write(ctx, d.files[i], size, func(n int64) {
			d.files[i] += n
			d.add(n)
		})
		err = errors.Join(err, b.f.Close())
	}
	if d.files[i] == 0 { // nothing came of it
		_ = d.home.files.remove(numbered(int64(i)))
		d.files = d.files[:i]
	}
	return err
}

func (d *Disk) add(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state.Held += bytes
}

func (d *Disk) short(asked int64, err error) error {
	reason := err.Error()
	switch {
	case errors.Is(err, unix.ENOSPC):
		reason = "the disk is full (ENOSPC)"
	case errors.Is(err, unix.EDQUOT):
		reason = "the quota is used up (EDQUOT)"
	case errors.Is(err, unix.EFBIG):
		reason = "the file system has no larger files (EFBIG)"
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state.Reason = reason
	return &ShortError{Asked: asked, Held: d.state.Held, Reason: reason, Err: err}
}

// limit is how many bytes could be held.
func (d *Disk) limit() (int64, string, error) {
	st, err := d.home.dir.statfs()
	if err != nil {
		return 0, "", fmt.Errorf("pressure: the space of %s: %w", d.home.path(), err)
	}
	keep := d.o.Margin
	if keep == 0 {
		keep = min(max(int64(st.Blocks)*st.Frsize/100, 16<<20), 1<<30)
	}
	d.mu.Lock()
	limit := max(d.state.Held+int64(st.Bavail)*st.Frsize-keep, 0)
	d.mu.Unlock()
	if d.o.Limit > 0 && limit > d.o.Limit {
		return d.o.Limit, "the limit set", nil
	}
	return limit, fmt.Sprintf("the file system, less a margin of %d bytes", keep), nil
}

// Current is what is held, and what could be.
func (d *Disk) Current() DiskState {
	limit, bound, err := d.limit()
	if err != nil {
		bound = err.Error()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := DiskState{d.state, d.inodes, d.home.path(), d.direct.Load()}
	s.Limit, s.Bound, s.Working = limit, bound, d.turn.busy()
	return s
}

// Release removes all files, and ends a Set that is under way.
func (d *Disk) Release() error {
	return errors.Join(d.Set(context.Background(), 0), d.SetInodes(context.Background(), 0))
}

// Close removes all that was made, the directory included.
func (d *Disk) Close() error {
	return d.turn.close(func() error {
		d.mu.Lock()
		d.state.Held, d.inodes = 0, 0
		d.mu.Unlock()
		return d.home.remove()
	})
}
