package worker

import (
	"errors"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/seed-1b600011/assay/content"
	"golang.org/x/sys/unix"
)

// openFile is a file that the parent has opened. A sync tells errors that came
// since the file was opened, so it is that of the descriptor that wrote.
type openFile struct {
	flags int
	fd    int

	// using is held for reading while a request is at work on the file: closed
	// under it, its descriptor would become another file's.
	using sync.RWMutex

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
	s.files[r.file] = &openFile{flags: int(r.flags), fd: fd, plain: -1}
	return nil
}

// file is the open file that a request is on, in use until it is let go of.
func (s *served) file(r request) (*openFile, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.files[r.file]
	if f == nil {
		return nil, unix.EBADF
	}
	f.using.RLock() // nobody holds it otherwise while the file is in the map
	return f, nil
}

// onFile does a request on an open file.
func (s *served) onFile(r request) error {
	if r.op == opClose {
		return s.close(r)
	}
	f, err := s.file(r)
	if err != nil {
		return err
	}
	defer f.using.RUnlock()
	_, err = retry(func() (int, error) { return 0, f.do(r) })
	return err
}

func (f *openFile) do(r request) error {
	switch r.op {
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

// allocate allocates [from, to) and leaves size and content as they are.
func (f *openFile) allocate(from, to int64) error {
	return unix.Fallocate(f.fd, unix.FALLOC_FL_KEEP_SIZE, from, to-from)
}

// close waits for what is at work on the file.
func (s *served) close(r request) error {
	s.mu.Lock()
	f := s.files[r.file]
	delete(s.files, r.file)
	s.mu.Unlock()
	if f == nil {
		return unix.EBADF
	}
	f.using.Lock()
	defer f.using.Unlock()
	var errs []error
	if f.mapped != nil {
		errs = append(errs, unix.Munmap(f.mapped))
	}
	if f.plain >= 0 {
		errs = append(errs, unix.Close(f.plain))
	}
	return errors.Join(append(errs, unix.Close(f.fd))...)
}

// write writes [from, to) in blocks, flags of them at once, and answers for each
// as it returns. After one that failed the rest is not begun, and answered with
// ECANCELED.
func (s *served) write(r request) {
	if len(r.tags) != 1 || r.block <= 0 || r.from < 0 || r.to > content.MaxSize {
		s.answer(r, Answer{Errno: unix.EINVAL})
		return
	}
	f, err := s.file(r)
	if err == nil {
		defer f.using.RUnlock()
	}
	blocks := max(1, (r.to-r.from+r.block-1)/r.block)
	var next atomic.Int64
	var failed atomic.Bool
	run := func() {
		for i := next.Add(1) - 1; i < blocks; i = next.Add(1) - 1 {
			at := r.from + i*r.block
			end := max(at, min(at+r.block, r.to))
			a := Answer{Errno: syscall.ECANCELED}
			if !failed.Load() {
				err := err
				if err == nil {
					err = s.writeBlock(f, r, at, end)
				}
				if a = of(err); err != nil {
					failed.Store(true)
				} else {
					a.Bytes = end - at
				}
			}
			a.Index = int(i)
			s.answer(r, a)
		}
	}
	var others sync.WaitGroup
	for range min(r.flags, blocks, mostAtOnce) - 1 {
		others.Go(run)
	}
	run()
	others.Wait()
}

const mostAtOnce = 256

func (s *served) writeBlock(f *openFile, r request, from, to int64) error {
	if r.op == opMapWrite {
		return f.mapWrite(r.tags[0], from, to)
	}
	buf := s.buffers.get(int(to - from))
	defer s.buffers.put(buf)
	p := buf[:to-from]
	content.Fill(p, r.tags[0], from)
	return f.pwrite(p, from)
}

const alignment = 4096 // of what goes by O_DIRECT: memory, offset and length

// pwrite writes all of p.
func (f *openFile) pwrite(p []byte, at int64) error {
	for to := at + int64(len(p)); len(p) > 0; {
		fd, err := f.fdFor(at, to)
		if err != nil {
			return err
		}
		n, err := retry(func() (int, error) { return unix.Pwrite(fd, p, at) })
		if err != nil {
			return err
		}
		if n == 0 {
			return unix.EIO
		}
		p, at = p[n:], at+int64(n)
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
