package machine

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// newMount makes a mount that is attached nowhere (fsopen(2), fsconfig(2),
// fsmount(2), Linux 5.2): closing the file unmounts it, and so does the end of
// the process. It may wait for the device for ever.
func newMount(source, fstype string, o mountOptions) (*os.File, error) {
	fs, err := unix.Fsopen(fstype, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, explainFsopen(fstype, err)
	}
	defer unix.Close(fs)
	set := func() error {
		if source != "" {
			if err := unix.FsconfigSetString(fs, "source", source); err != nil {
				return fmt.Errorf("source: %w", err)
			}
		}
		for _, word := range o.flags {
			if err := unix.FsconfigSetFlag(fs, word); err != nil {
				return fmt.Errorf("option %s: %w", word, err)
			}
		}
		for _, v := range o.values {
			if err := unix.FsconfigSetString(fs, v[0], v[1]); err != nil {
				return fmt.Errorf("option %s=%s: %w", v[0], v[1], err)
			}
		}
		return unix.FsconfigCreate(fs)
	}
	if err := set(); err != nil {
		if log := kernelLog(fs); log != "" {
			err = fmt.Errorf("%w: %s", err, log)
		}
		return nil, err
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, o.attributes)
	if err != nil {
		return nil, fmt.Errorf("fsmount: %w", err)
	}
	return os.NewFile(uintptr(fd), "mount of "+source), nil
}

func explainFsopen(fstype string, err error) error {
	switch {
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("this kernel has no file system %q: %w", fstype, err)
	case errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("mounting needs Linux 5.2: %w", err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("mounting needs root with CAP_SYS_ADMIN (a container: --privileged): %w", err)
	}
	return fmt.Errorf("fsopen %s: %w", fstype, err)
}

// kernelLog is what the kernel has said about a file system context: each read
// gives one message, after a letter and a space.
func kernelLog(fs int) string {
	var said []string
	b := make([]byte, 4096)
	for range 16 {
		n, err := unix.Read(fs, b)
		if err != nil || n <= 0 {
			break
		}
		said = append(said, message(string(b[:n])))
	}
	return strings.Join(said, "; ")
}

// message is a line of the log without its letter: e, w or i (fs/fs_context.c).
func message(line string) string {
	if len(line) > 1 && line[1] == ' ' {
		line = line[2:]
	}
	return strings.TrimSpace(line)
}

// mountID is the kernel's number of the mount that path, or with an empty path
// the open file dir, is the root of or lies in. Since Linux 6.8 it is never
// used again before the next boot. Nothing is asked of the file system.
func mountID(dir int, path string) (uint64, error) {
	var st unix.Statx_t
	flags := unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT | unix.AT_STATX_DONT_SYNC
	if path == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	for _, mask := range []int{unix.STATX_MNT_ID_UNIQUE, unix.STATX_MNT_ID} {
		if err := unix.Statx(dir, path, flags, mask, &st); err != nil {
			return 0, fmt.Errorf("statx: %w", err)
		}
		if int(st.Mask)&mask != 0 {
			return st.Mnt_id, nil
		}
	}
	return 0, errors.New("the kernel does not number its mounts (it needs Linux 5.8)")
}

// bootID is the kernel's name of this boot.
func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b)), err
}
