package content

import (
	"errors"
	"fmt"
	"io"
)

// Reader reads bytes 0 to size-1 of a tag, made as they are read: it holds
// nothing but its position. ReadAt, Size and Tag are safe for concurrent use,
// the other methods are not.
type Reader struct {
	key  key
	tag  Tag
	size int64
	at   int64
}

// NewReader reads the first size bytes of t. It panics if size is not from 0
// to MaxSize.
func NewReader(t Tag, size int64) *Reader {
	mustHold(size, 0)
	return &Reader{key: keyOf(t.Seed), tag: t, size: size}
}

// Tag is what is read.
func (r *Reader) Tag() Tag { return r.tag }

// Size is the number of bytes from the beginning to the end, wherever the
// position is.
func (r *Reader) Size() int64 { return r.size }

// Read reads from the position on. It fails with io.EOF at the end only.
func (r *Reader) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	if r.at >= r.size {
		return 0, io.EOF
	}
	n = int(min(int64(len(p)), r.size-r.at))
	r.key.fill(p[:n], r.tag, r.at)
	r.at += int64(n)
	return n, nil
}

// ReadAt reads from off on and leaves the position where it is. As io.ReaderAt
// demands, it fails with io.EOF if it reads less than len(p).
func (r *Reader) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("content: read at offset %d: %w", off, errNegative)
	}
	if off < r.size {
		n = int(min(int64(len(p)), r.size-off))
		r.key.fill(p[:n], r.tag, off)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

var errNegative = errors.New("negative position")

// Seek sets the position, which may be beyond the end. It fails, and changes
// nothing, if whence is unknown or the position would be negative.
func (r *Reader) Seek(offset int64, whence int) (int64, error) {
	base := int64(0)
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		base = r.at
	case io.SeekEnd:
		base = r.size
	default:
		return 0, fmt.Errorf("content: seek: unknown whence %d", whence)
	}
	to := base + offset
	if to < 0 { // or an offset so great that the sum overflowed
		return 0, fmt.Errorf("content: seek to %d from %d: %w", offset, base, errNegative)
	}
	r.at = to
	return to, nil
}

// writeSize is the memory of a WriteTo: large enough that calls do not count,
// small enough for the processor's cache.
const writeSize = 64 << 10

// WriteTo writes all from the position on, in blocks of 64 KiB.
func (r *Reader) WriteTo(w io.Writer) (n int64, err error) {
	if r.at >= r.size {
		return 0, nil
	}
	block := make([]byte, min(writeSize, r.size-r.at))
	for r.at < r.size {
		part := block[:min(int64(len(block)), r.size-r.at)]
		r.key.fill(part, r.tag, r.at)
		k, err := w.Write(part)
		if k < 0 || k > len(part) {
			return n, errors.New("content: write: the writer took an impossible number of bytes")
		}
		n += int64(k)
		r.at += int64(k)
		if err == nil && k < len(part) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return n, fmt.Errorf("content: write %s at offset %d: %w", r.tag, r.at, err)
		}
	}
	return n, nil
}
