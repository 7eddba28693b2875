package machine

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// FuseControl is the kernel's control file system of FUSE connections
// (kernel: filesystems/fuse/fuse.rst, "Control filesystem"). It is mounted
// without a place in the tree, so nothing is left behind and none needs to be
// at /sys/fs/fuse/connections. Nothing in it waits for any server. Its methods
// may be called by several goroutines at once.
type FuseControl struct{ dir *os.File }

// OpenFuseControl needs root with CAP_SYS_ADMIN.
func OpenFuseControl() (*FuseControl, error) {
	dir, err := newMount("", "fusectl", mountOptions{})
	if err != nil {
		return nil, fmt.Errorf("machine: mount the FUSE control file system: %w", err)
	}
	return &FuseControl{dir: dir}, nil
}

// Close leaves connections as they are; those that were opened can still be
// aborted.
func (c *FuseControl) Close() error { return c.dir.Close() }

// Connections are the numbers of all FUSE connections of the machine.
func (c *FuseControl) Connections() ([]uint32, error) {
	fd, err := unix.Openat(int(c.dir.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("machine: list the FUSE connections: %w", err)
	}
	d := os.NewFile(uintptr(fd), "FUSE connections")
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("machine: list the FUSE connections: %w", err)
	}
	var all []uint32
	for _, name := range names {
		if n, err := strconv.ParseUint(name, 10, 32); err == nil {
			all = append(all, uint32(n))
		}
	}
	return all, nil
}

// FuseConnectionOf is the number of the connection behind an open file or
// directory of a FUSE file system, a mount without a place included. The
// server is not asked.
func FuseConnectionOf(f *os.File) (uint32, error) {
	var st unix.Statx_t
	flags := unix.AT_EMPTY_PATH | unix.AT_STATX_DONT_SYNC
	if err := unix.Statx(int(f.Fd()), "", flags, unix.STATX_TYPE, &st); err != nil {
		return 0, fmt.Errorf("machine: FUSE connection of %s: %w", f.Name(), err)
	}
	if st.Dev_major != 0 {
		return 0, fmt.Errorf("machine: %s is on the device %d:%d, not on FUSE", f.Name(), st.Dev_major, st.Dev_minor)
	}
	return st.Dev_minor, nil
}

// FuseConnection is one connection, held by its control files: the kernel uses
// the numbers again, but these files stay with the connection for which they
// were opened and do nothing once it has ended. Its methods may be called by
// several goroutines at once.
type FuseConnection struct {
	number         uint32
	abort, waiting *os.File
}

// Open gives the connection of that number, which must be alive.
func (c *FuseControl) Open(number uint32) (*FuseConnection, error) {
	abort, err := c.open(number, "abort", unix.O_WRONLY)
	if err != nil {
		return nil, err
	}
	waiting, err := c.open(number, "waiting", unix.O_RDONLY)
	if err != nil {
		return nil, errors.Join(err, abort.Close())
	}
	return &FuseConnection{number: number, abort: abort, waiting: waiting}, nil
}

// FuseRehearsal gives a connection of nobody. To abort it takes every step in
// this process that it takes to abort another, and so brings into memory what
// they need, for one who must be able to when there is no memory left.
func FuseRehearsal() (*FuseConnection, error) {
	abort, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("machine: %w", err)
	}
	waiting, err := os.Open(os.DevNull)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("machine: %w", err), abort.Close())
	}
	return &FuseConnection{abort: abort, waiting: waiting}, nil
}

func (c *FuseControl) open(number uint32, name string, mode int) (*os.File, error) {
	path := fmt.Sprintf("%d/%s", number, name)
	fd, err := unix.Openat(int(c.dir.Fd()), path, mode|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("machine: FUSE connection %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// Close forgets the connection and leaves it as it is.
func (c *FuseConnection) Close() error { return errors.Join(c.abort.Close(), c.waiting.Close()) }

// Abort ends the connection: every request that waits on it, or comes later,
// fails. It works when the server hangs, is stopped, or cannot be killed
// because it waits for itself. One that has ended already is no error.
func (c *FuseConnection) Abort() error {
	if _, err := c.abort.WriteString("1"); err != nil {
		return fmt.Errorf("machine: abort FUSE connection %d: %w", c.number, err)
	}
	return nil
}

// Waiting is how many requests the server has not answered; 0 also when the
// connection has ended.
func (c *FuseConnection) Waiting() (int, error) {
	// The kernel's file is read once and cannot be sought; opened again by way
	// of /proc it is still that of this connection.
	b, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", c.waiting.Fd()))
	if err != nil {
		return 0, fmt.Errorf("machine: requests that wait on FUSE connection %d: %w", c.number, err)
	}
	text := strings.TrimSpace(string(b))
	if text == "" {
		return 0, nil // it has ended
	}
	waiting, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("machine: requests that wait on FUSE connection %d: %w", c.number, err)
	}
	return waiting, nil
}
