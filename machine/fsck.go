package machine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Report is what a file system check has found.
type Report struct {
	Clean    bool   // it could be mounted and the check found nothing
	Output   string // of the program
	Exit     int    // its exit status
	MountErr error  // why it could not be mounted, where the file system is the reason; else nil
}

// Fsck checks the file system on a device that is a copy-on-write clone of the
// one in question, made for this: the clone is mounted and unmounted first,
// which writes to it. Without that there are false alarms and misses: on an
// honest crash image, where the journal has yet to be replayed, xfs_repair -n
// reports damage and e2fsck -n looks past the journal.
//
// The mount has no place in the tree, and goes with the process that made it:
// nothing is left behind however this ends. The original may be mounted at the
// same time (xfs: by nouuid; btrfs: since Linux 6.7, before that the error says
// so). An error means that there is no report: the device is in use or too
// busy, a program is missing, ctx has ended.
func Fsck(ctx context.Context, device, fstype string) (Report, error) {
	r, err := fsck(ctx, device, fstype)
	if err != nil {
		return Report{}, fmt.Errorf("machine: check %s on %s: %w", fstype, device, err)
	}
	return r, nil
}

func fsck(ctx context.Context, device, fstype string) (Report, error) {
	f, err := fileSystemNamed(fstype)
	if err != nil {
		return Report{}, err
	}
	if err := SupportsFilesystem(fstype); err != nil {
		return Report{}, err
	}
	if _, err := DeviceSize(device); err != nil {
		return Report{}, err
	}
	if on, err := MountsOf(device); err != nil {
		return Report{}, err
	} else if len(on) > 0 {
		return Report{}, fmt.Errorf("it is mounted on %q: %w", on[0].Dir, unix.EBUSY)
	}
	var r Report
	if r.MountErr, err = replay(ctx, device, f); err != nil {
		return Report{}, err
	}
	ran, err := runProgram(ctx, f.check[0], append(slices.Clone(f.check[1:]), "--", device)...)
	if err != nil {
		return Report{}, err
	}
	r.Output, r.Exit = ran.output, ran.exit
	if r.Exit != 0 && !slices.Contains(f.unclean, r.Exit) {
		return Report{}, fmt.Errorf("%s could not check: status %d: %s", f.check[0], r.Exit, r.Output)
	}
	r.Clean = r.Exit == 0 && r.MountErr == nil
	return r, nil
}

// replay mounts and unmounts the file system. refused is the kernel's reason
// not to mount it, where that lies in what is on the device.
func replay(ctx context.Context, device string, f fileSystem) (refused, err error) {
	c, err := replayer.startUnlisted(ctx, nil, device, f.name, f.mount)
	if err != nil {
		return nil, err
	}
	_, err = ask(ctx, c, bufio.NewReader(c.Stdout))
	c.await(ctx, endPatience)
	if errno := unix.Errno(0); errors.As(err, &errno) && blamesContent(errno) {
		return err, nil
	}
	return nil, err
}

// blamesContent tells a file system that the kernel does not want from a
// machine on which it cannot be mounted.
func blamesContent(errno unix.Errno) bool {
	switch errno {
	case unix.EPERM, unix.EACCES, unix.ENODEV, unix.ENOENT, unix.ENXIO, unix.ENOTBLK, unix.EBUSY, unix.EEXIST,
		unix.ENOMEM, unix.EMFILE, unix.ENFILE, unix.EINTR, unix.ENOSYS, unix.ETIMEDOUT:
		return false
	}
	return true
}

// replayer is the child that mounts and unmounts the device in args[0], of
// type args[1] with the options args[2].
var replayer = Daemon("machine-replay", func(ctx context.Context, args []string, _ io.Reader, stdout io.Writer) error {
	a := mountAnswer{}
	if err := replayInChild(ctx, args[0], args[1], args[2]); err != nil {
		a.Failed = err.Error()
		errors.As(err, &a.Errno)
	}
	return json.NewEncoder(stdout).Encode(a)
})

func replayInChild(ctx context.Context, device, fstype, options string) error {
	o, err := parseMountOptions(options)
	if err != nil {
		return err
	}
	if err := probeFree(ctx, device); err != nil { // or the kernel would give us a mount that exists
		return err
	}
	made, err := newMount(device, fstype, o)
	if err != nil {
		return err
	}
	if err := made.Close(); err != nil {
		return fmt.Errorf("unmount: %w", err)
	}
	return probeFree(ctx, device)
}

// probeFree waits, for 5 s at most, until nobody has the device for himself:
// as long as a file system is on it, it cannot be opened with O_EXCL (open(2)).
func probeFree(ctx context.Context, device string) error {
	const pause = 10 * time.Millisecond
	for tries := endPatience / pause; ; tries-- {
		fd, err := unix.Open(device, unix.O_RDONLY|unix.O_EXCL|unix.O_CLOEXEC, 0)
		if err == nil {
			return unix.Close(fd)
		}
		if !errors.Is(err, unix.EBUSY) || tries <= 0 || ctx.Err() != nil {
			return fmt.Errorf("open %s for this alone: %w", device, err)
		}
		time.Sleep(pause)
	}
}
