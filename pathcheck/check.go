package pathcheck

import (
	"fmt"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Check is what is done to a path. Each is timed as a whole, the opening and
// the closing included, and each changes nothing that outlives it.
type Check byte

const (
	// Read opens the file, reads once up to 4096 bytes at its beginning with
	// O_DIRECT into memory aligned to 4096 bytes, and closes it. An empty file is
	// an EIO.
	Read Check = iota
	// Write writes 4096 bytes with O_DSYNC into a file of its own in the
	// directory that the path is, which has no name where the file system
	// allows that (O_TMPFILE, open(2)), and is unlinked before it is written
	// to where not. A frozen file system hangs it, and none of the others.
	Write
	// Stat asks for the attributes, of the server where there is one
	// (AT_STATX_FORCE_SYNC, statx(2)).
	Stat
	// List reads the first entries of the directory.
	List

	checks = iota
)

func (c Check) String() string { return [...]string{"read", "write", "stat", "list"}[c] }

// ParseCheck is the reverse of String.
func ParseCheck(s string) (Check, error) {
	for c := range Check(checks) {
		if c.String() == s {
			return c, nil
		}
	}
	return 0, fmt.Errorf("pathcheck: no check %q: there are read, write, stat and list", s)
}

// alignment is that of the memory and the size of what is read and written.
const alignment = 4096

// do runs the check on a path that ends with a NUL. page is alignment bytes,
// aligned so, and may be shared: nobody looks at what is read.
func (c Check) do(path, page []byte, name int64) (began time.Time, took time.Duration, errno syscall.Errno) {
	began = time.Now()
	switch c {
	case Read:
		errno = read(path, page)
	case Write:
		errno = write(path, page, name)
	case Stat:
		errno = stat(path)
	case List:
		errno = entries(path, page)
	default:
		errno = unix.EINVAL
	}
	return began, time.Since(began), errno
}

func open(path []byte, flags int) (fd uintptr, errno syscall.Errno) {
	dir := unix.AT_FDCWD
	for {
		fd, _, errno = syscall.Syscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(&path[0])), uintptr(flags|unix.O_CLOEXEC), 0o600, 0, 0)
		if errno != unix.EINTR {
			return fd, errno
		}
	}
}

// closing gives the error of the close, unless there was one before.
func closing(fd uintptr, before syscall.Errno) syscall.Errno {
	if _, _, errno := syscall.Syscall(unix.SYS_CLOSE, fd, 0, 0); before == 0 && errno != unix.EINTR {
		return errno
	}
	return before
}

// transfer reads or writes the page once, at the beginning.
func transfer(call, fd uintptr, page []byte) (n uintptr, errno syscall.Errno) {
	for {
		n, _, errno = syscall.Syscall6(call, fd, uintptr(unsafe.Pointer(&page[0])), alignment, 0, 0, 0)
		if errno != unix.EINTR {
			return n, errno
		}
	}
}

func read(path, page []byte) syscall.Errno {
	fd, errno := open(path, unix.O_RDONLY|unix.O_DIRECT)
	if errno != 0 {
		return errno
	}
	n, errno := transfer(unix.SYS_PREAD64, fd, page)
	if errno == 0 && n == 0 {
		errno = unix.EIO
	}
	return closing(fd, errno)
}

func write(path, page []byte, name int64) syscall.Errno {
	fd, errno := open(path, unix.O_TMPFILE|unix.O_WRONLY|unix.O_DSYNC)
	if errno == unix.EOPNOTSUPP || errno == unix.EISDIR { // the latter of a kernel that does not know the flag
		fd, errno = openUnlinked(path, name)
	}
	if errno != 0 {
		return errno
	}
	n, errno := transfer(unix.SYS_PWRITE64, fd, page)
	if errno == 0 && n < alignment {
		errno = unix.ENOSPC
	}
	return closing(fd, errno)
}

func openUnlinked(dir []byte, name int64) (fd uintptr, errno syscall.Errno) {
	path := fmt.Appendf(nil, "%s/.assay-pathcheck-%x\x00", dir[:len(dir)-1], name)
	fd, errno = open(path, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_DSYNC)
	if errno != 0 {
		return 0, errno
	}
	at := unix.AT_FDCWD
	if _, _, errno = syscall.Syscall(unix.SYS_UNLINKAT, uintptr(at), uintptr(unsafe.Pointer(&path[0])), 0); errno != 0 {
		return 0, closing(fd, errno)
	}
	return fd, 0
}

func stat(path []byte) (errno syscall.Errno) {
	var st unix.Statx_t
	at := unix.AT_FDCWD
	for {
		_, _, errno = syscall.Syscall6(unix.SYS_STATX, uintptr(at), uintptr(unsafe.Pointer(&path[0])),
			unix.AT_STATX_FORCE_SYNC, unix.STATX_BASIC_STATS, uintptr(unsafe.Pointer(&st)), 0)
		if errno != unix.EINTR {
			return errno
		}
	}
}

func entries(path, page []byte) syscall.Errno {
	fd, errno := open(path, unix.O_RDONLY|unix.O_DIRECTORY)
	if errno != 0 {
		return errno
	}
	_, _, errno = syscall.Syscall(unix.SYS_GETDENTS64, fd, uintptr(unsafe.Pointer(&page[0])), alignment)
	return closing(fd, errno)
}
