package worker

import (
	"path"

	"golang.org/x/sys/unix"
)

// below opens a path below the root, never by way of a symbolic link, and never
// out of the root (openat2(2), Linux 5.6).
func (s *served) below(path string, flags int, mode uint32) (int, error) {
	how := unix.OpenHow{Flags: uint64(flags | unix.O_NOFOLLOW | unix.O_CLOEXEC), Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	if flags&unix.O_CREAT != 0 {
		how.Mode = uint64(mode)
	}
	return retry(func() (int, error) { return unix.Openat2(s.root, clean(path), &how) })
}

// clean makes a path one that openat2 takes: the root itself is ".".
func clean(path string) string {
	if path == "" {
		return "."
	}
	return path
}

// onName does a request on names, or on the whole file system.
func (s *served) onName(r request) error {
	switch r.op {
	case opMkdir:
		return s.in(r.path, func(dir int, name string) error { return unix.Mkdirat(dir, name, 0o755) })
	case opRename:
		return s.inBoth(r, func(from int, old string, to int, name string) error { return unix.Renameat(from, old, to, name) })
	case opLink:
		return s.inBoth(r, func(from int, old string, to int, name string) error { return unix.Linkat(from, old, to, name, 0) })
	case opUnlink:
		return s.unlink(r.path, 0)
	case opRmdir:
		return s.unlink(r.path, unix.AT_REMOVEDIR)
	case opRemoveAll:
		return s.removeAll(r.path)
	case opSyncDir, opSyncFS:
		fd, err := s.below(r.path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if r.op == opSyncFS {
			return unix.Syncfs(fd)
		}
		return unix.Fsync(fd)
	}
	return unix.ENOSYS
}

// in does something to a name in the directory that it is in.
func (s *served) in(p string, do func(dir int, name string) error) error {
	dir, name := path.Split(p)
	if dir == "" { // below the root itself, which is open
		return do(s.root, clean(name))
	}
	fd, err := s.below(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return do(fd, clean(name))
}

func (s *served) inBoth(r request, do func(from int, old string, to int, name string) error) error {
	return s.in(r.path, func(from int, old string) error {
		return s.in(r.second, func(to int, name string) error { return do(from, old, to, name) })
	})
}

func (s *served) unlink(p string, flags int) error {
	return s.in(p, func(dir int, name string) error { return unix.Unlinkat(dir, name, flags) })
}
