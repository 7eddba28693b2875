package soft

import (
	"fmt"
	"io"
	"log"
	"os"
	"strconv"
	"sync"

	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/seed-1b600011/assay/machine"
	"golang.org/x/sys/unix"
)

const (
	maxWrite      = 1 << 20 // bytes of one request, the most that the kernel allows
	maxBackground = 64      // asynchronous requests under way; deeper queues wait in the loop device
)

// connection is one FUSE connection that serves one file. Every medium has one
// of its own: what hangs on a disk holds up neither its clones nor what is
// plugged in after a power cut, and each can be aborted alone.
type connection struct {
	id     uint32        // under which the kernel's FUSE control file system has it
	file   *os.File      // the served file, open; a loop device takes a reference of its own
	served chan struct{} // closed when the connection has ended

	mu    sync.Mutex
	probe int // a second descriptor of /dev/fuse, to ask the kernel; -1: the connection has ended
}

// connect serves f. The connection ends by itself when the last
// descriptor on the file is closed (that of a loop device counts), with this
// process, or when it is aborted.
func connect(f *file) (*connection, error) {
	dev, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open /dev/fuse: %w", err)
	}
	c := &connection{served: make(chan struct{})}
	if c.probe, err = unix.FcntlInt(uintptr(dev), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		unix.Close(dev)
		return nil, fmt.Errorf("dup /dev/fuse: %w", err)
	}
	begun := false
	mounted, err := mountFD("fuse", []option{
		{"source", "assay"}, {"fd", strconv.Itoa(dev)}, {"rootmode", "40000"},
		{"user_id", "0"}, {"group_id", "0"}, {"max_read", strconv.Itoa(maxWrite)},
	}, func() error {
		// The server greets the kernel (INIT) over a connection that has a
		// superblock, and must do so before anything is asked of it.
		begun = true
		return c.serve(f, dev)
	})
	if err != nil {
		if !begun {
			unix.Close(dev) // afterwards it belongs to the server
			unix.Close(c.probe)
		}
		return nil, err
	}
	defer mounted.Close() // the open file keeps the file system
	if c.id, err = machine.FuseConnectionOf(mounted); err != nil {
		return nil, err
	}
	fd, err := unix.Openat(int(mounted.Fd()), f.name, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open the served file: %w", err)
	}
	c.file = os.NewFile(uintptr(fd), f.name)
	return c, nil
}

func (c *connection) serve(f *file, dev int) error {
	s, err := fuse.NewServer(f, "/dev/fd/"+strconv.Itoa(dev), &fuse.MountOptions{
		FsName: "assay", Name: "assay",
		MaxWrite: maxWrite, MaxBackground: maxBackground,
		DisableXAttrs: true, DisableReadDirPlus: true, DisableSplice: true,
		// Without it the kernel waits for each request of a direct I/O before
		// it sends the next: a third of the speed at depth 16.
		ExtraCapabilities: fuse.CAP_ASYNC_DIO,
		Logger:            log.New(io.Discard, "", 0), // the end of a connection is no news
	})
	if err != nil {
		return fmt.Errorf("serve FUSE: %w", err)
	}
	go func() {
		defer c.ended()
		s.Serve()
	}()
	return nil
}

func (c *connection) ended() {
	c.mu.Lock()
	defer c.mu.Unlock()
	unix.Close(c.probe)
	c.probe = -1
	close(c.served)
}

// aborted reports whether the connection has ended. It asks the kernel: by the
// time at which a request has failed because somebody has aborted the
// connection, the server may not have seen it.
func (c *connection) aborted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.probe < 0 {
		return true
	}
	p := []unix.PollFd{{Fd: int32(c.probe)}}
	n, err := unix.Poll(p, 0)
	return err == nil && n > 0 && p[0].Revents&unix.POLLERR != 0
}
