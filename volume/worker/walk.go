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
// An error is one of reading the path itself.
func (s *served) walk(r request) Answer {
	var b []byte
	if err := s.walkDir(r.path, &b, 0); err != nil {
		return of(err)
	}
	return Answer{Data: b}
}

const depthMax = 64 // of directories in each other

func (s *served) walkDir(dir string, b *[]byte, depth int) error {
	fd, err := s.below(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), dir)
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return err
	}
	sort.Strings(names)
	for _, name := range names {
		e := Entry{Path: path.Join(dir, name)}
		var st unix.Stat_t
		if err := unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			e.Errno = of(err).Errno
		} else {
			e.Dir, e.Regular = st.Mode&unix.S_IFMT == unix.S_IFDIR, st.Mode&unix.S_IFMT == unix.S_IFREG
			e.Inode = st.Ino
			if e.Regular {
				e.Size = st.Size
			}
		}
		*b = e.append(*b)
		if e.Dir && depth < depthMax {
			if err := s.walkDir(e.Path, b, depth+1); err != nil {
				*b = Entry{Path: e.Path, Dir: true, Errno: of(err).Errno}.append(*b)
			}
		}
	}
	return nil
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
func (s *served) removeAll(dir string, depth int) error {
	fd, err := s.below(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), dir)
	names, err := f.Readdirnames(-1)
	f.Close()
	if err != nil {
		return err
	}
	for _, name := range names {
		p := path.Join(dir, name)
		err := unix.Unlinkat(s.root, p, 0)
		if errors.Is(err, unix.EISDIR) && depth < depthMax {
			err = s.removeAll(p, depth+1)
		}
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return unix.Unlinkat(s.root, dir, unix.AT_REMOVEDIR)
}
