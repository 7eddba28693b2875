package pressure

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"time"

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
//
// DIR may be one in which others write too, such as /tmp. So a home is only
// what belongs to this user, who alone may write to it; it is opened once, and
// all in it is reached from there, without following links (folder). A home that
// another user has made is left alone.
type home struct {
	parent, dir   folder
	name          string
	lock          *os.File
	files, inodes folder
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

	errNoFile = errors.New("not a regular file")
)

// openHome makes a home below dir and removes those of the dead. What of them
// cannot be removed is in left, and no error.
func openHome(dir string) (h *home, left error, err error) {
	parent, err := openFolder(dir)
	if err != nil {
		return nil, nil, err
	}
	lockFolder(parent)
	defer unix.Flock(parent.fd(), unix.LOCK_UN)
	left = removeDead(parent, uint32(os.Geteuid()))
	var random [8]byte
	rand.Read(random[:])
	h = &home{parent: parent, name: homePrefix + hex.EncodeToString(random[:])}
	owner, err := h.make()
	if err != nil {
		return nil, left, errors.Join(err, h.remove())
	}
	if owner != uint32(os.Geteuid()) { // a file server may map users
		left = errors.Join(left, removeDead(parent, owner))
	}
	return h, left, nil
}

// path is where the home is, for people.
func (h *home) path() string { return h.parent.path(h.name) }

// make makes the home and what is in it, and gives whom it belongs to.
func (h *home) make() (owner uint32, err error) {
	if h.dir, err = h.parent.make(h.name); err != nil {
		return 0, err
	}
	if owner, err = h.dir.owner(); err != nil {
		return 0, err
	}
	if h.lock, err = h.dir.file(lockName, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return 0, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(h.lock.Fd()), &st); err != nil {
		return 0, fmt.Errorf("stat %s: %w", h.lock.Name(), err)
	}
	if st.Uid != owner {
		return 0, fmt.Errorf("%s: belongs to another user (%d)", h.dir.f.Name(), owner)
	}
	if err := unix.Flock(int(h.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return 0, fmt.Errorf("lock %s: %w", h.lock.Name(), err)
	}
	if _, err := h.lock.WriteString(magic); err != nil {
		return 0, err
	}
	if h.files, err = h.dir.make(filesName); err != nil {
		return 0, err
	}
	h.inodes, err = h.dir.make(inodesName)
	return owner, err
}

// lockTries is how often the lock of the directory is tried for, lockPause apart.
const (
	lockTries = 100
	lockPause = 20 * time.Millisecond
)

// lockFolder waits for the lock of the directory in which homes are, but not for
// long: anyone who may read the directory can hold it for ever. Without it, as on
// a file system that has no such locks, two starts at the same instant are the
// only danger.
func lockFolder(d folder) {
	for range lockTries {
		err := unix.Flock(d.fd(), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return
		}
		time.Sleep(lockPause)
	}
}

// removeDead removes the homes of a user whose processes have ended.
func removeDead(parent folder, owner uint32) error {
	entries, err := parent.entries()
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		if homeName.MatchString(e.Name()) && e.IsDir() {
			if err := removeIfDead(parent, e.Name(), owner); err != nil {
				errs = append(errs, fmt.Errorf("pressure: remove what a killed process has left: %w", err))
			}
		}
	}
	return errors.Join(errs...)
}

// removeIfDead removes a home of that user, if no process holds its lock.
func removeIfDead(parent folder, name string, owner uint32) error {
	dir, err := parent.folder(name)
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return nil // replaced since it was listed, or closed to us: not ours
	}
	if err != nil {
		return err
	}
	h := &home{dir: dir, name: name}
	defer h.close()
	if is, err := dir.owner(); err != nil || is != owner {
		return nil // made by another user, or open to others: not one of ours
	}
	h.lock, err = dir.file(lockName, os.O_RDWR, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// It was killed before it had a lock, or after that was removed: then it is empty.
		if err := parent.removeFolder(name); err != nil && !errors.Is(err, unix.ENOTEMPTY) {
			return err
		}
		return nil // somebody else's, with our kind of name
	case errors.Is(err, errNoFile), errors.Is(err, unix.ELOOP), errors.Is(err, unix.EISDIR):
		return nil
	case err != nil:
		return err
	}
	if err := unix.Flock(int(h.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil // it lives
	}
	text, err := io.ReadAll(io.LimitReader(h.lock, int64(len(magic)+1)))
	if err != nil {
		return err
	}
	if string(text) != magic[:min(len(text), len(magic))] || len(text) > len(magic) {
		return nil // not ours
	}
	return h.removeFrom(parent)
}

// remove takes away what a home has and lets go of it.
func (h *home) remove() error {
	if h.dir.f == nil {
		return h.close()
	}
	return errors.Join(h.removeFrom(h.parent), h.close())
}

// removeFrom takes away what a home has, its lock last but one. Files that this
// program has not made stay, and so does the directory then.
func (h *home) removeFrom(parent folder) error {
	if err := h.empty(); err != nil {
		return err
	}
	if err := h.dir.remove(lockName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return parent.removeFolder(h.name)
}

// close lets go of everything that is open.
func (h *home) close() error {
	var errs []error
	for _, d := range []folder{h.files, h.inodes, h.dir, h.parent} {
		if d.f != nil {
			errs = append(errs, d.close())
		}
	}
	if h.lock != nil {
		errs = append(errs, h.lock.Close())
	}
	return errors.Join(errs...)
}

// empty removes all but the lock.
func (h *home) empty() error {
	inodes, err := h.dir.folder(inodesName)
	if err == nil {
		err = errors.Join(removeGroups(inodes), inodes.close())
	}
	if err == nil {
		err = h.dir.removeFolder(inodesName)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return removeNumbered(h.dir, filesName)
}

func removeGroups(inodes folder) error {
	groups, err := inodes.entries()
	if err != nil {
		return err
	}
	for _, g := range groups {
		if g.IsDir() && groupName.MatchString(g.Name()) {
			if err := removeNumbered(inodes, g.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeNumbered removes a directory of regular files with numbers for names.
func removeNumbered(parent folder, name string) error {
	dir, err := parent.folder(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.close()
	entries, err := dir.entries()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Type().IsRegular() && fileName.MatchString(e.Name()) {
			if err := dir.remove(e.Name()); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return parent.removeFolder(name)
}
