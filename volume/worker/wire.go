package worker

import (
	"encoding/binary"
	"errors"
	"io"
	"syscall"

	"github.com/seed-1b600011/assay/content"
)

// op is what a request wants done.
type op uint8

const (
	opOpen op = iota + 1
	opClose
	opWrite
	opMapWrite
	opTruncate
	opAllocate
	opPunch
	opFsync
	opFdatasync
	opMsync
	opSyncFS
	opSyncDir
	opMkdir
	opRename
	opLink
	opUnlink
	opRmdir
	opRead
	opWalk
	opRemoveAll
	opSectors
)

// request is one thing to do. What an op does not need is zero.
type request struct {
	id       uint64
	op       op
	file     uint64 // handle, chosen by the parent
	flags    int64  // of open(2); of a write, how many blocks at once; of a read, O_DIRECT
	from, to int64  // bytes of the file
	block    int64  // bytes a write
	path     string // below the root
	second   string // the other path
	tags     []content.Tag
	parts    []Part // of the file, each with tags of its own
}

// Answer is what came of a request, or of one block of it.
type Answer struct {
	Index int           // of the block, from 0
	Errno syscall.Errno // 0: done
	Bytes int64         // moved
	Data  []byte        // what was asked for, encoded by the op
}

const (
	frameMax = 256 << 20        // bytes
	dataMax  = frameMax - 1<<10 // of an answer: EMSGSIZE above
	headSize = 4
	tagMin   = 8 + 8 + 1                      // bytes of the shortest
	spanMin  = 1 + 1 + 1 + tagMin + 1 + 1 + 1 // the same
)

var errFrame = errors.New("worker: a frame that makes no sense")

// frame begins one: its length is filled in by finish.
func frame(b []byte) (start int, _ []byte) {
	return len(b), append(b, 0, 0, 0, 0)
}

func finish(b []byte, start int) []byte {
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start-headSize))
	return b
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func (r *request) append(b []byte) []byte {
	start, b := frame(b)
	b = binary.AppendUvarint(b, r.id)
	b = append(b, byte(r.op))
	b = binary.AppendUvarint(b, r.file)
	for _, v := range []int64{r.flags, r.from, r.to, r.block} {
		b = binary.AppendVarint(b, v)
	}
	b = appendString(appendString(b, r.path), r.second)
	b = binary.AppendUvarint(b, uint64(len(r.tags)))
	for _, t := range r.tags {
		b = appendTag(b, t)
	}
	b = binary.AppendUvarint(b, uint64(len(r.parts)))
	for _, p := range r.parts {
		b = binary.AppendVarint(b, p.To)
		b = binary.AppendUvarint(b, uint64(len(p.Tags)))
		for _, t := range p.Tags {
			b = appendTag(b, t)
		}
	}
	return finish(b, start)
}

func appendTag(b []byte, t content.Tag) []byte {
	b = binary.LittleEndian.AppendUint64(b, t.Seed)
	b = binary.LittleEndian.AppendUint64(b, t.Object)
	return binary.AppendUvarint(b, uint64(t.Generation))
}

func appendAnswer(b []byte, id uint64, a Answer) []byte {
	start, b := frame(b)
	b = binary.AppendUvarint(b, id)
	for _, v := range []int64{int64(a.Index), int64(a.Errno), a.Bytes} {
		b = binary.AppendVarint(b, v)
	}
	b = append(binary.AppendUvarint(b, uint64(len(a.Data))), a.Data...)
	return finish(b, start)
}

// readFrame reads one into buf, which it grows; what it gives is valid until
// the next call with the same buf.
func readFrame(r io.Reader, buf []byte) ([]byte, error) {
	var head [headSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > frameMax {
		return nil, errFrame
	}
	if cap(buf) < int(n) {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	_, err := io.ReadFull(r, buf)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // within a frame
	}
	return buf, err
}

// reader takes fields from a frame; after damage it gives zeros.
type reader struct {
	b   []byte
	bad bool
}

func (d *reader) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *reader) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	d.take(uint64(max(n, 0)))
	d.bad = d.bad || n <= 0
	return v
}

func (d *reader) varint() int64 {
	v, n := binary.Varint(d.b)
	d.take(uint64(max(n, 0)))
	d.bad = d.bad || n <= 0
	return v
}

func (d *reader) word() uint64 {
	if b := d.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (d *reader) text() string { return string(d.take(d.uvarint())) }

func (d *reader) tag() content.Tag {
	return content.Tag{Seed: d.word(), Object: d.word(), Generation: uint32(d.uvarint())}
}

func (d *reader) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func parseRequest(b []byte) (request, error) {
	d := reader{b: b}
	r := request{id: d.uvarint(), op: op(d.byte()), file: d.uvarint(),
		flags: d.varint(), from: d.varint(), to: d.varint(), block: d.varint(), path: d.text(), second: d.text()}
	n := d.uvarint()
	if n > uint64(len(d.b)/tagMin) {
		return r, errFrame
	}
	for range n {
		r.tags = append(r.tags, d.tag())
	}
	if n = d.uvarint(); n > uint64(len(d.b)/2) {
		return r, errFrame
	}
	for range n {
		p := Part{To: d.varint()}
		tags := d.uvarint()
		if tags > uint64(len(d.b)/tagMin) {
			return r, errFrame
		}
		for range tags {
			p.Tags = append(p.Tags, d.tag())
		}
		r.parts = append(r.parts, p)
	}
	if d.bad || len(d.b) > 0 {
		return r, errFrame
	}
	return r, nil
}

func parseAnswer(b []byte) (id uint64, a Answer, err error) {
	d := reader{b: b}
	id = d.uvarint()
	a = Answer{Index: int(d.varint()), Errno: syscall.Errno(d.varint()), Bytes: d.varint()}
	if data := d.take(d.uvarint()); len(data) > 0 {
		a.Data = append([]byte(nil), data...)
	}
	if d.bad || len(d.b) > 0 {
		return id, a, errFrame
	}
	return id, a, nil
}
