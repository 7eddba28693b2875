package pressure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// groupSize is how many empty files are in one directory.
const groupSize = 1000

// SetInodes holds so many empty files; the directories that they are in, one
// for a thousand, take an inode too. That there are no more is a *ShortError.
func (d *Disk) SetInodes(ctx context.Context, n int64) error {
	if n < 0 {
		return fmt.Errorf("pressure: %d inodes", n)
	}
	ctx, done, err := d.turn.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	for {
		d.mu.Lock()
		have := d.inodes
		d.mu.Unlock()
		if err := context.Cause(ctx); err != nil {
			return err
		}
		switch {
		case have == n:
			return nil
		case have < n:
			err = d.makeInode(have)
			have++
		default:
			have--
			err = d.dropInode(have)
		}
		if err != nil {
			_ = d.short(n, err)
			return &ShortError{Asked: n, Held: have - 1, Reason: "there are no more inodes, or no space for their names", Err: err}
		}
		d.mu.Lock()
		d.inodes = have
		d.mu.Unlock()
	}
}

func (d *Disk) inode(i int64) (group, path string) {
	group = filepath.Join(d.home.path, inodesName, fmt.Sprintf("%05d", i/groupSize))
	return group, filepath.Join(group, fmt.Sprintf("%08d", i%groupSize))
}

func (d *Disk) makeInode(i int64) error {
	group, path := d.inode(i)
	if i%groupSize == 0 {
		if err := os.Mkdir(group, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

func (d *Disk) dropInode(i int64) error {
	group, path := d.inode(i)
	if err := os.Remove(path); err != nil {
		return err
	}
	if i%groupSize == 0 {
		return os.Remove(group)
	}
	return nil
}
