package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// source is the file of a segment. size may grow smaller when its writer
// closes it, and every byte may change until it is read.
type source interface {
	io.ReaderAt
	io.Closer
	size() (int64, error)
}

// reading takes a segment apart from front to back. It trusts nothing that it
// read before it had a reason to: if a record cannot be read and a mark says
// that it must be there, the record is read again, since a living writer may
// have written both after the first look.
type reading struct {
	header
	name   string
	src    source
	pos    int64  // of the next frame
	count  uint64 // records read
	end    int64  // where the records end, by the next segment or the end slot; -1: not known
	passed bool   // the end slot says that there is a next segment
	again  int64  // the offset that was read a second time
	memory memory
	window []byte // bytes of src from base
	base   int64
	limit  int64 // the size of src, when it was last asked for
}

const windowSize = 128 << 10

// newReading reads the header. It closes src if it fails.
func newReading(name string, src source) (*reading, error) {
	size, err := src.size()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("history: size of %s: %w", name, err), src.Close())
	}
	s := &reading{name: name, src: src, pos: dataStart, end: -1, again: -1}
	s.window = make([]byte, 0, min(max(size, blockSize), windowSize))
	b, err := s.bytes(0, headerSize)
	if err != nil {
		return nil, errors.Join(err, src.Close())
	}
	h, wrong := decodeHeader(b)
	if wrong != "" {
		return nil, errors.Join(s.damage(0, "%s", wrong), src.Close())
	}
	s.header, s.memory = h, newMemory(&h)
	return s, nil
}

func (s *reading) damage(at int64, format string, args ...any) error {
	return &DamageError{File: s.name, Offset: at, Reason: fmt.Sprintf(format, args...)}
}

// bytes are the n bytes at offset at, or fewer where the file ends. They are
// valid until the next call.
func (s *reading) bytes(at int64, n int) ([]byte, error) {
	if from := at - s.base; from >= 0 && from+int64(n) <= int64(len(s.window)) {
		return s.window[from : from+int64(n)], nil
	}
	want := max(n, cap(s.window))
	if cap(s.window) < want {
		s.window = make([]byte, 0, want)
	}
	got, err := s.src.ReadAt(s.window[:want], at)
	if err != nil && !errors.Is(err, io.EOF) {
		s.forget()
		return nil, fmt.Errorf("history: read %s at byte %d: %w", s.name, at, err)
	}
	s.window, s.base = s.window[:got], at
	return s.window[:min(n, got)], nil
}

// forget makes the next look a new one.
func (s *reading) forget() { s.window = s.window[:0] }

// next is the next record; io.EOF where the records of the segment end.
func (s *reading) next() (Record, error) {
	for {
		if s.end >= 0 && s.pos >= s.end {
			if s.pos > s.end {
				return Record{}, s.damage(s.end, "the records should end here and do not")
			}
			return Record{}, io.EOF
		}
		r, isRecord, wrong, err := s.frame()
		switch {
		case err != nil:
			return Record{}, err
		case wrong == "" && isRecord:
			return r, nil
		case wrong == "":
			continue
		}
		if err := s.stuck(wrong); err != nil {
			return Record{}, err
		}
	}
}

// frame reads the record or the mark at pos and moves behind it, or says what
// is wrong.
func (s *reading) frame() (r Record, isRecord bool, wrong string, err error) {
	head, err := s.bytes(s.pos, slotSize)
	if err != nil {
		return r, false, "", err
	}
	if m, ok := decodeSlot(head, s.nonce, s.pos); ok {
		return r, false, s.skip(s.pos, m), nil
	}
	if len(head) < 5 {
		return r, false, "no record", nil
	}
	n, width := binary.Uvarint(head[4:min(len(head), frameHead)])
	if n == 0 || width <= 0 || n > maxBody {
		return s.padding("no record")
	}
	sum := binary.LittleEndian.Uint32(head)
	b, err := s.bytes(s.pos, 4+width+int(n))
	if err != nil {
		return r, false, "", err
	}
	if len(b) < 4+width+int(n) || sum != frameSum(s.nonce, s.pos, b[4:]) {
		return s.padding("record checksum")
	}
	if r, err = s.memory.decode(b[4+width:], s.writer); err != nil {
		return r, false, err.Error(), nil
	}
	s.pos += int64(len(b))
	s.count++
	return r, true, "", nil
}

// padding looks for the mark that follows the zeros at pos.
func (s *reading) padding(wrong string) (Record, bool, string, error) {
	at := alignUp(s.pos, slotSize)
	pad := int(at - s.pos)
	b, err := s.bytes(s.pos, pad+slotSize)
	if err != nil {
		return Record{}, false, "", err
	}
	if len(b) == pad+slotSize && allZero(b[:pad]) {
		if m, ok := decodeSlot(b[pad:], s.nonce, at); ok {
			return Record{}, false, s.skip(at, m), nil
		}
	}
	return Record{}, false, wrong, nil
}

func (s *reading) skip(at int64, m slot) (wrong string) {
	if m.kind != syncSlot || m.records != s.count || m.covered > at {
		return fmt.Sprintf("a mark after %d records, and %d are there", m.records, s.count)
	}
	s.pos = at + slotSize
	return ""
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// stuck decides what it means that nothing can be read at pos: io.EOF for an
// end, an error for damage, nil to look again.
func (s *reading) stuck(wrong string) error {
	if s.end >= 0 {
		// Where the end was known beforehand nothing can have changed since.
		return s.damage(s.pos, "%s, and the records go on to byte %d", wrong, s.end)
	}
	// The size first: a closing writer cuts the file only after the end slot
	// has been written.
	size, err := s.src.size()
	if err != nil {
		return fmt.Errorf("history: size of %s: %w", s.name, err)
	}
	s.limit = size
	s.forget()
	end, known, err := s.slotAt(endSlot)
	if err != nil {
		return err
	}
	if known && end.kind != syncSlot && end.covered >= s.pos {
		s.forget()
		s.end, s.passed = end.covered, end.kind == passedSlot
		return nil
	}
	covered, err := s.covered()
	if err != nil {
		return err
	}
	switch {
	case covered > s.pos && s.again == s.pos:
		return s.damage(s.pos, "%s, and a sync mark covers %d bytes", wrong, covered)
	case covered > s.pos:
		s.again = s.pos
		s.forget()
		return nil
	case known && end.kind != syncSlot:
		return s.damage(end.covered, "the records should end here and do not")
	case size < int64(s.size):
		return s.damage(size, "the file ends here, and %d bytes were allocated", s.size)
	}
	return io.EOF
}

func (s *reading) slotAt(at int64) (slot, bool, error) {
	b, err := s.bytes(at, slotSize)
	if err != nil {
		return slot{}, false, err
	}
	m, ok := decodeSlot(b, s.nonce, at)
	return m, ok, nil
}

// covered is how far the segment was durable, by any mark that is left: one of
// the anchors, or one behind pos, found by its alignment.
func (s *reading) covered() (int64, error) {
	var most int64
	for _, at := range []int64{anchorA, anchorB} {
		m, ok, err := s.slotAt(at)
		if err != nil {
			return 0, err
		}
		if ok {
			most = max(most, m.covered)
		}
	}
	for at := alignUp(s.pos, slotSize); at+slotSize <= s.limit; at += slotSize {
		m, ok, err := s.slotAt(at)
		if err != nil {
			return 0, err
		}
		if ok {
			most = max(most, m.covered)
		}
	}
	return most, nil
}

func (s *reading) close() error { return s.src.Close() }
