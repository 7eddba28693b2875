package pressure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// groupSize is how many empty files are in one directory.
const groupSize = 1000

// inodeBytes is what an inode and its name take of a file system that has no
// number of inodes of its own, at least.
const inodeBytes = 512

// SetInodes holds so many empty files; the directories that they are in, one
// for a thousand, take an inode too. More than the file system has is a
// *LimitError and changes nothing. That there are no more is a *ShortError.
func (d *Disk) SetInodes(ctx context.Context, n int64) error {
	if n < 0 {
		return fmt.Errorf("pressure: %d inodes", n)
	}
	ctx, done, err := d.turn.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	if err := d.inodesFit(n); err != nil {
		return err
	}
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

// inodesFit returns a *LimitError if so many inodes are more than there are.
func (d *Disk) inodesFit(n int64) error {
	limit, bound, err := d.inodeLimit()
	if err == nil && n > limit {
		err = &LimitError{Asked: n, Limit: limit, Bound: bound, Of: "inodes"}
	}
	return err
}

// inodeLimit is how many inodes could be held: no margin is left, but nothing is
// begun that cannot be done.
func (d *Disk) inodeLimit() (int64, string, error) {
	st, err := d.home.dir.statfs()
	if err != nil {
		return 0, "", fmt.Errorf("pressure: the inodes of %s: %w", d.home.path(), err)
	}
	d.mu.Lock()
	held := d.inodes
	d.mu.Unlock()
	if st.Files == 0 {
		return held + int64(st.Bavail)*st.Frsize/inodeBytes, "the space of the file system, which has no number of them", nil
	}
	return held + int64(st.Ffree), "the file system", nil
}

// groupOf is the name of the directory of an inode, and its name there.
func groupOf(i int64) (group, name string) {
	return fmt.Sprintf("%05d", i/groupSize), numbered(i % groupSize)
}

// inGroup calls do with the directory of an inode open.
func (d *Disk) inGroup(group string, do func(folder) error) error {
	g, err := d.home.inodes.folder(group)
	if err != nil {
		return err
	}
	return errors.Join(do(g), g.close())
}

func (d *Disk) makeInode(i int64) error {
	group, name := groupOf(i)
	if i%groupSize == 0 {
		g, err := d.home.inodes.make(group)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err == nil {
			_ = g.close()
		}
	}
	return d.inGroup(group, func(g folder) error {
		f, err := g.file(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		return f.Close()
	})
}

func (d *Disk) dropInode(i int64) error {
	group, name := groupOf(i)
	if err := d.inGroup(group, func(g folder) error { return g.remove(name) }); err != nil {
		return err
	}
	if i%groupSize == 0 {
		return d.home.inodes.removeFolder(group)
	}
	return nil
}
