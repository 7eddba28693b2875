package history

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// Places in a segment. What may be rewritten while a segment lives has a block
// of its own, and in that block each slot a sector of its own: a power cut in
// the middle of writing one of them harms neither the header nor another slot.
const (
	blockSize   = 4096
	headerSize  = 128
	anchorA     = 1 * blockSize // the newest sync mark, or the one before
	anchorB     = anchorA + 512
	endSlot     = anchorB + 512 // set once: where the records end
	dataStart   = 2 * blockSize
	slotSize    = 64
	formatMajor = 2
)

const (
	headerMagic = "assayHST"
	slotMagic   = "assayMRK"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// header is what a segment says of itself in its first 128 bytes.
type header struct {
	writer  uint32
	seq     uint64 // of this segment, from 1
	first   uint64 // the segment with which reading begins: 1, or the newest checkpoint
	boot    [16]byte
	wall    int64  // ns since 1970 at creation
	created int64  // ns of CLOCK_BOOTTIME at creation
	nonce   uint64 // random
	records uint64 // in all segments before, those that a checkpoint removed included
	op      uint64 // the highest that this writer used before
	size    uint64 // that was allocated: a shorter file that does not say that it was closed was cut
	prev    uint64 // nonce of the segment before; 0 if none
	prevEnd uint64 // where the records of the segment before end; 0 if none
}

func (h *header) encode() []byte {
	b := make([]byte, 0, headerSize)
	le := binary.LittleEndian
	b = append(b, headerMagic...)
	b = le.AppendUint32(b, formatMajor)
	b = le.AppendUint32(b, h.writer)
	b = le.AppendUint64(b, h.seq)
	b = le.AppendUint64(b, h.first)
	b = append(b, h.boot[:]...)
	for _, v := range []uint64{uint64(h.wall), uint64(h.created), h.nonce, h.records, h.op, h.size, h.prev, h.prevEnd} {
		b = le.AppendUint64(b, v)
	}
	b = append(b, make([]byte, headerSize-4-len(b))...)
	return le.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// decodeHeader says in words what is wrong with b, or "".
func decodeHeader(b []byte) (h header, wrong string) {
	le := binary.LittleEndian
	switch {
	case len(b) < headerSize:
		return h, fmt.Sprintf("the file has %d bytes, a header has %d", len(b), headerSize)
	case string(b[:8]) != headerMagic:
		return h, "no header"
	case le.Uint32(b[headerSize-4:headerSize]) != crc32.Checksum(b[:headerSize-4], castagnoli):
		return h, "header checksum"
	case le.Uint32(b[8:]) != formatMajor:
		return h, fmt.Sprintf("format version %d, this program reads %d", le.Uint32(b[8:]), formatMajor)
	}
	h.writer = le.Uint32(b[12:])
	h.seq = le.Uint64(b[16:])
	h.first = le.Uint64(b[24:])
	copy(h.boot[:], b[32:48])
	h.wall = int64(le.Uint64(b[48:]))
	h.created = int64(le.Uint64(b[56:]))
	h.nonce = le.Uint64(b[64:])
	h.records = le.Uint64(b[72:])
	h.op = le.Uint64(b[80:])
	h.size = le.Uint64(b[88:])
	h.prev = le.Uint64(b[96:])
	h.prevEnd = le.Uint64(b[104:])
	if h.seq == 0 || h.first == 0 || h.first > h.seq {
		return h, fmt.Sprintf("segment %d of a history that begins with %d", h.seq, h.first)
	}
	return h, ""
}

// slotKind says what a slot promises.
type slotKind uint32

const (
	syncSlot   slotKind = 1 // everything before covered is durable
	closedSlot slotKind = 2 // the same, and the history ends there
	passedSlot slotKind = 3 // the same, and the next segment is durable too
)

// slot is a sync mark, or one of its relatives: 64 bytes at a multiple of 64,
// so never across two sectors. It names the segment and its own place, and can
// therefore be found and believed where nothing before it can be read.
type slot struct {
	kind    slotKind
	covered int64  // bytes [0, covered) of the segment were durable before the slot was written
	records uint64 // of this segment that stand before the slot, or before the end
}

func (s slot) encode(nonce uint64, at int64) (b [slotSize]byte) {
	le := binary.LittleEndian
	copy(b[:], slotMagic)
	le.PutUint64(b[8:], nonce)
	le.PutUint64(b[16:], uint64(at))
	le.PutUint64(b[24:], uint64(s.covered))
	le.PutUint64(b[32:], s.records)
	le.PutUint32(b[40:], uint32(s.kind))
	le.PutUint32(b[slotSize-4:], crc32.Checksum(b[:slotSize-4], castagnoli))
	return b
}

// decodeSlot reads the slot that b begins with if it is one of the segment
// with this nonce and was written for the place at.
func decodeSlot(b []byte, nonce uint64, at int64) (s slot, ok bool) {
	le := binary.LittleEndian
	if len(b) < slotSize || string(b[:8]) != slotMagic ||
		le.Uint64(b[8:]) != nonce || le.Uint64(b[16:]) != uint64(at) ||
		le.Uint32(b[slotSize-4:]) != crc32.Checksum(b[:slotSize-4], castagnoli) {
		return s, false
	}
	s = slot{kind: slotKind(le.Uint32(b[40:])), covered: int64(le.Uint64(b[24:])), records: le.Uint64(b[32:])}
	return s, s.kind >= syncSlot && s.kind <= passedSlot && s.covered >= dataStart
}

// frameSum is the checksum of a frame's length and body. It continues from a
// start value made of the segment's nonce and the frame's offset: a CRC is a
// bijection of its start value, so the same bytes at another offset of the same
// segment never pass, and those of another segment pass once in 2^32.
func frameSum(nonce uint64, at int64, b []byte) uint32 {
	return crc32.Update(uint32(nonce)^uint32(at), castagnoli, b)
}
