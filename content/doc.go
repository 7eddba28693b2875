// Package content makes bytes that know what they are: from a seed, an object,
// a generation and an offset. Read back, any piece of them tells whose bytes
// they are and from where, or how they were damaged. The package does no I/O,
// and all its functions may be called from several goroutines at once.
//
// # Format
//
// All arithmetic is on 64-bit words without sign, modulo 2^64; words are
// little-endian in bytes; ^ is exclusive or; rot32 turns a word by 32 bits.
//
// An object is made of sectors of 512 bytes, counted from its offset 0. The
// identity of a sector is three words that hide, under the seed, who it is:
//
//	draw(s, i) = mix(mix(s+G) + G·(i+1)), with G = 0x9e3779b97f4a7c15 and
//	             mix as in package seed (seed.At)
//	fold(x)    = high ^ low word of the 128-bit product x · 0xd1342543de82ef95
//	w[0]       = object
//	w[1]       = sector | (generation mod 2^16) << 48     (sector below 2^48)
//	w[2]       = generation >> 16                         (48 bits are zero)
//	for r = 0 to 5:
//	    w[r%3] ^= fold(w[(r+1)%3] + rot32(w[(r+2)%3]) + draw(seed, r))
//
// Byte i of the sector is byte i%24 of the identity ^ byte i of the pad. The
// pad is the same for every sector and seed: its word j is draw(0, j), j from 0
// to 63. The sector thus holds 21 copies of its identity and a third of one.
//
// # What follows from it
//
// The six rounds are a bijection: read backward they give object, generation
// and sector again, and 48 zero bits by which others are known: 24 bytes that
// were not made under this seed are named with a probability of 2^-48 at a
// known place. At all 489 places, which is tried only for the first and the
// last piece of a range, it is below 2^-39. A whole sector is named by all of
// its bytes, or as Corrupt by three quarters of its bits; that unrelated bytes
// come near that has no probability worth writing down. The cipher resists
// accidents; whoever knows the format can forge.
//
// Bytes of a sector that are 24 apart differ by what the pad has there, which
// does not depend on the identity. Eight such differences tell where in a
// sector bytes belong: data shifted by any number of bytes is found without
// trying the shifts. The vote of the 21 copies names a sector with bits flipped
// everywhere.
//
// No two sectors of a seed are alike, hence no two blocks that begin with a
// sector. No string of three bytes comes again within the reach of a
// compressor more often than chance has it: deflate makes the content longer.
// A program that knew the pad could compress it.
//
// # Classes
//
// A piece is the part of one sector, counted in the object asked for, that is
// in the range given. It is, whichever comes first:
//
//   - Exact.
//   - What its neighbour continues with: Older, Newer, Misdirected or Zero. The
//     first piece of a range is compared with its right neighbour, others with
//     the left one. Below 24 bytes also what the caller holds possible.
//   - Zero; or Exact up to a byte and Zero from there on, or the reverse: a file
//     cut in the middle of a sector. Any number of bytes may be Zero.
//   - Different, below 24 bytes.
//   - Older, Newer or Misdirected, if it names its origin and all bytes agree.
//   - Of several origins, each from one byte to another, if every byte is of one.
//     Such parts are of 8 bytes at least, or 4 at the edge of the piece.
//   - Corrupt, if one origin that it names, or what was asked for or held
//     possible, has at least three quarters of its bits. Parts of 24 bytes of
//     several origins are named each, and what is between them Corrupt with a
//     neighbour, Foreign from 24 bytes on, or Different.
//   - Foreign. Nothing in it has named anybody: no 24 bytes at a multiple of 24
//     from its beginning, or at its end, at their right place in the sector; no
//     32 bytes of a shifted sector at a multiple of 192, or at its end. A piece
//     that is no whole sector is asked at every byte, and so is what lies
//     between parts that are named.
//
// A shifted piece of 24 to 46 bytes can hide a border of its own sectors, with
// less than 24 bytes on either side. It is named if a neighbour continues with
// it, or if it is from within 4 KiB of what was asked for or held possible;
// Foreign otherwise.
//
// Where two explanations have the same bytes nobody can tell them apart: a
// flipped bit that makes the last byte of a sector zero is said to be Zero, and
// a byte of another generation that happens to be right is Exact.
package content
