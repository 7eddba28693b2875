package content

import "encoding/binary"

// vote is the identity that most copies in the piece agree on, bit by bit; the
// copies need not be intact. ok is false if there are fewer than three.
func (p *piece) vote() (o origin, ok bool) {
	phase := int(p.off % SectorSize)
	from := (phase + copySize - 1) / copySize
	to := (phase + len(p.got)) / copySize
	if to-from < 3 {
		return origin{}, false
	}
	var a, b, c tally
	for i := from; i < to; i++ {
		cell := p.got[i*copySize-phase:][:copySize]
		word := pad[3*i:][:3]
		a.add(binary.LittleEndian.Uint64(cell) ^ word[0])
		b.add(binary.LittleEndian.Uint64(cell[8:]) ^ word[1])
		c.add(binary.LittleEndian.Uint64(cell[16:]) ^ word[2])
	}
	half := uint(to-from) / 2
	t, sector, ok := p.key.decipher(identity{a.above(half), b.above(half), c.above(half)})
	if !ok {
		return origin{}, false
	}
	t.Seed = p.want.Seed
	return origin{tag: t, off: int64(sector)*SectorSize + int64(phase)}, true
}

// tally counts, for each of 64 places at once, the words that had a one there:
// word i holds bit i of the 64 counts. It counts to 31; a sector has 21 copies.
type tally [5]uint64

func (t *tally) add(w uint64) {
	for i := range t {
		t[i], w = t[i]^w, t[i]&w
	}
}

// above has a one where the count is greater than n: it compares from the
// highest bit down, equal so far or greater already.
func (t *tally) above(n uint) uint64 {
	greater, equal := uint64(0), ^uint64(0)
	for i := len(t) - 1; i >= 0; i-- {
		if n>>i&1 == 0 {
			greater |= equal & t[i]
			equal &^= t[i]
		} else {
			equal &= t[i]
		}
	}
	return greater
}
