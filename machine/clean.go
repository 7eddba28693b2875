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
	"time"

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
// ledgers under dir, newest first, whoever made it: one process may have
// mounted the device of another. It removes the ledgers that it emptied.
// Ledgers whose owner lives are not touched, unless the owner is one of those
// processes. dir must be this user's own (CheckOwn), and so must every ledger:
// what it says is done with all the rights that this user has. undoes says how
// each kind is undone; a kind that it lacks is reported as an error. tell is
// called for each thing. The error joins whatever could not be done. InUse gives
// what was left alone.
func Clean(ctx context.Context, dir string, undoes map[string]Undo, tell func(Cleaned)) error {
	if err := checkLedgers(dir); err != nil {
		return fmt.Errorf("clean %s: %w", dir, err)
	}
	c := cleaning{dir: dir, undoes: undoes, tell: tell, tried: map[string]error{}}
	for {
		before := len(c.tried)
		inUse, err := c.pass(ctx)
		// A process that was ended may have held the lock of one of the others.
		if inUse == 0 || len(c.tried) == before || ctx.Err() != nil {
			return err
		}
	}
}

// checkLedgers checks that the ledgers under dir are this user's.
func checkLedgers(dir string) error {
	if err := CheckOwn(dir); err != nil {
		return err
	}
	return CheckOwn(filepath.Join(dir, ledgersName))
}

// cleaning is one call of Clean.
type cleaning struct {
	dir    string
	undoes map[string]Undo
	tell   func(Cleaned)
	tried  map[string]error // what came of each entry, by ledger and number
}

// pass goes once through all ledgers. inUse is how many it left to their owners.
func (c *cleaning) pass(ctx context.Context) (inUse int, err error) {
	paths, err := filepath.Glob(filepath.Join(c.dir, ledgersName, "*.ledger"))
	if err != nil {
		return 0, err
	}
	var errs []error
	var all []leftover
	var emptied []*deadLedger
	for _, path := range paths {
		d, left, err := openDead(path)
		switch {
		case errors.Is(err, errInUse):
			inUse++
		case err != nil:
			errs = append(errs, fmt.Errorf("clean %s: %w", path, err))
		case d != nil:
			defer d.file.Close() // and so the lock
			all, emptied = append(all, left...), append(emptied, d)
		}
	}
	slices.SortStableFunc(all, func(a, b leftover) int { return b.made.Compare(a.made) })
	for _, l := range all {
		id := fmt.Sprintf("%s %d", l.in.path, l.N)
		err, tried := c.tried[id]
		if !tried {
			err = undo(ctx, l.Entry, c.undoes)
			c.tried[id] = err
			c.tell(Cleaned{Ledger: l.in.path, Entry: l.Entry, Err: err})
		}
		if err != nil {
			l.in.kept = true
			errs = append(errs, fmt.Errorf("clean %s: %s %s: %w", l.in.path, l.Kind, l.Name, err))
		}
	}
	for _, d := range emptied {
		if !d.kept {
			errs = append(errs, os.Remove(d.path))
		}
	}
	return inUse, errors.Join(errs...)
}

// deadLedger is a ledger whose owner has gone, locked.
type deadLedger struct {
	path string
	file *os.File
	kept bool // something in it could not be undone
}

// leftover is an entry of a dead ledger.
type leftover struct {
	Entry
	in   *deadLedger
	made time.Time
}

var errInUse = errors.New("its owner lives")

// openDead locks a ledger and gives what is left in it, newest first. Nil: there
// is none any more.
func openDead(path string) (*deadLedger, []leftover, error) {
	f, err := openOwn(path, os.O_RDWR|os.O_APPEND)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, nil, errInUse
		}
		return nil, nil, fmt.Errorf("lock: %w", err)
	}
	entries, err := readLedger(io.NewSectionReader(f, 0, 1<<62))
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	d := &deadLedger{path: path, file: f}
	var left []leftover
	var made time.Time
	for _, e := range entries {
		if e.At.After(made) { // a clock that was set back must not change the order in a ledger
			made = e.At
		}
		left = append(left, leftover{Entry: e, in: d, made: made})
	}
	slices.Reverse(left)
	return d, left, nil
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
