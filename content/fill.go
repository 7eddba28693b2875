package content

import (
	"bytes"
	"encoding/binary"
)

// Fill sets dst to the bytes of t from offset off on. Any off from 0, any
// length; it panics if they reach beyond MaxSize. It allocates nothing.
func Fill(dst []byte, t Tag, off int64) {
	mustHold(off, len(dst))
	k := keyOf(t.Seed)
	k.fill(dst, t, off)
}

func (k *key) fill(dst []byte, t Tag, off int64) {
	sector := uint64(off) / SectorSize
	if phase := int(off % SectorSize); phase != 0 {
		n := min(len(dst), SectorSize-phase)
		k.fillPart(dst[:n], t, sector, phase)
		dst = dst[n:]
		sector++
	}
	for len(dst) >= SectorSize {
		id := k.encipher(t, sector)
		fillSector((*[SectorSize]byte)(dst), id)
		dst = dst[SectorSize:]
		sector++
	}
	if len(dst) > 0 {
		k.fillPart(dst, t, sector, 0)
	}
}

func (k *key) fillPart(dst []byte, t Tag, sector uint64, phase int) {
	var whole [SectorSize]byte
	id := k.encipher(t, sector)
	fillSector(&whole, id)
	copy(dst, whole[phase:])
}

// Equal tells whether got is what Fill makes of t and off. It allocates
// nothing and panics where Fill does.
func Equal(got []byte, t Tag, off int64) bool {
	mustHold(off, len(got))
	k := keyOf(t.Seed)
	return k.equal(got, t, off) == len(got)
}

// equal is how many bytes at the beginning of got are those of t, counted in
// whole pieces.
func (k *key) equal(got []byte, t Tag, off int64) int {
	sector := uint64(off) / SectorSize
	done := 0
	if phase := int(off % SectorSize); phase != 0 {
		n := min(len(got), SectorSize-phase)
		if !k.equalPart(got[:n], t, sector, phase) {
			return 0
		}
		done = n
		sector++
	}
	for len(got)-done >= SectorSize {
		id := k.encipher(t, sector)
		if !equalSector((*[SectorSize]byte)(got[done:]), id) {
			return done
		}
		done += SectorSize
		sector++
	}
	if done < len(got) && k.equalPart(got[done:], t, sector, 0) {
		done = len(got)
	}
	return done
}

func (k *key) equalPart(got []byte, t Tag, sector uint64, phase int) bool {
	var whole [SectorSize]byte
	id := k.encipher(t, sector)
	fillSector(&whole, id)
	return bytes.Equal(got, whole[phase:phase+len(got)])
}

// fillSector writes the sector whose identity is id. The loop is unrolled to
// twelve words, which divides 60 of the 64: every index is then in range for
// the compiler to see, and the loads, xors and stores fill the processor.
func fillSector(dst *[SectorSize]byte, id identity) {
	a, b, c := id.a, id.b, id.c
	le := binary.LittleEndian
	for j := 0; j < 60; j += 12 {
		p := (*[12]uint64)(pad[j:])
		d := (*[96]byte)(dst[8*j:])
		le.PutUint64(d[0:], p[0]^a)
		le.PutUint64(d[8:], p[1]^b)
		le.PutUint64(d[16:], p[2]^c)
		le.PutUint64(d[24:], p[3]^a)
		le.PutUint64(d[32:], p[4]^b)
		le.PutUint64(d[40:], p[5]^c)
		le.PutUint64(d[48:], p[6]^a)
		le.PutUint64(d[56:], p[7]^b)
		le.PutUint64(d[64:], p[8]^c)
		le.PutUint64(d[72:], p[9]^a)
		le.PutUint64(d[80:], p[10]^b)
		le.PutUint64(d[88:], p[11]^c)
	}
	le.PutUint64(dst[480:], pad[60]^a)
	le.PutUint64(dst[488:], pad[61]^b)
	le.PutUint64(dst[496:], pad[62]^c)
	le.PutUint64(dst[504:], pad[63]^a)
}

// equalSector tells whether got is the sector whose identity is id.
func equalSector(got *[SectorSize]byte, id identity) bool {
	a, b, c := id.a, id.b, id.c
	le := binary.LittleEndian
	var x, y, z uint64
	for j := 0; j < 60; j += 12 {
		p := (*[12]uint64)(pad[j:])
		g := (*[96]byte)(got[8*j:])
		x |= le.Uint64(g[0:]) ^ p[0] ^ a
		y |= le.Uint64(g[8:]) ^ p[1] ^ b
		z |= le.Uint64(g[16:]) ^ p[2] ^ c
		x |= le.Uint64(g[24:]) ^ p[3] ^ a
		y |= le.Uint64(g[32:]) ^ p[4] ^ b
		z |= le.Uint64(g[40:]) ^ p[5] ^ c
		x |= le.Uint64(g[48:]) ^ p[6] ^ a
		y |= le.Uint64(g[56:]) ^ p[7] ^ b
		z |= le.Uint64(g[64:]) ^ p[8] ^ c
		x |= le.Uint64(g[72:]) ^ p[9] ^ a
		y |= le.Uint64(g[80:]) ^ p[10] ^ b
		z |= le.Uint64(g[88:]) ^ p[11] ^ c
		if x|y|z != 0 {
			return false
		}
	}
	x |= le.Uint64(got[480:]) ^ pad[60] ^ a
	y |= le.Uint64(got[488:]) ^ pad[61] ^ b
	z |= le.Uint64(got[496:]) ^ pad[62] ^ c
	x |= le.Uint64(got[504:]) ^ pad[63] ^ a
	return x|y|z == 0
}
