package content

import "encoding/binary"

// window is how many bytes the phase of shifted data is read from: eight, and
// the eight that are 24 bytes after them.
const window = copySize + 8

// shiftStep is how far apart windows are tried in a piece of which nothing is
// known yet.
const shiftStep = 8 * copySize

// phases finds the phase of a window by the difference of its two ends, which
// is the same in all sectors. It is a hash table with open addressing: an
// entry is a phase plus one, zero is empty. At a quarter full a search takes
// hardly more than one look.
type phases [2048]uint16

// phaseTable never changes.
var phaseTable = newPhases()

func newPhases() *phases {
	t := new(phases)
	for phase := 0; phase+window <= SectorSize; phase++ {
		i := slot(difference(padBytes[phase:]))
		for t[i] != 0 {
			i = (i + 1) % len(t)
		}
		t[i] = uint16(phase + 1)
	}
	return t
}

func slot(d uint64) int { return int(d * 0x9e3779b97f4a7c15 >> 53) }

func difference(b []byte) uint64 {
	b = b[:window]
	return binary.LittleEndian.Uint64(b) ^ binary.LittleEndian.Uint64(b[copySize:])
}

// find gives the phase of the first window of b, if it has one.
func (t *phases) find(b []byte) (phase int, ok bool) {
	d := difference(b)
	for i := slot(d); t[i] != 0; i = (i + 1) % len(t) {
		if phase = int(t[i]) - 1; difference(padBytes[phase:]) == d {
			return phase, true
		}
	}
	return 0, false
}

// shifted explains the piece by the window at byte i of it.
func (p *piece) shifted(i int) (o origin, ok bool) {
	phase, ok := phaseTable.find(p.got[i:])
	if !ok {
		return origin{}, false
	}
	return p.named(i, phase)
}

// named explains the piece by the 24 bytes at byte i of it, taken for those at
// byte phase of a sector.
func (p *piece) named(i, phase int) (o origin, ok bool) {
	t, sector, ok := p.key.identify(p.got[i:], phase)
	if !ok {
		return origin{}, false
	}
	t.Seed = p.want.Seed
	return origin{tag: t, off: int64(sector)*SectorSize + int64(phase-i)}, true
}

// anyPhase explains a piece too short for windows by trying 24 bytes of it at
// every phase. Only the first and the last piece of a range can be so short.
func (p *piece) anyPhase(i int) (o origin, ok bool) {
	for phase := 0; phase+copySize <= SectorSize; phase++ {
		if o, ok = p.named(i, phase); ok {
			return o, true
		}
	}
	return origin{}, false
}

// straddleReach is how many sectors around its own place a piece is searched
// for that is split by a border of sectors.
const straddleReach = 8

// straddle explains a piece with less than 24 bytes on either side of a border
// of sectors. Such a piece names nobody; what can be done is to see if it is of
// a tag that is expected, from not far away.
func (p *piece) straddle(t Tag) (o origin, ok bool) {
	n := len(p.got)
	k := p.key
	if t.Seed != p.want.Seed {
		other := keyOf(t.Seed)
		k = &other
	}
	const side = copySize - 1
	var around [2 * side]byte
	own := p.off / SectorSize
	for s := max(1, own-straddleReach); s <= min(own+straddleReach, sectorMask); s++ {
		border := s * SectorSize
		k.fill(around[:], t, border-side)
		for before := max(1, n-side); before <= min(side, n-1); before++ {
			if string(around[side-before:side-before+n]) == string(p.got) {
				return origin{tag: t, off: border - int64(before)}, true
			}
		}
	}
	return origin{}, false
}
