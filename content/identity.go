package content

import (
	"encoding/binary"
	"math/bits"

	"github.com/seed-1b600011/assay/seed"
)

const (
	sectorWords = SectorSize / 8
	copySize    = 24 // bytes of one copy of an identity, and what any piece needs to name itself
	sectorBits  = 48
	sectorMask  = 1<<sectorBits - 1
)

// identity is who a sector is, enciphered under the seed: three words that
// look random and from which decipher gives the sector back.
type identity struct{ a, b, c uint64 }

// key is a seed, spread out.
type key [6]uint64

func keyOf(s uint64) (k key) {
	for i := range k {
		k[i] = seed.Seed(s).At(uint64(i))
	}
	return k
}

// fold is the two halves of the 128-bit product of x and a constant, combined:
// a bit of x reaches nearly all bits of it for the price of one multiplication.
func fold(x uint64) uint64 {
	hi, lo := bits.Mul64(x, 0xd1342543de82ef95)
	return hi ^ lo
}

// encipher is a Feistel network of six rounds over three words. It is a
// bijection whatever fold is, so no two sectors of a seed share an identity.
// After three rounds every bit of the plain words has reached all three words;
// there are twice as many. It resists accidents, not an attacker.
func (k *key) encipher(t Tag, sector uint64) identity {
	a, b, c := t.Object, sector|uint64(t.Generation)<<sectorBits, uint64(t.Generation)>>(64-sectorBits)
	a ^= fold(b + bits.RotateLeft64(c, 32) + k[0])
	b ^= fold(c + bits.RotateLeft64(a, 32) + k[1])
	c ^= fold(a + bits.RotateLeft64(b, 32) + k[2])
	a ^= fold(b + bits.RotateLeft64(c, 32) + k[3])
	b ^= fold(c + bits.RotateLeft64(a, 32) + k[4])
	c ^= fold(a + bits.RotateLeft64(b, 32) + k[5])
	return identity{a, b, c}
}

// decipher undoes encipher. It answers ok for one in 2^48 of all identities:
// those whose 48 bits that encipher found zero are zero. The tag's seed is
// left for the caller to set.
func (k *key) decipher(id identity) (t Tag, sector uint64, ok bool) {
	a, b, c := id.a, id.b, id.c
	c ^= fold(a + bits.RotateLeft64(b, 32) + k[5])
	b ^= fold(c + bits.RotateLeft64(a, 32) + k[4])
	a ^= fold(b + bits.RotateLeft64(c, 32) + k[3])
	c ^= fold(a + bits.RotateLeft64(b, 32) + k[2])
	if c>>(64-sectorBits) != 0 {
		return Tag{}, 0, false // c is done before a and b: foreign data ends here
	}
	b ^= fold(c + bits.RotateLeft64(a, 32) + k[1])
	a ^= fold(b + bits.RotateLeft64(c, 32) + k[0])
	return Tag{Object: a, Generation: uint32(b>>sectorBits | c<<(64-sectorBits))}, b & sectorMask, true
}

// identify names the sector that the 24 bytes of cell belong to if they sit at
// byte phase of it, 0 to SectorSize-24.
func (k *key) identify(cell []byte, phase int) (t Tag, sector uint64, ok bool) {
	p := padBytes[phase : phase+copySize]
	cell = cell[:copySize]
	id := identity{
		binary.LittleEndian.Uint64(cell) ^ binary.LittleEndian.Uint64(p),
		binary.LittleEndian.Uint64(cell[8:]) ^ binary.LittleEndian.Uint64(p[8:]),
		binary.LittleEndian.Uint64(cell[16:]) ^ binary.LittleEndian.Uint64(p[16:]),
	}
	return k.decipher(id.turn(phase % copySize))
}

// turn sets right an identity that was read from its byte n on, round to its
// beginning.
func (id identity) turn(n int) identity {
	for ; n >= 8; n -= 8 {
		id = identity{id.c, id.a, id.b}
	}
	if n == 0 {
		return id
	}
	s := 8 * n
	return identity{
		id.a<<s | id.c>>(64-s),
		id.b<<s | id.a>>(64-s),
		id.c<<s | id.b>>(64-s),
	}
}
