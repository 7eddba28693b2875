package content

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// matches has a bit for each byte of a piece: it is what an origin says.
type matches [SectorSize / 64]uint64

// run is for how many bytes from byte i on the bits are set.
func (m *matches) run(i int) int {
	start := i
	for i < SectorSize {
		ones := bits.TrailingZeros64(^(m[i/64] >> (i % 64)))
		room := 64 - i%64
		if ones < room {
			return i + ones - start
		}
		i += room
	}
	return i - start
}

// candidates are the origins held possible for a piece. Nine are more than any
// accident mixes in one sector; further ones are left out.
type candidates struct {
	n       int
	origins [9]origin
	match   [9]matches
}

// add takes o in, unless it is there or there is no room.
func (c *candidates) add(p *piece, o origin) {
	if c.n == len(c.origins) || slices.Contains(c.origins[:c.n], o) {
		return
	}
	var made [SectorSize]byte
	lo, hi := p.make(&made, o)
	m := &c.match[c.n]
	i := lo
	for ; i%8 == 0 && i+8 <= hi; i += 8 {
		x := binary.LittleEndian.Uint64(p.got[i:]) ^ binary.LittleEndian.Uint64(made[i:])
		m[i/64] |= zeroBytes(x) << (i % 64)
	}
	for ; i < hi; i++ {
		if p.got[i] == made[i] {
			m[i/64] |= 1 << (i % 64)
		}
	}
	c.origins[c.n] = o
	c.n++
}

// zeroBytes has a bit for each byte of x that is zero, the lowest first.
func zeroBytes(x uint64) uint64 {
	const low = 0x7f7f7f7f7f7f7f7f
	zero := ^((x&low + low) | x | low) // 0x80 where a byte is zero
	return zero >> 7 * 0x0102040810204080 >> 56
}

// owns tells whether a candidate explains the 24 bytes at i.
func (c *candidates) owns(i int) bool {
	for w := range c.n {
		if c.match[w].run(i) >= copySize {
			return true
		}
	}
	return false
}

// segment is bytes [from, to) of a piece: of candidate who, or a gap of none.
type segment struct{ from, to, who int }

const (
	gap     = -1
	sure    = 8 // bytes in a row that are of an origin by no chance, wherever they are: 2^-64
	likely  = 4 // the same for a few given places
	mostSeg = 64
)

// segments divides the n bytes of a piece among the candidates, the one that
// reaches farthest first. ok tells that there is no gap.
func (c *candidates) segments(n int, out []segment) (segs []segment, ok bool) {
	for i := 0; i < n; {
		best, reach := gap, sure-1
		for w := range c.n {
			if run := c.match[w].run(i); run > reach {
				best, reach = w, run
			}
		}
		if best == gap {
			if k := len(out); k > 0 && out[k-1].who == gap {
				out[k-1].to++
			} else {
				out = append(out, segment{i, i + 1, gap})
			}
			i++
			continue
		}
		out = append(out, segment{i, i + reach, best})
		i += reach
	}
	ok = true
	for i := range out {
		if out[i].who == gap {
			out[i].who = c.bridge(out[i], n)
			ok = ok && out[i].who != gap
		}
	}
	return out, ok
}

// bridge is who owns the whole of a gap. At an edge of the piece, where a write
// may have ended a byte before the border, zeros and what was asked for need no
// more evidence than to be there.
func (c *candidates) bridge(g segment, n int) int {
	for w := range c.n {
		plain := w <= 1 // search adds these two first
		if c.match[w].run(g.from) < g.to-g.from {
			continue
		}
		if g.to-g.from >= likely || plain && (g.from == 0 || g.to == n) {
			return w
		}
	}
	return gap
}

// strong counts the candidates that explain 24 bytes in a row of segs.
func (c *candidates) strong(segs []segment) (n int) {
	var seen [len(c.origins)]bool
	for _, s := range segs {
		if s.who != gap && s.to-s.from >= copySize && !seen[s.who] {
			seen[s.who] = true
			n++
		}
	}
	return n
}

// tell appends the spans of a piece that is divided into segs.
func (p *piece) tell(out []Span, c *candidates, segs []segment) (spans []Span, named bool) {
	gaps := false
	for _, s := range segs {
		gaps = gaps || s.who == gap
	}
	if gaps && (c.strong(segs) == 1 || len(segs) > mostSeg) {
		// One owner with damage is one span, unless the damage prevails.
		if o, ok := p.closest(c); ok {
			return append(out, p.damaged(o, 0, len(p.got))), true
		}
	}
	named = true
	at := len(out)
	for i, s := range segs {
		var next Span
		if s.who != gap {
			next = p.span(c.origins[s.who], s.from, s.to)
		} else if next = p.patch(c, segs, i); next.Class == Foreign || next.Class == Different {
			named = false
		}
		out = p.join(out, at, next)
	}
	return out, named
}

// patch is what a gap between segments is: damage of a neighbour, or nobody's.
func (p *piece) patch(c *candidates, segs []segment, i int) Span {
	g := segs[i]
	var near [2]int
	k := 0
	for _, side := range [...]int{i - 1, i + 1} {
		if side >= 0 && side < len(segs) && segs[side].who != gap && !c.origins[segs[side].who].zero {
			near[k] = segs[side].who
			k++
		}
	}
	enclosed := k == 2 && near[0] == near[1] && g.to-g.from < copySize
	best, least := origin{}, 8*SectorSize
	for _, w := range near[:k] {
		o := c.origins[w]
		n, _ := p.wrong(o, g.from, g.to, math.MaxInt)
		if n < least && o.off+int64(g.from) >= 0 && (enclosed || n <= tolerable(g.to-g.from)) {
			best, least = o, n
		}
	}
	if least < 8*SectorSize {
		return p.damaged(best, g.from, g.to)
	}
	s := Span{From: p.off + int64(g.from), To: p.off + int64(g.to), Class: Different}
	if g.to-g.from >= copySize {
		s.Class = Foreign
	} else if c.match[0].run(g.from) >= g.to-g.from {
		return p.span(c.origins[0], g.from, g.to) // by chance, but right
	}
	return s
}

// join appends next to out, of which the spans from at on are of this piece.
// Damage and the intact bytes of the same origin beside it become one span.
func (p *piece) join(out []Span, at int, next Span) []Span {
	if len(out) > at {
		last := &out[len(out)-1]
		same := last.Is == next.Is && next.IsOff-last.IsOff == next.From-last.From
		owned := func(s *Span) bool { return s.Class <= Corrupt }
		if same && owned(last) && owned(&next) && (last.Class == Corrupt || next.Class == Corrupt) {
			if last.BitsWrong == 0 {
				last.FirstWrong = next.FirstWrong
			}
			last.Class = Corrupt
			last.To = next.To
			last.BitsWrong += next.BitsWrong
			return out
		}
		if last.extend(next) {
			return out
		}
	}
	return append(out, next)
}
