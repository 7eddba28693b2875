package pressure

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"golang.org/x/sys/unix"
)

// home is the directory in which one process has its files:
//
//	DIR/assay-pressure-RANDOM/lock      held with flock(2) while the process lives
//	                          f/00000000 …        files with blocks
//	                          i/00000/00000 …     files without, for inodes
//
// Whoever makes or removes one holds the lock of DIR itself meanwhile, so that
// a home whose lock file is not there yet is never taken for a dead one.
type home struct {
	path string
	lock *os.File
}

const (
	homePrefix = "assay-pressure-"
	lockName   = "lock"
	filesName  = "f"
	inodesName = "i"
	magic      = "held by assay pressure while it runs; without it this directory goes at the next start\n"
)

var (
	homeName  = regexp.MustCompile(`^` + homePrefix + `[0-9a-f]{16}$`)
	fileName  = regexp.MustCompile(`^[0-9]{8,}$`)
	groupName = regexp.MustCompile(`^[0-9]{5,}$`)
)

// openHome makes a home below dir and removes those of the dead. What of them
// cannot be removed is in left, and no error.
func openHome(dir string) (h home, left error, err error) {
	parent, err := lockDir(dir)
	if err != nil {
		return home{}, nil, err
	}
	defer parent.Close()
	left = removeDead(dir)
	var random [8]byte
	rand.Read(random[:])
	h.path = filepath.Join(dir, homePrefix+hex.EncodeToString(random[:]))
	if err := os.Mkdir(h.path, 0o755); err != nil {
		return home{}, left, err
	}
	if h.lock, err = os.OpenFile(filepath.Join(h.path, lockName), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644); err != nil {
		return home{}, left, errors.Join(err, os.Remove(h.path))
	}
	if err = unix.Flock(int(h.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		err = fmt.Errorf("lock %s: %w", h.lock.Name(), err)
	} else {
		_, err = h.lock.WriteString(magic)
	}
	for _, name := range []string{filesName, inodesName} {
		if err == nil {
			err = os.Mkdir(filepath.Join(h.path, name), 0o755)
		}
	}
	if err != nil {
		return home{}, left, errors.Join(err, h.remove())
	}
	return h, left, nil
}

// lockDir waits for the lock of the directory in which homes are. A file
// system without such locks is used all the same: two starts at the same
// instant are then the only danger.
func lockDir(dir string) (*os.File, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for {
		if err := unix.Flock(int(d.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
			return d, nil
		}
	}
}

// removeDead removes the homes whose processes are gone.
func removeDead(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if homeName.MatchString(e.Name()) && e.IsDir() {
			if err := removeIfDead(filepath.Join(dir, e.Name())); err != nil {
				errs = append(errs, fmt.Errorf("pressure: remove what a killed process has left: %w", err))
			}
		}
	}
	return errors.Join(errs...)
}

// removeIfDead removes a home, if nobody holds its lock.
func removeIfDead(path string) error {
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		// It was killed before it had a lock, or after that was removed: then it is empty.
		if err := os.Remove(path); err != nil && !errors.Is(err, unix.ENOTEMPTY) {
			return err
		}
		return nil // somebody else's, with our kind of name
	}
	if err != nil {
		return err
	}
	h := home{path, lock}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return lock.Close() // it lives
	}
	text, err := io.ReadAll(io.LimitReader(lock, int64(len(magic)+1)))
	if err != nil {
		return errors.Join(err, lock.Close())
	}
	if string(text) != magic[:min(len(text), len(magic))] || len(text) > len(magic) {
		return lock.Close() // not ours
	}
	return h.remove()
}

// remove takes away what a home has, its lock last but one, and lets go of it.
// Files that nobody here has made stay, and so does the directory then.
func (h home) remove() error {
	err := h.empty()
	if err == nil {
		err = os.Remove(filepath.Join(h.path, lockName))
	}
	if err == nil {
		err = os.Remove(h.path)
	}
	if h.lock != nil {
		err = errors.Join(err, h.lock.Close())
	}
	return err
}

// empty removes all but the lock.
func (h home) empty() error {
	inodes := filepath.Join(h.path, inodesName)
	groups, err := os.ReadDir(inodes)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, g := range groups {
		if g.IsDir() && groupName.MatchString(g.Name()) {
			if err := removeNumbered(filepath.Join(inodes, g.Name())); err != nil {
				return err
			}
		}
	}
	if err := removeNumbered(filepath.Join(h.path, filesName)); err != nil {
		return err
	}
	if err := os.Remove(inodes); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// removeNumbered removes a directory of regular files with numbers for names.
func removeNumbered(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Type().IsRegular() && fileName.MatchString(e.Name()) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return os.Remove(dir)
}
