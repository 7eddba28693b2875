package refstore

import (
	"errors"
	"fmt"
	"math/bits"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// extent is a stretch of the spill file. Its size is a power of two; the zero
// value is no extent.
type extent struct{ at, size int64 }

// extentMin is the smallest extent: a hole smaller than a block of the file
// system gives nothing back.
const extentMin = 4 << 10

// spill hands out extents of one file that has no name. Sizes are rounded up
// to powers of two, each with its own list of free extents, so both directions
// take constant time. The rounding costs addresses and no space: the file is
// sparse, and a freed extent is punched out of it.
//
// The zero value is ready; the file is made when the first extent is taken.
type spill struct {
	dir  string
	open atomic.Pointer[os.File]
	used atomic.Int64 // bytes of bodies in the file

	mu     sync.Mutex
	closed bool
	end    int64
	vacant [64][]extent // by the logarithm of the size
}

func (s *spill) file() *os.File { return s.open.Load() }

// take gives an extent of at least size bytes.
func (s *spill) take(size int64) (extent, error) {
	class := bits.Len64(uint64(max(size, extentMin) - 1))
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.ready(); err != nil {
		return extent{}, err
	}
	s.used.Add(size)
	if free := s.vacant[class]; len(free) > 0 {
		e := free[len(free)-1]
		s.vacant[class] = free[:len(free)-1]
		return e, nil
	}
	e := extent{at: s.end, size: 1 << class}
	s.end += e.size
	return e, nil
}

// free gives back an extent that held size bytes. If the file system cannot
// punch holes the space is used again only by a later extent, which harms
// nobody: a body is read only where it was written.
func (s *spill) free(e extent, size int64) {
	if f := s.file(); f != nil {
		_ = unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, e.at, e.size)
	}
	s.used.Add(-size)
	s.mu.Lock()
	defer s.mu.Unlock()
	class := bits.Len64(uint64(e.size - 1))
	s.vacant[class] = append(s.vacant[class], e)
}

// ready makes the file if there is none. The caller has the lock.
func (s *spill) ready() error {
	if s.closed {
		return os.ErrClosed
	}
	if s.file() != nil {
		return nil
	}
	dir := s.dir
	if dir == "" {
		dir = os.TempDir()
	}
	f, err := unnamed(dir)
	if err != nil {
		return fmt.Errorf("make an unnamed file in %s: %w", dir, err)
	}
	s.open.Store(f)
	return nil
}

// unnamed makes a file without a name, so that not even a SIGKILL leaves it
// behind. Where the file system has no O_TMPFILE it has a name for a moment.
func unnamed(dir string) (*os.File, error) {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	if err == nil {
		return os.NewFile(uintptr(fd), dir+"/(unnamed)"), nil
	}
	if !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) {
		return nil, err
	}
	f, err := os.CreateTemp(dir, "assay-refstore-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (s *spill) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if f := s.file(); f != nil {
		return f.Close()
	}
	return nil
}
