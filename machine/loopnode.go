package machine

import (
	"errors"
	"fmt"
	"os"

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
