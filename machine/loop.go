package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// LoopOptions say how a file becomes a block device. The zero value is a
// writable device with sectors of 512 bytes that bypasses the page cache.
type LoopOptions struct {
	BlockSize int    // logical block in bytes: 512, 1024, 2048 or 4096; 0 is 512
	ReadOnly  bool   // also where file is open for writing
	Buffered  bool   // the page cache may stand between device and file; without it that is refused
	Name      string // for people, who see the first 57 bytes of it as the device's lo_file_name
}

// Loop is a loop device that this process has attached. Its methods may be
// called by several goroutines at once.
//
// It clears itself when the last process that has it open or mounted is gone
// (LO_FLAGS_AUTOCLEAR, loop(4)). So until Attach has given its path to anybody,
// the end of the maker clears it; and before that the ledger has it. Not by its
// number alone, which may be a stranger's when the ledger is read, but by the
// kernel's serial number of the disk (diskseq, never used again before the next
// boot) and the name of the boot.
type Loop struct {
	path  string
	bound binding
	gone  func() error

	mu  sync.Mutex
	dev *os.File // nil once it was let go of
}

const (
	loopTries  = 64 // another process may take the free device before us
	loopLinger = 10 * time.Second
)

// Attach makes a loop device of an open file. The file may be closed
// afterwards. It needs Linux 5.8 and the right to use /dev/loop-control.
//
// Attaching asks the file's own file system a few things; where that does not
// answer, Attach returns when ctx ends, and the device, should it still come
// to be, is let go of at once.
func Attach(ctx context.Context, ledger *Ledger, file *os.File, o LoopOptions) (*Loop, error) {
	if o.BlockSize == 0 {
		o.BlockSize = 512
	}
	if o.BlockSize < 512 || o.BlockSize > 4096 || o.BlockSize&(o.BlockSize-1) != 0 {
		return nil, fmt.Errorf("machine: attach %s to a loop device: blocks of %d bytes: want 512, 1024, 2048 or 4096", file.Name(), o.BlockSize)
	}
	type attached struct {
		loop *Loop
		err  error
	}
	done := make(chan attached) // unbuffered: exactly one side gets the device
	go func() {
		l, err := attach(ledger, file, o)
		select {
		case done <- attached{l, err}:
		case <-ctx.Done():
			if l != nil {
				late, cancel := context.WithTimeout(context.WithoutCancel(ctx), loopLinger)
				defer cancel()
				_ = l.Detach(late) // where that fails it stays in the ledger
			}
		}
	}()
	select {
	case a := <-done:
		if a.err != nil {
			return nil, fmt.Errorf("machine: attach %s to a loop device: %w", file.Name(), a.err)
		}
		return a.loop, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("machine: attach %s to a loop device: the kernel does not answer: %w", file.Name(), context.Cause(ctx))
	}
}

func attach(ledger *Ledger, file *os.File, o LoopOptions) (*Loop, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("loop devices are not to be had (a container needs /dev/loop-control and a device rule for major 7): %w", err)
	}
	defer control.Close()
	for range loopTries {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("ask for a free loop device: %w", err)
		}
		path, nodeGone, err := loopNode(ledger, n)
		if err != nil {
			return nil, err
		}
		l, err := configure(path, n, file, o)
		if err == nil {
			if l.gone, err = ledger.Intend("loop", l.bound.String()); err == nil {
				l.gone = joined(nodeGone, l.gone)
				return l, nil
			}
			l.Loose()
		}
		if err := errors.Join(err, nodeGone()); !errors.Is(err, unix.EBUSY) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%d free loop devices were taken by others: %w", loopTries, unix.EBUSY)
}

func joined(first, then func() error) func() error {
	return func() error { return errors.Join(first(), then()) }
}

func configure(path string, n int, file *os.File, o LoopOptions) (*Loop, error) {
	mode, flags := os.O_RDWR, uint32(unix.LO_FLAGS_AUTOCLEAR)
	if o.ReadOnly {
		mode, flags = os.O_RDONLY, flags|unix.LO_FLAGS_READ_ONLY
	}
	if !o.Buffered {
		flags |= unix.LO_FLAGS_DIRECT_IO
	}
	dev, err := os.OpenFile(path, mode, 0)
	if err != nil {
		return nil, fmt.Errorf("%w (a container needs a device rule for major 7)", err)
	}
	c := unix.LoopConfig{Fd: uint32(file.Fd()), Size: uint32(o.BlockSize), Info: unix.LoopInfo64{Flags: flags}}
	copy(c.Info.File_name[:len(c.Info.File_name)-1], "assay:"+o.Name)
	if err := unix.IoctlLoopConfigure(int(dev.Fd()), &c); err != nil {
		dev.Close()
		return nil, fmt.Errorf("LOOP_CONFIGURE of %s with blocks of %d (it needs Linux 5.8, and a file that is not smaller): %w", path, o.BlockSize, err)
	}
	l := &Loop{path: path, dev: dev}
	if l.bound, err = bindingOf(n); err == nil {
		err = verify(n, file, o)
	}
	if err != nil {
		l.Loose() // nobody else knows it yet, so this clears it
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}

// verify reads back what the kernel has made of the request: it falls back to
// the page cache without an error, and that would hide what a disk does wrong.
func verify(n int, file *os.File, o LoopOptions) error {
	dio, err := loopFact(n, "loop/dio")
	if err != nil {
		return fmt.Errorf("read back what was attached: %w", err)
	}
	if dio != "1" && !o.Buffered {
		return fmt.Errorf("the kernel serves it through the page cache, because %s takes no direct I/O in blocks of %d bytes", file.Name(), o.BlockSize)
	}
	block, err := loopFact(n, "queue/logical_block_size")
	if err != nil {
		return fmt.Errorf("read back what was attached: %w", err)
	}
	if block != strconv.Itoa(o.BlockSize) {
		return fmt.Errorf("it has blocks of %s bytes instead of %d", block, o.BlockSize)
	}
	return nil
}

// Path is that of the block device.
func (l *Loop) Path() string { return l.path }

// Loose lets go of the device: it clears itself as soon as nobody has it open
// or mounted any more, which may be at once. It stays in the ledger until
// Detach has seen that.
func (l *Loop) Loose() {
	l.mu.Lock()
	dev := l.dev
	l.dev = nil
	l.mu.Unlock()
	if dev != nil {
		go dev.Close() // may write back what the device has cached, and so wait for the file behind it
	}
}

// Detach lets go of the device and waits until nobody uses it, so that it is
// free and crossed off the ledger; with ctx's end it gives up and says who
// does. It may be called again.
func (l *Loop) Detach(ctx context.Context) error {
	l.Loose()
	if err := l.bound.awaitEnd(ctx); err != nil {
		return fmt.Errorf("machine: detach %s: %w", l.path, err)
	}
	return l.gone()
}
