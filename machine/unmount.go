package machine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// UnmountOptions say how much is done to unmount.
type UnmountOptions struct {
	Patience time.Duration // how long a mount that is in use is tried again; 0: 5 s
	Force    bool          // then take it out of the tree (MNT_DETACH): whoever uses it keeps it until they are done

	// Dead says that the device has failed for good, as after a power cut: the
	// mount is taken out of the tree at once, and neither its users nor its device
	// are waited for. The file system may still be there when the next one is
	// mounted: of a copy of it xfs then wants the option nouuid, and btrfs none at all.
	Dead bool
}

// BusyError says that a mount is in use, and by whom. It is unix.EBUSY.
type BusyError struct {
	Dir     string
	Holders []Holder
	Blind   error // why the holders could not be looked for; else nil
}

func (e *BusyError) Error() string {
	const shown = 8
	var holders []string
	for i, h := range e.Holders {
		if i == shown {
			holders = append(holders, fmt.Sprintf("%d more", len(e.Holders)-shown))
			break
		}
		holders = append(holders, h.String())
	}
	if len(holders) == 0 {
		holders = []string{"nothing that /proc shows: a kernel thread, or a process in another mount namespace"}
	}
	s := fmt.Sprintf("%q is in use by %s", e.Dir, strings.Join(holders, "; "))
	if e.Blind != nil {
		s += fmt.Sprintf(" (%v)", e.Blind)
	}
	return s
}

func (e *BusyError) Unwrap() error { return unix.EBUSY }

// Unmount unmounts what is on top at dir, an absolute path without symbolic
// links; nothing there is no error. While it is in use it is tried again for
// o.Patience; then the error is a BusyError, or with o.Force it is taken out
// of the tree.
//
// A child process does it, because an unmount writes back and waits for the
// device. When ctx ends, or that takes longer than 30 s over the patience,
// Unmount returns an error, with o.Force after it has taken the mount out of
// the tree.
func Unmount(ctx context.Context, dir string, o UnmountOptions) error {
	return unmount(ctx, dir, 0, o)
}

// unmountBound is how long an unmount may wait for its device, or the search
// for the holders for a process, above the patience.
const unmountBound = 30 * time.Second

// unmount unmounts the mount of that number at dir, or any where it is 0.
func unmount(ctx context.Context, dir string, id uint64, o UnmountOptions) error {
	if o.Patience == 0 {
		o.Patience = 5 * time.Second
	}
	var err error
	if o.Dead {
		err = detachMount(ctx, dir, id)
	} else if err = unmountPatiently(ctx, dir, id, o.Patience); err != nil && o.Force {
		// The caller's time may be over: detaching does not wait for the device.
		if detached := detachMount(context.WithoutCancel(ctx), dir, id); detached != nil {
			err = errors.Join(err, detached)
		} else if errors.Is(err, unix.EBUSY) {
			err = nil
		}
	}
	if err != nil {
		return fmt.Errorf("machine: unmount %q: %w", dir, err)
	}
	return nil
}

func unmountPatiently(ctx context.Context, dir string, id uint64, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience+unmountBound)
	defer cancel()
	return unmountBy(ctx, dir, id, patience, 0)
}

func detachMount(ctx context.Context, dir string, id uint64) error {
	ctx, cancel := context.WithTimeout(ctx, endPatience)
	defer cancel()
	return unmountBy(ctx, dir, id, 0, unix.MNT_DETACH)
}

func unmountBy(ctx context.Context, dir string, id uint64, patience time.Duration, flags int) error {
	c, err := unmounter.startUnlisted(ctx, nil, dir, strconv.FormatUint(id, 10), patience.String(), strconv.Itoa(flags))
	if err != nil {
		return err
	}
	_, err = ask(ctx, c, bufio.NewReader(c.Stdout))
	if !errors.Is(err, unix.EBUSY) {
		return err
	}
	busy := &BusyError{Dir: dir}
	busy.Holders, busy.Blind = Holders(ctx, dir)
	return busy
}

// unmounter is the child that unmounts: the directory and the number in
// args[0] and args[1], for as long as args[2], with the flags in args[3].
var unmounter = Daemon("machine-unmount", func(ctx context.Context, args []string, _ io.Reader, stdout io.Writer) error {
	id, err := strconv.ParseUint(args[1], 10, 64)
	if err != nil {
		return err
	}
	patience, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	flags, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	a := mountAnswer{}
	if flags&unix.MNT_DETACH != 0 {
		// Whoever lets go of it last takes the file system down, which waits for
		// the device: let that be our end, when we have answered.
		if held, err := unix.Open(args[0], unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0); err == nil {
			defer unix.Close(held)
		}
	}
	if err := unmountInChild(ctx, args[0], id, patience, flags); err != nil {
		a.Failed = err.Error()
		errors.As(err, &a.Errno)
	}
	return json.NewEncoder(stdout).Encode(a)
})

// unmountInChild unmounts with a number of tries that the patience gives, and
// not a clock, so that a machine that was asleep tries as often as another.
func unmountInChild(ctx context.Context, dir string, id uint64, patience time.Duration, flags int) error {
	const longest = 20 * time.Millisecond
	for pause := time.Millisecond; ; pause = min(2*pause, longest) {
		there, err := isMounted(dir, id)
		if err != nil || !there {
			return err
		}
		err = unix.Unmount(dir, flags|unix.UMOUNT_NOFOLLOW)
		if err == nil || errors.Is(err, unix.EINVAL) {
			return nil // EINVAL: somebody was quicker
		}
		if !errors.Is(err, unix.EBUSY) || patience < pause || ctx.Err() != nil {
			return err
		}
		time.Sleep(pause)
		patience -= pause
	}
}

// isMounted tells whether the mount of that number (0: any) is on top at dir.
func isMounted(dir string, id uint64) (bool, error) {
	on, err := MountedAt(dir)
	if err != nil || len(on) == 0 || id == 0 {
		return len(on) > 0, err
	}
	top, err := mountID(unix.AT_FDCWD, dir)
	if errors.Is(err, unix.EIO) {
		// A file system that was shut down (xfs after an error of its disk)
		// answers no stat, and must be unmounted all the more. That a stranger
		// has mounted another dead one right here is not to be feared.
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("%q: %w", dir, err)
	}
	return top == id, nil
}
