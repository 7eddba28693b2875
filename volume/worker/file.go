package worker

import (
	"errors"
	"runtime/debug"
	"sync"
	"syscall"

	"github.com/seed-1b600011/assay/content"
	"golang.org/x/sys/unix"
)

// openFile is a file that the parent has opened. A sync tells errors that came
// since the file was opened, so it is that of the descriptor that wrote.
type openFile struct {
	path  string
	flags int
	fd    int

	mu     sync.Mutex
	plain  int    // without O_DIRECT, for what is not aligned; -1: not opened yet
	mapped []byte // by opMapWrite
}

func (s *served) open(r request) error {
	fd, err := s.below(r.path, int(r.flags), 0o644)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[r.file] = &openFile{path: r.path, flags: int(r.flags), fd: fd, plain: -1}
	return nil
}

func (s *served) file(r request) (*openFile, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[r.file]
	if f == nil {
		return nil, unix.EBADF
	}
	return f, nil
}

// onFile does a request on an open file.
func (s *served) onFile(r request) error {
	f, err := s.file(r)
	if err != nil {
		return err
	}
	switch r.op {
	case opClose:
		return s.close(r, f)
	case opTruncate:
		return unix.Ftruncate(f.fd, r.to)
	case opAllocate:
		return unix.Fallocate(f.fd, 0, r.from, r.to-r.from)
	case opPunch:
		return unix.Fallocate(f.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, r.from, r.to-r.from)
	case opFsync:
		return unix.Fsync(f.fd)
	case opFdatasync:
		return unix.Fdatasync(f.fd)
	case opMsync:
		return f.msync()
	}
	return unix.ENOSYS
}

func (s *served) close(r request, f *openFile) error {
	s.mu.Lock()
	delete(s.files, r.file)
	s.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	var errs []error
	if f.mapped != nil {
		errs = append(errs, unix.Munmap(f.mapped))
	}
	if f.plain >= 0 {
		errs = append(errs, unix.Close(f.plain))
	}
	return errors.Join(append(errs, unix.Close(f.fd))...)
}

// write writes [from, to) in blocks and answers for each as it returns. After
// one that failed the rest is not begun, and answered with ECANCELED.
func (s *served) write(r request) {
	f, err := s.file(r)
	if len(r.tags) != 1 || r.block <= 0 {
		err = unix.EINVAL
	}
	i := 0
	for at := r.from; at < r.to || i == 0; at += r.block {
		end := min(at+r.block, r.to)
		a := of(err)
		if err == nil {
			if r.op == opMapWrite {
				err = f.mapWrite(r.tags[0], at, end)
			} else {
				err = s.writeBlock(f, r.tags[0], at, end)
			}
			a = of(err)
		} else if i > 0 {
			a = Answer{Errno: syscall.ECANCELED}
		}
		if a.Errno == 0 {
			a.Bytes = end - at
		}
		a.Index = i
		s.answer(r, a)
		i++
	}
}

const alignment = 4096 // of what goes by O_DIRECT: memory, offset and length

func (s *served) writeBlock(f *openFile, t content.Tag, from, to int64) error {
	buf := s.buffers.get(int(to - from))
	defer s.buffers.put(buf)
	p := buf[:to-from]
	content.Fill(p, t, from)
	fd, err := f.fdFor(from, to)
	if err != nil {
		return err
	}
	for at := from; len(p) > 0; {
		n, err := retry(func() (int, error) { return unix.Pwrite(fd, p, at) })
		if err != nil {
			return err
		}
		if n == 0 {
			return unix.EIO
		}
		p, at = p[n:], at+int64(n)
		if len(p) > 0 && fd == f.fd {
			if fd, err = f.fdFor(at, to); err != nil {
				return err
			}
		}
	}
	return nil
}

// fdFor is the descriptor for a range: by O_DIRECT only what is aligned.
func (f *openFile) fdFor(from, to int64) (int, error) {
	if f.flags&unix.O_DIRECT == 0 || (from|to)%alignment == 0 {
		return f.fd, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.plain < 0 {
		// The same open file description in all but O_DIRECT: by way of /proc
		// it is the same file whatever its name is now.
		fd, err := unix.Open(procPath(f.fd), (f.flags&^(unix.O_DIRECT|unix.O_CREAT|unix.O_EXCL|unix.O_TRUNC))|unix.O_CLOEXEC, 0)
		if err != nil {
			return -1, err
		}
		f.plain = fd
	}
	return f.plain, nil
}

// mapWrite writes through a shared mapping of the whole file. A page that the
// file system cannot give is a signal, here an error.
func (f *openFile) mapWrite(t content.Tag, from, to int64) (err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if int64(len(f.mapped)) < to {
		if f.mapped != nil {
			if err := unix.Munmap(f.mapped); err != nil {
				return err
			}
			f.mapped = nil
		}
		var st unix.Stat_t
		if err := unix.Fstat(f.fd, &st); err != nil {
			return err
		}
		if st.Size < to {
			return unix.ENXIO // the parent sets the size first
		}
		f.mapped, err = unix.Mmap(f.fd, 0, int(st.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return err
		}
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			err = unix.EIO
		}
	}()
	content.Fill(f.mapped[from:to], t, from)
	return nil
}

func (f *openFile) msync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.mapped) == 0 {
		return nil
	}
	return unix.Msync(f.mapped, unix.MS_SYNC)
}
