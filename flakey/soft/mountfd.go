package soft

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// option is one string parameter of a file system, fsconfig(2).
type option struct{ key, value string }

// mountFD mounts a file system without a mount point (fsopen(2), fsconfig(2),
// fsmount(2); Linux 5.2): it is in no mount table, nobody can unmount it or
// stumble over it, and it ends with the last descriptor on it. between runs
// once the superblock is there and before it is mounted; nil: nothing.
func mountFD(fstype string, options []option, between func() error) (*os.File, error) {
	fd, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("fsopen %s: %w", fstype, err)
	}
	defer unix.Close(fd)
	for _, o := range options {
		if err := unix.FsconfigSetString(fd, o.key, o.value); err != nil {
			return nil, fmt.Errorf("fsconfig %s %s=%s: %w", fstype, o.key, o.value, err)
		}
	}
	if err := unix.FsconfigCreate(fd); err != nil {
		return nil, fmt.Errorf("fsconfig %s: create: %w", fstype, err)
	}
	if between != nil {
		if err := between(); err != nil {
			return nil, err
		}
	}
	m, err := unix.Fsmount(fd, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return nil, fmt.Errorf("fsmount %s: %w", fstype, err)
	}
	return os.NewFile(uintptr(m), fstype), nil
}
