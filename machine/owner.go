package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// ForeignError says that another user could have written what is read at Path, or
// could put something else in its place.
type ForeignError struct {
	Path string
	Why  string
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("%s %s: what is there is not taken from others", e.Path, e.Why)
}

// linksMax is how many symbolic links a path may lead through, as in the kernel
// (path_resolution(7)).
const linksMax = 40

// CheckOwn returns a *ForeignError unless everything on the way to the directory
// dir, links included, and dir itself belong to this user or to root, and no one
// else can put another in place of it: a directory that others may write to
// counts, unless it is sticky (as /tmp is) and not dir itself. What does not exist
// yet is no error. A ledger in such a directory says what this user wrote there,
// and nothing else.
func CheckOwn(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	at, links := "/", 0
	rest := strings.Split(strings.TrimPrefix(dir, "/"), "/")
	if err := checkDirectory(at, false); err != nil {
		return err
	}
	for len(rest) > 0 {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, name)
		target, err := os.Readlink(next)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case errors.Is(err, unix.EINVAL): // no link
			if err := checkDirectory(next, false); err != nil {
				return err
			}
			at = next
			continue
		case err != nil:
			return err
		}
		if links++; links > linksMax {
			return &os.PathError{Op: "open", Path: dir, Err: unix.ELOOP}
		}
		if err := checkOwner(next); err != nil {
			return err
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return checkDirectory(at, true)
}

// checkDirectory checks one directory on the way, or the last.
func checkDirectory(path string, last bool) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if err := foreign(path, &st); err != nil {
		return err
	}
	if st.Mode&unix.S_ISVTX != 0 && !last {
		return nil
	}
	return writable(path, &st)
}

func checkOwner(path string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return foreign(path, &st)
}

func foreign(path string, st *unix.Stat_t) error {
	if st.Uid != 0 && int(st.Uid) != os.Geteuid() {
		return &ForeignError{path, fmt.Sprintf("belongs to user %d, and this is user %d", st.Uid, os.Geteuid())}
	}
	return nil
}

// writable returns an error if others may write. A group that bears the number of
// its user is that user's alone, where distributions make one for each; root's
// often has more members.
func writable(path string, st *unix.Stat_t) error {
	mode := st.Mode & 0o022
	if st.Uid == st.Gid && st.Uid != 0 {
		mode &^= 0o020
	}
	if mode != 0 {
		return &ForeignError{path, fmt.Sprintf("may be written by other users (mode %04o)", st.Mode&0o7777)}
	}
	return nil
}

// openOwn opens a regular file in a directory that CheckOwn has passed, without
// waiting for anyone. It must belong to this user, who alone may write to it.
func openOwn(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err = unix.Fstat(int(f.Fd()), &st); err == nil {
		if st.Mode&unix.S_IFMT != unix.S_IFREG {
			err = &ForeignError{path, "is no regular file"}
		} else if err = foreign(path, &st); err == nil {
			err = writable(path, &st)
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
