package machine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const loopMajor = 7 // of every loop device (kernel: admin-guide/devices.txt)

// loopNode gives the path by which loop device n is opened: /dev/loopN where
// that is it. Where /dev is not the kernel's own, as in a container, a device
// above the eighth may have no node; it then gets one under a name with a
// random part, which nobody else uses, so that it can be removed again.
func loopNode(ledger *Ledger, n int) (path string, gone func() error, err error) {
	path = fmt.Sprintf("/dev/loop%d", n)
	number, err := loopNumber(n)
	if err != nil {
		return "", nil, err
	}
	if isNode(path, number) {
		return path, func() error { return nil }, nil
	}
	path = fmt.Sprintf("/dev/assay-loop%d-%s", n, Token())
	done, err := ledger.Intend("device-node", path)
	if err != nil {
		return "", nil, err
	}
	if err := unix.Mknod(path, unix.S_IFBLK|0o600, int(number)); err != nil {
		return "", nil, errors.Join(fmt.Errorf("/dev/loop%d is missing; make %s: %w", n, path, err), done())
	}
	return path, func() error {
		if err := removeNode(path); err != nil {
			return err
		}
		return done()
	}, nil
}

// loopNumber is the device number of loop device n, whose minor number is n
// only where the loop driver has no partitions.
func loopNumber(n int) (uint64, error) {
	s, err := loopFact(n, "dev")
	if err != nil {
		return 0, fmt.Errorf("loop device %d: %w", n, err)
	}
	var major, minor uint32
	if _, err := fmt.Sscanf(s, "%d:%d", &major, &minor); err != nil || major != loopMajor {
		return 0, fmt.Errorf("loop device %d has the number %q", n, s)
	}
	return unix.Mkdev(major, minor), nil
}

func isNode(path string, number uint64) bool {
	var st unix.Stat_t
	return unix.Lstat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFBLK && st.Rdev == number
}

// removeNode undoes a device node, and removes nothing that is none.
func removeNode(path string) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); errors.Is(err, unix.ENOENT) {
		return nil
	} else if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return fmt.Errorf("%s is no block device any more", path)
	}
	return os.Remove(path)
}

// loopClearer clears the loop devices that carry the token in args[0] and
// prints the number of each. It is a child because the question which token a
// device carries waits for the file system behind it, and there may be
// strangers' devices that do not answer.
var loopClearer = Daemon("machine-loop-clear", func(ctx context.Context, args []string, _ io.Reader, stdout io.Writer) error {
	devices, err := filepath.Glob("/sys/block/loop*/loop")
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	for _, d := range devices {
		n, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(filepath.Dir(d)), "loop"))
		if err != nil {
			continue
		}
		all.Go(func() {
			if seq, ours := clearIfCarries(n, args[0]); ours {
				fmt.Fprintln(stdout, n, seq)
			}
		})
	}
	answered := make(chan struct{})
	go func() { all.Wait(); close(answered) }()
	select {
	case <-answered:
	case <-ctx.Done():
	case <-time.After(loopLinger / 2): // who has not answered by now belongs to a disk that hangs
		fmt.Fprintln(stdout, "late")
	}
	return nil
})

func clearIfCarries(n int, token string) (seq string, ours bool) {
	fd, err := openLoop(n)
	if err != nil {
		return "", false // it has gone
	}
	defer unix.Close(fd)
	seq, _ = loopFact(n, "diskseq") // before the token is read: a later binding has a later one
	info, err := unix.IoctlLoopGetStatus64(fd)
	if err != nil || !strings.HasPrefix(unix.ByteSliceToString(info.File_name[:]), token) {
		return "", false
	}
	_ = unix.IoctlSetInt(fd, unix.LOOP_CLR_FD, 0) // whether it worked is seen in sysfs
	return seq, true
}

func openLoop(n int) (int, error) {
	number, err := loopNumber(n)
	if err != nil {
		return -1, err
	}
	path := fmt.Sprintf("/dev/loop%d", n)
	if !isNode(path, number) {
		path = fmt.Sprintf("/dev/assay-loop%d-%s", n, Token())
		if err := unix.Mknod(path, unix.S_IFBLK|0o600, int(number)); err != nil {
			return -1, err
		}
		defer os.Remove(path)
	}
	return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

// undoLoop clears the loop device that carries the token and waits for 5 s
// until it is free.
func undoLoop(ctx context.Context, token string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*loopLinger)
	defer cancel()
	c, err := loopClearer.startUnlisted(ctx, nil, token)
	if err != nil {
		return err
	}
	var errs []error
	for lines := bufio.NewScanner(c.Stdout); lines.Scan(); {
		var n int
		number, seq, _ := strings.Cut(lines.Text(), " ")
		if n, err = strconv.Atoi(number); err != nil {
			errs = append(errs, errors.New("a loop device does not answer, so it cannot be told whose it is"))
			continue
		}
		if err := awaitUnbound(ctx, n, seq); err != nil {
			errs = append(errs, fmt.Errorf("/dev/loop%d: %w", n, err))
		}
	}
	return errors.Join(append(errs, c.Stop(ctx), c.Err())...)
}
