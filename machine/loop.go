package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
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
	Name      string // for people, who see the first 24 bytes of it
}

// Loop is a loop device that this process has attached. Its methods may be
// called by several goroutines at once.
//
// It clears itself when the last process that has it open or mounted is gone
// (LO_FLAGS_AUTOCLEAR, loop(4)), so a killed maker leaves nothing behind that
// nobody else uses. What somebody does use is found again by the ledger. A
// number such as /dev/loop3 would not do for that: it is known only once the
// kernel has given it, and may be a stranger's when the ledger is read. So the
// entry is a random token, and LOOP_CONFIGURE writes it into the device's
// lo_file_name in the same instant in which it binds the file: a device either
// carries the token and is ours, or was never bound by us.
type Loop struct {
	path   string
	number int
	seq    string // the kernel's number of this binding; a later one of the same device has another
	gone   func() error

	mu  sync.Mutex
	dev *os.File // nil once it was let go of
}

const (
	loopTag    = "assay:"
	loopTries  = 64 // another process may take the free device before us
	loopLinger = 5 * time.Second
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
	token := loopTag + Token()
	gone, err := ledger.Intend("loop", token)
	if err != nil {
		return nil, err
	}
	type attached struct {
		loop *Loop
		err  error
	}
	done := make(chan attached) // unbuffered: exactly one side gets the device
	go func() {
		l, err := attach(ledger, file, token, o)
		select {
		case done <- attached{l, err}:
		case <-ctx.Done():
			if l != nil {
				l.Loose() // its entry stays, until Clean sees that it is gone
			}
		}
	}()
	select {
	case a := <-done:
		if a.err != nil {
			return nil, errors.Join(fmt.Errorf("machine: attach %s to a loop device: %w", file.Name(), a.err), gone())
		}
		a.loop.gone = joined(a.loop.gone, gone)
		return a.loop, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("machine: attach %s to a loop device: the kernel does not answer: %w", file.Name(), context.Cause(ctx))
	}
}

func joined(first, then func() error) func() error {
	return func() error { return errors.Join(first(), then()) }
}

func attach(ledger *Ledger, file *os.File, token string, o LoopOptions) (*Loop, error) {
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
		l, err := configure(path, n, file, token, o)
		if err == nil {
			l.gone = nodeGone
			return l, nil
		}
		if err := errors.Join(err, nodeGone()); !errors.Is(err, unix.EBUSY) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%d free loop devices were taken by others: %w", loopTries, unix.EBUSY)
}

func configure(path string, n int, file *os.File, token string, o LoopOptions) (*Loop, error) {
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
	name := token + ":" + o.Name
	copy(c.Info.File_name[:len(c.Info.File_name)-1], name)
	if err := unix.IoctlLoopConfigure(int(dev.Fd()), &c); err != nil {
		dev.Close()
		return nil, fmt.Errorf("LOOP_CONFIGURE of %s with blocks of %d (it needs Linux 5.8, and a file that is not smaller): %w", path, o.BlockSize, err)
	}
	l := &Loop{path: path, number: n, dev: dev}
	if err := l.verify(file, o); err != nil {
		l.Loose() // nobody else knows it yet, so this clears it
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return l, nil
}

// verify reads back what the kernel has made of the request: it falls back to
// the page cache without an error, and that would hide what a disk does wrong.
func (l *Loop) verify(file *os.File, o LoopOptions) error {
	var err error
	if l.seq, err = loopFact(l.number, "diskseq"); err != nil && !errors.Is(err, os.ErrNotExist) { // since Linux 5.15
		return err
	}
	dio, err := loopFact(l.number, "loop/dio")
	if err != nil {
		return fmt.Errorf("read back what was attached: %w", err)
	}
	if dio != "1" && !o.Buffered {
		return fmt.Errorf("the kernel serves it through the page cache, because %s takes no direct I/O in blocks of %d bytes", file.Name(), o.BlockSize)
	}
	block, err := loopFact(l.number, "queue/logical_block_size")
	if err != nil {
		return fmt.Errorf("read back what was attached: %w", err)
	}
	if block != strconv.Itoa(o.BlockSize) {
		return fmt.Errorf("it has blocks of %s bytes instead of %d", block, o.BlockSize)
	}
	return nil
}

// loopFact reads a file of a loop device in sysfs. Unlike an ioctl that never
// asks the file system behind the device.
func loopFact(n int, name string) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/sys/block/loop%d/%s", n, name))
	return strings.TrimSpace(string(b)), err
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
	if err := awaitUnbound(ctx, l.number, l.seq); err != nil {
		return fmt.Errorf("machine: detach %s: %w", l.path, err)
	}
	return l.gone()
}

// awaitUnbound waits for the end of one binding of a loop device.
func awaitUnbound(ctx context.Context, n int, seq string) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		_, err := loopFact(n, "loop/backing_file")
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if now, _ := loopFact(n, "diskseq"); now != seq {
			return nil // it serves another file by now
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("it is still in use%s: %w", usersOf(fmt.Sprintf("/dev/loop%d", n)), context.Cause(ctx))
		}
	}
}

// usersOf says who has a device mounted or open, for people.
func usersOf(device string) string {
	var users []string
	if mounts, err := MountsOf(device); err == nil {
		for _, m := range mounts {
			users = append(users, "mounted on "+m.Dir)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), endPatience)
	defer cancel()
	holders, err := Holders(ctx, device)
	if err != nil {
		users = append(users, err.Error())
	}
	for _, h := range holders {
		users = append(users, h.String())
	}
	if len(users) == 0 {
		return ""
	}
	return " (" + strings.Join(users, ", ") + ")"
}
