package soft

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-1b600011/assay/machine"
	"golang.org/x/sys/unix"
)

// undoKind is the ledger's kind of a disk's directory. Its name is the disk's
// token, a space and the directory: a name alone would not do, because the
// directory may by then be that of another disk, which lives.
const undoKind = "soft-disk"

// Undoes is the kind of thing that this package enters into a ledger, and how
// it is undone. What else a disk is made of are kinds of package machine.
func Undoes() map[string]machine.Undo {
	return map[string]machine.Undo{undoKind: func(_ context.Context, name string) error {
		token, dir, ok := strings.Cut(name, " ")
		if !ok || !filepath.IsAbs(dir) {
			return fmt.Errorf("no soft disk: %q", name)
		}
		return removeDir(token, dir)
	}}
}

// makeDir makes the directory of a new disk with its configuration in it, in
// one step that fails if there is one of that name. enter first.
func (c config) makeDir() error {
	hidden := hiddenDir(c.Token, c.Dir)
	if err := os.Mkdir(hidden, 0o700); err != nil {
		return err
	}
	if err := c.write(hidden); err != nil {
		return err
	}
	err := unix.Renameat2(unix.AT_FDCWD, hidden, unix.AT_FDCWD, c.Dir, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EEXIST) {
		return nameInUse(c.Name, c.Dir)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: hidden, New: c.Dir, Err: err}
	}
	return machine.SyncDir(filepath.Dir(c.Dir))
}

func nameInUse(name, dir string) error {
	return refuse("soft: disk %q: the name is in use: %s is there (one that was killed is removed by assay clean)", name, dir)
}

// hiddenDir is where a disk's directory is made; no disk's name begins with a dot.
func hiddenDir(token, dir string) string {
	return filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+"."+token)
}

// enter writes into the ledger that a disk's directory is about to be made.
// undo removes it, if it was, and crosses it off; gone only crosses it off.
func (c config) enter(ledger *machine.Ledger) (undo, gone func() error, err error) {
	gone, err = ledger.Intend(undoKind, c.Token+" "+c.Dir)
	if err != nil {
		return nil, nil, fmt.Errorf("soft: %w", err)
	}
	return func() error {
		if err := removeDir(c.Token, c.Dir); err != nil {
			return err
		}
		return gone()
	}, gone, nil
}

func removeDir(token, dir string) error {
	if err := os.RemoveAll(hiddenDir(token, dir)); err != nil {
		return fmt.Errorf("soft: %w", err)
	}
	c, err := readConfig(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && c.Token != token {
		return nil
	}
	if err != nil {
		return fmt.Errorf("soft: %w", err)
	}
	// The name first: a directory that is half removed must not be without
	// its configuration under the name of a disk.
	hidden := hiddenDir(token, dir)
	if err := os.Rename(dir, hidden); err != nil {
		return fmt.Errorf("soft: %w", err)
	}
	if err := os.RemoveAll(hidden); err != nil {
		return fmt.Errorf("soft: %w", err)
	}
	return nil
}
