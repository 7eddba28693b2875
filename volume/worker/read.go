package worker

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
	"syscall"

	"github.com/seed-1b600011/assay/content"
	"golang.org/x/sys/unix"
)

const (
	readSize = 1 << 20
	// holeMin is the shortest hole that is not read, in bytes: what the file
	// system says is a hole reads as zeros.
	holeMin = 1 << 20
	// spansMax is how many pieces of a file are told. What comes after them was
	// not looked at.
	spansMax = 1 << 18
)

// read reads a file to its end, classified: the first of the tags is what is
// wanted, the others are possible too. Its pages are dropped first, so that
// what is read is the disk's wherever the kernel lets go of them.
func (s *served) read(r request) Answer {
	fd, err := s.below(r.path, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return of(err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return of(err)
	}
	parts := r.parts
	if len(parts) == 0 {
		parts = []Part{{To: content.MaxSize, Tags: r.tags}}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || !slices.IsSortedFunc(parts, func(a, b Part) int { return cmp.Compare(a.To, b.To) }) ||
		slices.ContainsFunc(parts, func(p Part) bool { return len(p.Tags) == 0 }) {
		return Answer{Errno: syscall.EINVAL}
	}
	direct := -1
	if r.flags&unix.O_DIRECT != 0 {
		// By way of /proc it is the same file. Where there is no O_DIRECT it is
		// read without.
		if direct, err = unix.Open(procPath(fd), unix.O_RDONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0); err == nil {
			defer unix.Close(direct)
		}
	}
	_ = unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED)
	_ = unix.Fadvise(fd, 0, 0, unix.FADV_SEQUENTIAL)
	var spans []content.Span
	for at := int64(0); at < st.Size && len(spans) < spansMax; {
		data, end := dataAt(fd, at, st.Size)
		if data-at >= holeMin || data == st.Size && data > at {
			spans = append(spans, content.Span{From: at, To: data, Class: content.Zero})
			at = data
			continue
		}
		i := slices.IndexFunc(parts, func(p Part) bool { return at < p.To })
		if i < 0 {
			i = len(parts) - 1 // longer than anybody expects
		} else {
			end = min(end, parts[i].To)
		}
		more, err := s.classify(fd, direct, at, end, spansMax-len(spans), parts[i].Tags)
		spans = append(spans, more...)
		if err != nil {
			a := of(err)
			a.Bytes = st.Size
			return a
		}
		at = end
	}
	return Answer{Bytes: st.Size, Data: appendSpans(nil, spans)}
}

// dataAt is where data begins from at on, and where the next hole worth
// skipping follows it.
func dataAt(fd int, at, size int64) (data, end int64) {
	data, err := unix.Seek(fd, at, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return size, size // nothing but a hole
	}
	if err != nil || data-at < holeMin {
		data = at // not worth it, or not known
	}
	for end = data; end < size; {
		hole, err := unix.Seek(fd, end, unix.SEEK_HOLE)
		if err != nil || hole >= size {
			return data, size
		}
		next, err := unix.Seek(fd, hole, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			next = size
		} else if err != nil {
			return data, size
		}
		if next-hole >= holeMin {
			return data, hole
		}
		end = next
	}
	return data, size
}

// classify reads [from, to), and tells so many pieces of it at most. What is
// aligned is read from direct, if that is a descriptor.
func (s *served) classify(fd, direct int, from, to int64, limit int, tags []content.Tag) ([]content.Span, error) {
	buf := s.buffers.get(readSize)
	defer s.buffers.put(buf)
	c := content.NewClassifier(from, tags[0], tags[1:]...)
	c.Limit = limit
	for at := from; at < to; {
		by, p := fd, buf[:min(int64(len(buf)), to-at)]
		if direct >= 0 && at%alignment == 0 {
			by, p = direct, buf[:(len(p)+alignment-1)/alignment*alignment] // the end of a file is not aligned, what is asked for must be
		}
		n, err := retry(func() (int, error) { return unix.Pread(by, p, at) })
		n = min(n, int(to-at))
		if err != nil {
			return c.Sum(), err
		}
		if n == 0 {
			break // shorter than it was a moment ago
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return c.Sum(), err
		}
		at += int64(n)
	}
	return c.Sum(), nil
}

func appendSpans(b []byte, spans []content.Span) []byte {
	b = binary.AppendUvarint(b, uint64(len(spans)))
	for _, p := range spans {
		b = append(b, byte(p.Class))
		b = binary.AppendVarint(b, p.From)
		b = binary.AppendVarint(b, p.To)
		b = appendTag(b, p.Is)
		b = binary.AppendVarint(b, p.IsOff)
		b = binary.AppendVarint(b, p.BitsWrong)
		b = binary.AppendVarint(b, p.FirstWrong)
	}
	return b
}

func parseSpans(b []byte) ([]content.Span, error) {
	d := reader{b: b}
	n := d.uvarint()
	if n > uint64(len(d.b)/spanMin) {
		return nil, errFrame
	}
	spans := make([]content.Span, n)
	for i := range spans {
		spans[i] = content.Span{Class: content.Class(d.byte()), From: d.varint(), To: d.varint(), Is: d.tag(),
			IsOff: d.varint(), BitsWrong: d.varint(), FirstWrong: d.varint()}
	}
	if d.bad || len(d.b) > 0 {
		return nil, errFrame
	}
	return spans, nil
}
