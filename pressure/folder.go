package pressure

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// folder is an open directory. What is in it is reached from there by a single
// name and never through a symbolic link, so nothing that another user puts in
// the way leads anywhere else.
type folder struct{ f *os.File }

// openFolder opens the directory at a path that the user has named; that may
// lead through links.
func openFolder(path string) (folder, error) { return folder{}.at(unix.AT_FDCWD, path, path, 0) }

// folder opens a directory in this one.
func (d folder) folder(name string) (folder, error) {
	return d.at(d.fd(), name, d.path(name), unix.O_NOFOLLOW)
}

func (folder) at(fd int, name, path string, flags int) (folder, error) {
	for {
		fd, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|flags, 0)
		switch {
		case err == nil:
			return folder{os.NewFile(uintptr(fd), path)}, nil
		case !errors.Is(err, unix.EINTR):
			return folder{}, &os.PathError{Op: "open", Path: path, Err: err}
		}
	}
}

func (d folder) fd() int                 { return int(d.f.Fd()) }
func (d folder) path(name string) string { return filepath.Join(d.f.Name(), name) }
func (d folder) close() error            { return d.f.Close() }

// statfs asks the file system that the directory is on. It may be called while the
// directory is being closed, and after that is an error.
func (d folder) statfs() (st unix.Statfs_t, err error) {
	c, err := d.f.SyscallConn()
	if err != nil {
		return st, err
	}
	var asked error
	err = c.Control(func(fd uintptr) { asked = unix.Fstatfs(int(fd), &st) })
	return st, errors.Join(err, asked)
}

// file opens a regular file in the directory, with flags as open(2) has them. It
// does not wait: a FIFO, a device or a socket is an error at once.
func (d folder) file(name string, flags int, mode uint32) (*os.File, error) {
	for {
		fd, err := unix.Openat(d.fd(), name, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, mode)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		var st unix.Stat_t
		if err == nil {
			if err = unix.Fstat(fd, &st); err == nil && st.Mode&unix.S_IFMT != unix.S_IFREG {
				err = errNoFile
			}
			if err == nil {
				err = unix.SetNonblock(fd, false)
			}
			if err != nil {
				unix.Close(fd)
			}
		}
		if err != nil {
			return nil, &os.PathError{Op: "open", Path: d.path(name), Err: err}
		}
		return os.NewFile(uintptr(fd), d.path(name)), nil
	}
}

// make makes a directory in this one and opens it.
func (d folder) make(name string) (folder, error) {
	if err := unix.Mkdirat(d.fd(), name, 0o755); err != nil {
		return folder{}, &os.PathError{Op: "mkdir", Path: d.path(name), Err: err}
	}
	made, err := d.folder(name)
	if err != nil {
		return folder{}, errors.Join(err, d.removeFolder(name))
	}
	return made, nil
}

func (d folder) remove(name string) error       { return d.unlink(name, 0) }
func (d folder) removeFolder(name string) error { return d.unlink(name, unix.AT_REMOVEDIR) }

func (d folder) unlink(name string, flags int) error {
	if err := unix.Unlinkat(d.fd(), name, flags); err != nil {
		return &os.PathError{Op: "remove", Path: d.path(name), Err: err}
	}
	return nil
}

// entries are what is in the directory.
func (d folder) entries() ([]os.DirEntry, error) {
	if _, err := d.f.Seek(0, 0); err != nil {
		return nil, err
	}
	return d.f.ReadDir(-1)
}

// owner is the user whom the directory belongs to. It is an error if others may
// write to it.
func (d folder) owner() (uint32, error) {
	var st unix.Stat_t
	if err := unix.Fstat(d.fd(), &st); err != nil {
		return 0, &os.PathError{Op: "stat", Path: d.f.Name(), Err: err}
	}
	if st.Mode&0o022 != 0 {
		return st.Uid, fmt.Errorf("%s: others may write to it (mode %04o)", d.f.Name(), st.Mode&0o7777)
	}
	return st.Uid, nil
}
