package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

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

// Beat is a server's sign of life. To give one it must take the locks that its
// requests take.
type Beat struct {
	Answered int64 `json:"answered"` // requests so far
	Held     int64 `json:"held"`     // requests that it keeps waiting on purpose now
}

// StuckError says that a connection was aborted because its server was stuck.
type StuckError struct {
	Connection uint32
	Waiting    int  // requests that waited
	Silent     bool // no sign of life; else there was, and yet no answer
}

func (e *StuckError) Error() string {
	why := "no request was answered, though the server shows that it lives"
	if e.Silent {
		why = "its server gave no sign of life"
	}
	return fmt.Sprintf("machine: FUSE connection %d was aborted with %d requests waiting: %s", e.Connection, e.Waiting, why)
}

// watchLooks is how often a watch looks within its patience. The patience is
// counted in looks, so that a watcher that was stopped itself blames nobody.
const watchLooks = 16

// Watch aborts the connection, and returns a StuckError, when requests have
// waited for all of patience, at least 16 ms, and in it
//
//   - no beat came: the server is stopped, or waits for a lock, for memory or
//     for its own disk; or
//   - beats came, none spoke of requests held on purpose, and none of more
//     requests answered: those who serve are stuck and who beats is not. While
//     requests are held, others may queue behind them in the kernel, so then
//     beats alone count.
//
// A silent server on which nobody waits harms nobody and is left alone. Watch
// belongs into a process that uses nothing of the server's: not its memory
// cgroup (ResistPressure), not its disk. It returns nil when ctx ends. A
// closed channel of beats is a silent one.
func (c *FuseConnection) Watch(ctx context.Context, patience time.Duration, beats <-chan Beat) error {
	look := time.NewTicker(max(patience/watchLooks, time.Millisecond))
	defer look.Stop()
	var s stall
	for {
		select {
		case <-ctx.Done():
			return nil
		case b, more := <-beats:
			if !more {
				beats = nil
				continue
			}
			s.beat(b)
		case <-look.C:
			waiting, err := c.Waiting()
			if err != nil {
				return err
			}
			if stuck, silent := s.look(waiting); stuck {
				return errors.Join(&StuckError{Connection: c.number, Waiting: waiting, Silent: silent}, c.Abort())
			}
		}
	}
}

// stall decides whether a server is stuck.
type stall struct {
	last           Beat
	silent, barren int // looks in a row with requests waiting and no beat, and with no answer
}

func (s *stall) beat(b Beat) {
	s.silent = 0
	if b.Answered != s.last.Answered || b.Held > 0 {
		s.barren = 0
	}
	s.last = b
}

func (s *stall) look(waiting int) (stuck, silent bool) {
	if waiting == 0 {
		s.silent, s.barren = 0, 0
		return false, false
	}
	s.silent++
	if s.last.Held == 0 {
		s.barren++
	}
	return s.silent > watchLooks || s.barren > watchLooks, s.silent > watchLooks
}
