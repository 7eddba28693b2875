package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/bits"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"sync"

	"golang.org/x/sys/unix"
)

// segment is a file that is being written: allocated in full, and mapped. It
// is not safe for concurrent use, but for sync.
type segment struct {
	header
	file     *os.File
	mem      []byte // the file, shared with the kernel
	pos      int64  // where the next frame goes
	count    uint64 // records so far
	marked   int64  // everything before it is durable, and a durable mark says so
	odd      bool   // which of the two anchors is next
	memory   memory
	syncs    sync.Mutex
	broken   error  // of the first sync that failed; under syncs
	released bool   // under syncs
	scratch  []byte // a frame is made here and then copied, so that mem is only ever stored to
}

const unfinished = ".new" // at the end of a segment's name until it is durable

// allocate makes the file of a segment, under its unfinished name, and maps it.
// A full disk is met here or nowhere: storing to a mapped page that the disk
// has no room for would kill the process.
func allocate(dir string, h header) (*segment, error) {
	name := filepath.Join(dir, segmentName(h.seq)+unfinished)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, err
	}
	s := &segment{header: h, file: f, pos: dataStart, marked: dataStart, memory: newMemory(&h)}
	s.scratch = make([]byte, frameHead, 1024)
	s.size = 0
	if err := s.grow(h.size); err != nil {
		return nil, errors.Join(err, s.abandon())
	}
	return s, nil
}

// grow makes the file size bytes long, all of them allocated.
func (s *segment) grow(size uint64) error {
	if err := fill(s.file, int64(s.size), int64(size)); err != nil {
		return fmt.Errorf("allocate %d bytes for %s: %w", size, s.file.Name(), err)
	}
	if err := s.unmap(); err != nil {
		return err
	}
	mem, err := unix.Mmap(int(s.file.Fd()), 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map %s: %w", s.file.Name(), err)
	}
	s.mem, s.size = mem, size
	return nil
}

// fill allocates the bytes [from, to) of f. Where the file system cannot do
// that, zeros are written and synced: room that was only promised is none.
func fill(f *os.File, from, to int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), 0, from, to-from)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS):
			return fillByWriting(f, from, to)
		}
		return err
	}
}

func fillByWriting(f *os.File, from, to int64) error {
	zeros := make([]byte, 64<<10)
	for from < to {
		n, err := f.WriteAt(zeros[:min(to-from, int64(len(zeros)))], from)
		if err != nil {
			return err
		}
		from += int64(n)
	}
	return f.Sync()
}

// room says whether a frame with a body of at most n bytes fits.
func (s *segment) room(n int) bool { return s.pos+frameHead+int64(n) <= int64(s.size) }

// put writes r behind the last record. The caller has seen that there is room.
// After an error the segment is of no use.
func (s *segment) put(r *Record) error {
	b := s.memory.encode(s.scratch[:frameHead], r, s.writer)
	s.scratch = b
	n := len(b) - frameHead
	start := frameHead - (bits.Len(uint(n))+6)/7
	binary.PutUvarint(b[start:frameHead], uint64(n))
	sum := frameSum(s.nonce, s.pos, b[start:])
	start -= 4
	binary.LittleEndian.PutUint32(b[start:], sum)
	if err := s.store(s.pos, b[start:]); err != nil {
		return err
	}
	s.pos += int64(len(b) - start)
	s.count++
	return nil
}

// store copies b to a place in the mapped file. The kernel answers with a
// signal if it cannot have the page (a broken disk, a file that somebody cut);
// here that becomes an error instead of the end of the process.
func (s *segment) store(at int64, b []byte) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if e := recover(); e != nil {
			fault, ok := e.(runtime.Error)
			if !ok {
				panic(e)
			}
			err = fmt.Errorf("store to %s at byte %d: %w", s.file.Name(), at, fault)
		}
	}()
	if copy(s.mem[at:], b) < len(b) {
		return fmt.Errorf("store to %s at byte %d: beyond its end", s.file.Name(), at)
	}
	return nil
}

// note writes a slot to a place of its own.
func (s *segment) note(at int64, m slot) error {
	b := m.encode(s.nonce, at)
	return s.store(at, b[:])
}

// mark writes that everything before covered is durable, which it must be: once
// behind the records and once in a place that needs no looking for, so that one
// page lost takes only one of them along. The caller syncs.
func (s *segment) mark(covered int64) error {
	m := slot{kind: syncSlot, covered: covered, records: s.count}
	anchor := int64(anchorA)
	if s.odd {
		anchor = anchorB
	}
	s.odd = !s.odd
	if err := s.note(anchor, m); err != nil {
		return err
	}
	at := alignUp(s.pos, slotSize)
	if at+slotSize > int64(s.size) {
		return nil
	}
	if err := s.note(at, m); err != nil {
		return err
	}
	s.pos = at + slotSize
	return nil
}

// finish writes the header, makes all of the file durable and gives it its
// name. Until it has that name no reader believes it, afterwards any may. If
// named is true in spite of an error, the new name may or may not last.
func (s *segment) finish(dir string) (named bool, err error) {
	if err := s.store(0, s.encode()); err != nil {
		return false, err
	}
	if err := s.file.Sync(); err != nil {
		return false, fmt.Errorf("sync: %w", err)
	}
	name := filepath.Join(dir, segmentName(s.seq))
	if err := os.Rename(s.file.Name(), name); err != nil {
		return false, err
	}
	return true, syncDir(dir)
}

// sync makes what was stored so far durable. It may be called at any time,
// also while another goroutine stores; fs.ErrClosed says that the segment has
// been let go of, which nothing does to a good one before it is durable.
//
// The kernel reports a failed write to one sync and lets the next succeed, so
// the first error stays, and no two calls run at once.
func (s *segment) sync() error {
	s.syncs.Lock()
	defer s.syncs.Unlock()
	if s.broken == nil && s.released {
		return fs.ErrClosed
	}
	if s.broken == nil {
		s.broken = datasync(s.file)
	}
	return s.broken
}

func (s *segment) unmap() error {
	if s.mem == nil {
		return nil
	}
	err := unix.Munmap(s.mem)
	s.mem = nil
	return err
}

// release lets go of the file; what was stored is in the kernel and stays. It
// waits for a sync that is under way.
func (s *segment) release() error {
	s.syncs.Lock()
	defer s.syncs.Unlock()
	s.released = true
	return errors.Join(s.unmap(), s.file.Close())
}

// abandon removes a file that was never finished.
func (s *segment) abandon() error {
	return errors.Join(s.release(), os.Remove(s.file.Name()))
}

// datasync is fdatasync(2) on a file that stays open meanwhile.
func datasync(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("sync %s: %w", f.Name(), err)
		}
	}
}
