package soft

import (
	"errors"
	"fmt"
	"slices"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/machine"
	"golang.org/x/sys/unix"
)

// Supports says whether this machine has what a soft disk needs. All kinds of
// fault need the same. The error is a refusal (IsRefused) that joins whatever
// is missing, each with what it is for and what would give it.
func (Driver) Supports(k flakey.Kind) error {
	if k != "" && !slices.Contains(flakey.Kinds(), k) {
		return refuse("no fault is called %q", k)
	}
	err := errors.Join(canMount("fuse"), canMount("fusectl"), canOpen("/dev/fuse", "to serve the disk", "modprobe fuse; in a container: --device /dev/fuse"),
		canOpen("/dev/loop-control", "to make a block device of what is served", "modprobe loop; in a container: --device /dev/loop-control and the /dev/loop* devices"))
	if err != nil {
		return refusal{fmt.Errorf("a soft disk cannot be made here: %w", err)}
	}
	return nil
}

func canMount(fstype string) error {
	fd, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err == nil {
		return unix.Close(fd)
	}
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("fsopen %s: %w: mounting needs CAP_SYS_ADMIN: run as root; in a container: --privileged or --cap-add SYS_ADMIN", fstype, err)
	case errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("fsopen %s: %w: mounting without a mount point needs Linux 5.2, or a seccomp profile that allows fsopen", fstype, err)
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("fsopen %s: %w: this kernel has no FUSE: modprobe fuse, or a kernel with CONFIG_FUSE_FS", fstype, err)
	}
	return fmt.Errorf("fsopen %s: %w", fstype, err)
}

func canOpen(path, why, instead string) error {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s, needed %s: %w: %s", path, why, err, instead)
	}
	return unix.Close(fd)
}

// available is how much memory a disk can have, in bytes. The daemon leaves the
// caller's cgroup where it may, so that a limit there does not count; elsewhere
// it does.
func available() (int64, error) { return machine.AvailableMemory(true) }

// memoryFor is the limit of a disk's memory, in bytes. A disk without a limit
// of its own must fit into three quarters of what there is; one with a limit
// may be larger than that, and is broken once more is written to it.
func memoryFor(o flakey.Options) (int64, error) {
	have, err := available()
	if err != nil {
		return 0, fmt.Errorf("soft: how much memory there is: %w", err)
	}
	most := have / 4 * 3
	switch {
	case o.Memory > most:
		return 0, refuse("soft: disk %q: %d MiB of memory is wanted, and three quarters of what this machine has free is %d MiB", o.Name, o.Memory>>20, most>>20)
	case o.Memory > 0:
		return o.Memory, nil
	case o.Size > most:
		return 0, refuse("soft: disk %q of %d MiB: its content lives in memory, and three quarters of what this machine has free is %d MiB; a smaller disk, or a limit of memory for one that will never be full", o.Name, o.Size>>20, most>>20)
	}
	return most, nil
}
