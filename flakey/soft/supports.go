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

// largeDisk is from which size on a disk gets memory before it is written to.
// Smaller ones are made by the dozen, to hold little.
const largeDisk = 1 << 30

// readyBeside is for the versions beside those that readers see, in bytes.
const readyBeside = 64 << 20

// memoryFor is the limit of a disk's memory, and how much of it is made ready
// at once, in bytes. A disk without a limit of its own must fit into three
// quarters of what there is; one with a limit may be larger than that, and is
// broken once more is written to it. An eighth of what there is, at most, is
// made ready.
func memoryFor(o flakey.Options) (memory, ready int64, err error) {
	have, err := available()
	if err != nil {
		return 0, 0, fmt.Errorf("soft: how much memory there is: %w", err)
	}
	most := have / 4 * 3
	memory = o.Memory
	switch {
	case memory > most:
		return 0, 0, refuse("soft: disk %q: %d MiB of memory is wanted, and three quarters of what this machine, or a memory cgroup that cannot be left, has free is %d MiB", o.Name, memory>>20, most>>20)
	case memory == 0 && o.Size > most:
		return 0, 0, refuse("soft: disk %q of %d MiB: its content lives in memory, and three quarters of what this machine, or a memory cgroup that cannot be left, has free is %d MiB; a smaller disk, or a limit of memory for one that will never be full", o.Name, o.Size>>20, most>>20)
	case memory == 0:
		memory = most
	}
	if o.Size >= largeDisk {
		ready = min(o.Size+readyBeside, memory, have/8)
	}
	return memory, ready, nil
}
