package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Undo removes the thing of one kind that name names. A thing that is not
// there any more is no error.
type Undo func(ctx context.Context, name string) error

// Undoes are the kinds of thing that this package makes and how each is undone.
func Undoes() map[string]Undo {
	return map[string]Undo{
		"process":     func(ctx context.Context, token string) error { return killByToken(ctx, token) },
		"directory":   removeDirectory,
		"loop":        undoLoop,
		"device-node": func(_ context.Context, path string) error { return removeNode(path) },
		"mount":       undoMount,
		"mount-point": undoMountPoint,
	}
}

// Cleaned is one thing that Clean has removed, or could not.
type Cleaned struct {
	Ledger string
	Entry  Entry
	Err    error
}

// Clean undoes what processes that are no longer alive have left in the
// ledgers under dir, newest first, and removes the ledgers that it emptied.
// Ledgers whose owner lives are not touched. undoes says how each kind is
// undone; a kind that it lacks is reported as an error. tell is called for each
// thing. The error joins whatever could not be done.
func Clean(ctx context.Context, dir string, undoes map[string]Undo, tell func(Cleaned)) error {
	paths, err := filepath.Glob(filepath.Join(dir, "ledgers", "*.ledger"))
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range paths {
		if err := cleanOne(ctx, path, undoes, tell); err != nil {
			errs = append(errs, fmt.Errorf("clean %s: %w", path, err))
		}
	}
	return errors.Join(errs...)
}

func cleanOne(ctx context.Context, path string, undoes map[string]Undo, tell func(Cleaned)) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil // its owner lives
		}
		return fmt.Errorf("lock: %w", err)
	}
	left, err := readLedger(io.NewSectionReader(f, 0, 1<<62))
	if err != nil {
		return err
	}
	slices.Reverse(left) // what was made last rests on what was made before
	var errs []error
	for _, e := range left {
		err := undo(ctx, e, undoes)
		tell(Cleaned{Ledger: path, Entry: e, Err: err})
		if err != nil {
			errs = append(errs, fmt.Errorf("%s %s: %w", e.Kind, e.Name, err))
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	return os.Remove(path)
}

func undo(ctx context.Context, e Entry, undoes map[string]Undo) error {
	u, ok := undoes[e.Kind]
	if !ok {
		return fmt.Errorf("this assay does not know how to undo a %s", e.Kind)
	}
	return u(ctx, e.Name)
}

// removeDirectory removes a directory and what is in it, unless something is
// mounted in it: whose unmount failed would lose its data.
func removeDirectory(_ context.Context, path string) error {
	real, err := filepath.EvalSymlinks(filepath.Dir(path))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	real = filepath.Join(real, filepath.Base(path))
	on, err := mountsThat(func(m MountInfo) bool { return m.Dir == real || strings.HasPrefix(m.Dir, real+"/") })
	if err != nil {
		return err
	}
	if len(on) > 0 {
		return fmt.Errorf("%s is mounted on %q", on[0].Source, on[0].Dir)
	}
	return os.RemoveAll(path)
}
