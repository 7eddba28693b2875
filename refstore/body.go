package refstore

import (
	"crypto/md5"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
)

// Body is the bytes of one put, in memory or in the spill file. Nothing
// changes them. It lives as long as someone holds it: whoever gets one from
// Bodies.Read or from a get Releases it once, and whoever passes it on Holds
// it once more. Safe for concurrent use.
type Body struct {
	size   int64
	sum    [md5.Size]byte
	memory []byte // nil if spilled, or empty
	extent extent
	home   *Bodies
	holds  atomic.Int64
}

// Size is how many bytes there are.
func (b *Body) Size() int64 { return b.size }

// Sum is their MD5.
func (b *Body) Sum() [md5.Size]byte { return b.sum }

// Hold takes another hold of b, which the caller must have one of already.
func (b *Body) Hold() {
	if b.holds.Add(1) <= 1 {
		panic("refstore: Hold of a released body")
	}
}

// Release gives one hold back. With the last one the space is free; reading
// after that is a mistake of the caller.
func (b *Body) Release() {
	switch left := b.holds.Add(-1); {
	case left < 0:
		panic("refstore: Release of a released body")
	case left == 0:
		b.home.bytes.Add(-b.size)
		if b.extent.size > 0 {
			b.home.spill.free(b.extent, b.size)
		} else {
			b.home.memory.Add(-b.size)
		}
	}
}

// ReadAt reads as io.ReaderAt says.
func (b *Body) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("refstore: read at negative offset %d", off)
	}
	if off >= b.size {
		return 0, io.EOF
	}
	atEnd := int64(len(p)) > b.size-off
	if atEnd {
		p = p[:b.size-off]
	}
	if b.holds.Load() <= 0 {
		// Its extent may be another body's by now.
		panic("refstore: read of a released body")
	}
	n := len(p)
	if b.memory != nil {
		copy(p, b.memory[off:])
	} else {
		var err error
		if n, err = b.home.spill.file().ReadAt(p, b.extent.at+off); n < len(p) {
			return n, fmt.Errorf("refstore: read %d bytes at %d of the spill file: %w", len(p), b.extent.at+off, err)
		}
	}
	if atEnd {
		return n, io.EOF
	}
	return n, nil
}

// ReadAt reads the bytes of v, with the damage that a lie did to them.
func (v *Version) ReadAt(p []byte, off int64) (int, error) {
	n, err := v.Body.ReadAt(p, off)
	if v.flip != 0 {
		bit := v.flip - 1
		if i := int64(bit/8) - off; i >= 0 && i < int64(n) {
			p[i] ^= 1 << (bit % 8)
		}
	}
	return n, err
}

// Bodies keeps bodies: small ones in memory, up to a limit of each and of all
// together, the others in one spill file. All stores of a cluster share one,
// so that a body which lies in a front bucket and on its backend is there
// once. Safe for concurrent use.
type Bodies struct {
	each, all int64
	memory    atomic.Int64 // bytes in memory
	bytes     atomic.Int64 // bytes in all
	spill     spill
	buffers   sync.Pool // of *[]byte, each pieceSize long
}

// pieceSize is how much of a spilled body moves at once.
const pieceSize = 256 << 10

// NewBodies makes an empty Bodies; Close frees it.
//
// dir is where the spill file is made when first needed; empty means the
// system's directory for temporary files. each is the size up to which a body
// stays in memory, 0 means 64 KiB; all is how much of them stays there
// together, 0 means 512 MiB. Negative: none.
func NewBodies(dir string, each, all int64) *Bodies {
	if each == 0 {
		each = 64 << 10
	}
	if all == 0 {
		all = 512 << 20
	}
	b := &Bodies{each: each, all: all}
	b.spill.dir = dir
	b.buffers.New = func() any { p := make([]byte, pieceSize); return &p }
	return b
}

// Close gives the spill file back. Bodies in it are gone.
func (b *Bodies) Close() error { return b.spill.close() }

// Read takes exactly size bytes from r and gives them as a Body that the
// caller holds. If r ends early the error is io.ErrUnexpectedEOF; any other
// error of r is returned as it is, those of the spill file are wrapped in an
// ErrSpill. Nothing is kept then.
func (b *Bodies) Read(r io.Reader, size int64) (*Body, error) {
	if size < 0 {
		return nil, fmt.Errorf("refstore: a body of %d bytes", size)
	}
	body := &Body{size: size, home: b}
	body.holds.Store(1)
	var err error
	if size <= b.each && b.reserve(size) {
		err = body.readIntoMemory(r)
	} else {
		err = body.readIntoSpill(r)
	}
	if err != nil {
		return nil, err
	}
	b.bytes.Add(size)
	return body, nil
}

// reserve counts size bytes of memory, unless that would be over the limit.
func (b *Bodies) reserve(size int64) bool {
	if b.memory.Add(size) <= b.all {
		return true
	}
	b.memory.Add(-size)
	return false
}

func (b *Body) readIntoMemory(r io.Reader) error {
	b.memory = make([]byte, b.size)
	if _, err := io.ReadFull(r, b.memory); err != nil {
		b.home.memory.Add(-b.size)
		return early(err)
	}
	b.sum = md5.Sum(b.memory)
	return nil
}

func (b *Body) readIntoSpill(r io.Reader) error {
	e, err := b.home.spill.take(b.size)
	if err != nil {
		return &ErrSpill{err}
	}
	buffer := b.home.buffers.Get().(*[]byte)
	defer b.home.buffers.Put(buffer)
	hash := md5.New()
	for at := int64(0); at < b.size; {
		piece := (*buffer)[:min(int64(len(*buffer)), b.size-at)]
		if _, err = io.ReadFull(r, piece); err != nil {
			err = early(err)
			break
		}
		hash.Write(piece)
		if _, err = b.home.spill.file().WriteAt(piece, e.at+at); err != nil {
			err = &ErrSpill{err}
			break
		}
		at += int64(len(piece))
	}
	if err != nil {
		b.home.spill.free(e, b.size)
		return err
	}
	b.extent = e
	hash.Sum(b.sum[:0])
	return nil
}

// early makes an end that came too soon io.ErrUnexpectedEOF, also where not a
// byte had come before it.
func early(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// ErrSpill says that the spill file, not the client, is to blame.
type ErrSpill struct{ Err error }

// Error says what could not be done.
func (e *ErrSpill) Error() string { return "refstore: spill a body: " + e.Err.Error() }

// Unwrap is the cause.
func (e *ErrSpill) Unwrap() error { return e.Err }
