package machine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// OwnMounts gives the calling goroutine's thread a mount namespace of its own
// (mount_namespaces(7)), which what it starts from then on shares: what is mounted
// there is gone when the last process in it has ended. The goroutine stays on
// that thread for good. What others unmount where mounts are shared is unmounted
// there too.
//
// The namespace begins as a copy, and a copy holds a file system although it is
// unmounted elsewhere. Of file systems on loop devices, as other runs make and
// unmount them all the time, it therefore keeps those alone on which one of the
// paths in keep is.
//
// Without the right to do so (CAP_SYS_ADMIN) it does nothing: nothing can be
// mounted either.
func OwnMounts(keep ...string) error {
	runtime.LockOSThread()
	err := unix.Unshare(unix.CLONE_NEWNS)
	if errors.Is(err, unix.EPERM) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("machine: unshare the mounts: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("machine: keep mounts from spreading: %w", err)
	}
	b, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return fmt.Errorf("machine: read the mounts: %w", err)
	}
	all, err := parseMountInfo(b)
	if err != nil {
		return err
	}
	for _, m := range slices.Backward(all) {
		if !held(m, keep) {
			continue
		}
		// It may have been unmounted meanwhile.
		if err := unix.Unmount(m.Dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("machine: let go of %q: %w", m.Dir, err)
		}
	}
	return nil
}

// held reports whether a mount would hold the file system of somebody else.
func held(m MountInfo, keep []string) bool {
	if !strings.HasPrefix(m.Source, "/dev/loop") || m.Dir == "/" {
		return false
	}
	return !slices.ContainsFunc(keep, func(path string) bool {
		path = filepath.Clean(path)
		return path == m.Dir || strings.HasPrefix(path, m.Dir+"/")
	})
}
