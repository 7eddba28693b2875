package worker

import (
	"encoding/binary"
	"errors"
	"os"
	"path"
	"sort"
	"syscall"

	"golang.org/x/sys/unix"
)

// Entry is what a walk found under a path.
type Entry struct {
	Path    string // below the root
	Dir     bool
	Regular bool
	Size    int64         // bytes, of a regular file
	Inode   uint64        // two paths with the same one are one file
	Errno   syscall.Errno // why it could not be looked at; the rest is then zero
}

// walk lists everything below the path, each directory before what is in it.
// An error is one of reading the path itself. How deep it goes is limited by
// the length of a path alone (PATH_MAX), which is an errno of an entry.
func (s *served) walk(r request) Answer {
	var b []byte
	if err := s.walkDir(r.path, &b); err != nil {
		return of(err)
	}
	return Answer{Data: b}
}

func (s *served) walkDir(dir string, b *[]byte) error {
	entries, err := s.list(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		*b = e.append(*b)
		if !e.Dir {
			continue
		}
		if err := s.walkDir(e.Path, b); err != nil {
			*b = Entry{Path: e.Path, Dir: true, Errno: of(err).Errno}.append(*b)
		}
	}
	return nil
}

// list is what is in a directory, by name.
func (s *served) list(dir string) ([]Entry, error) {
	fd, err := s.below(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), dir)
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	sort.Strings(names)
	all := make([]Entry, len(names))
	for i, name := range names {
		e := &all[i]
		e.Path = path.Join(dir, name)
		var st unix.Stat_t
		if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			e.Errno = of(err).Errno
			continue
		}
		e.Dir, e.Regular = st.Mode&unix.S_IFMT == unix.S_IFDIR, st.Mode&unix.S_IFMT == unix.S_IFREG
		e.Inode = st.Ino
		if e.Regular {
			e.Size = st.Size
		}
	}
	return all, nil
}

func (e Entry) append(b []byte) []byte {
	b = appendString(b, e.Path)
	var flags byte
	if e.Dir {
		flags |= 1
	}
	if e.Regular {
		flags |= 2
	}
	b = append(b, flags)
	b = binary.AppendVarint(b, e.Size)
	b = binary.AppendUvarint(b, e.Inode)
	return binary.AppendUvarint(b, uint64(e.Errno))
}

func parseEntries(b []byte) ([]Entry, error) {
	d := reader{b: b}
	var all []Entry
	for len(d.b) > 0 && !d.bad {
		e := Entry{Path: d.text()}
		flags := d.byte()
		e.Dir, e.Regular = flags&1 != 0, flags&2 != 0
		e.Size, e.Inode, e.Errno = d.varint(), d.uvarint(), syscall.Errno(d.uvarint())
		all = append(all, e)
	}
	if d.bad {
		return nil, errFrame
	}
	return all, nil
}

// removeAll removes a directory, which may be gone already, with all in it.
// The root is somebody else's and is refused, by whatever name.
func (s *served) removeAll(dir string) error {
	if clean := path.Clean("/" + dir); clean == "/" {
		return unix.EINVAL
	}
	entries, err := s.list(dir)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Dir {
			err = s.removeAll(e.Path)
		} else {
			err = s.unlink(e.Path, 0)
		}
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return s.unlink(dir, unix.AT_REMOVEDIR)
}
