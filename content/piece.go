package content

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"
)

// piece is a part of one sector, to be explained.
type piece struct {
	key  *key // of want.Seed
	want Tag
	also []Tag
	got  []byte
	off  int64
}

// judge appends the spans of the piece, which is not Exact as a whole, to out;
// guess is how a neighbour would explain it. named tells that all bytes are
// accounted for.
func (p *piece) judge(out []Span, guess origin, guessed bool) (spans []Span, named bool) {
	if guessed && p.is(guess) {
		return append(out, p.whole(guess)), true
	}
	if len(p.got) < copySize {
		for _, t := range p.also {
			if o := (origin{tag: t, off: p.off}); p.is(o) {
				return append(out, p.whole(o)), true
			}
		}
	}
	if p.is(origin{zero: true}) {
		return append(out, p.whole(origin{zero: true})), true
	}
	if at, zeroFirst, ok := p.cut(); ok {
		here, zero := origin{tag: p.want, off: p.off}, origin{zero: true}
		if zeroFirst {
			return append(out, p.span(zero, 0, at), p.span(here, at, len(p.got))), true
		}
		return append(out, p.span(here, 0, at), p.span(zero, at, len(p.got))), true
	}
	if len(p.got) < copySize {
		return append(out, Span{From: p.off, To: p.end(), Class: Different}), false
	}
	return p.search(out, guess, guessed)
}

// search explains a piece that nothing simple explains.
func (p *piece) search(out []Span, guess origin, guessed bool) ([]Span, bool) {
	var c candidates
	c.add(p, origin{tag: p.want, off: p.off})
	c.add(p, origin{zero: true})
	if guessed {
		c.add(p, guess)
	}
	short := len(p.got) < 3*copySize // so short that no 24 bytes in a row may be left intact
	if short {
		for _, t := range p.also {
			c.add(p, origin{tag: t, off: p.off})
		}
	}
	if p.ask(&c) || short {
		var room [8]segment
		segs, ok := c.segments(len(p.got), room[:0])
		if !ok {
			known := c.n
			p.askGaps(&c, segs)
			for _, t := range p.also {
				c.add(p, origin{tag: t, off: p.off})
			}
			if c.n > known {
				segs, ok = c.segments(len(p.got), room[:0])
			}
		}
		if ok || c.strong(segs) > 0 {
			return p.tell(out, &c, segs)
		}
	}
	if o, ok := p.closest(&c); ok {
		return append(out, p.damaged(o, 0, len(p.got))), true
	}
	return append(out, Span{From: p.off, To: p.end(), Class: Foreign}), false
}

// ask adds to c whom the bytes of the piece name, and tells whether anybody,
// of those that were there before too, owns 24 of them in a row.
func (p *piece) ask(c *candidates) (owned bool) {
	n := len(p.got)
	for i := 0; i+copySize <= n; i += copySize {
		w := n // none: a shifted piece has a long side, there is no need to look everywhere
		if i%shiftStep == 0 {
			w = i
		}
		owned = p.askAt(c, i, w) || owned
	}
	// The end of the piece as well, if the steps of 24 have not come to it.
	owned = p.askAt(c, n-copySize, max(0, n-window)) || owned
	// A piece that is no whole sector is the first or the last of a range: there
	// is time to ask it at every byte.
	if owned || n < SectorSize && p.askGaps(c, []segment{{0, n, gap}}) {
		return true
	}
	if o, ok := p.vote(); ok {
		c.add(p, o)
	}
	if n >= 2*window { // then one side of a border is as long as a window
		return false
	}
	if o, ok := p.askShort(); ok {
		c.add(p, o)
		return true
	}
	return false
}

// askGaps is ask for the gaps between those who are known, at every byte: what
// lies between two borders need not reach where ask has looked.
func (p *piece) askGaps(c *candidates, segs []segment) (found bool) {
	for _, g := range segs {
		if g.who != gap {
			continue
		}
		for i := g.from; i+copySize <= g.to; i++ {
			before := c.n
			p.askAt(c, i, i)
			if c.n > before {
				found = true
				i += c.match[before].run(i)
			}
		}
	}
	return found
}

// askAt is ask for the 24 bytes at i and for the window at w.
func (p *piece) askAt(c *candidates, i, w int) bool {
	if c.owns(i) {
		return true
	}
	o, ok := p.named(i, int((p.off+int64(i))%SectorSize))
	if !ok && w+window <= len(p.got) {
		o, ok = p.shifted(w)
	}
	if ok {
		c.add(p, o)
	}
	return ok
}

// askShort is what can be done for a piece that may have no window.
func (p *piece) askShort() (o origin, ok bool) {
	n := len(p.got)
	for _, i := range [...]int{0, n - copySize} {
		if o, ok = p.anyPhase(i); ok {
			return o, true
		}
	}
	if n > 2*(copySize-1) {
		return origin{}, false
	}
	if o, ok = p.straddle(p.want); ok {
		return o, true
	}
	for _, t := range p.also {
		if o, ok = p.straddle(t); ok {
			return o, true
		}
	}
	return origin{}, false
}

// tolerable is how many bits of n bytes may be wrong for them to be Corrupt. Of
// unrelated data half are: that a quarter is enough by chance happens to 24
// bytes with a probability of 2^-38, and to more much less often.
func tolerable(n int) int { return 2 * n }

// closest is the origin of which the fewest bits are wrong; ok tells that they
// are few enough.
func (p *piece) closest(c *candidates) (best origin, ok bool) {
	least := tolerable(len(p.got)) + 1
	try := func(o origin) {
		if o.zero || o.off < 0 {
			return
		}
		if n, _ := p.wrong(o, 0, len(p.got), least); n < least {
			best, least, ok = o, n, true
		}
	}
	for _, o := range c.origins[:c.n] {
		try(o)
	}
	for _, t := range p.also {
		try(origin{tag: t, off: p.off})
	}
	return best, ok
}

func (p *piece) end() int64 { return p.off + int64(len(p.got)) }

// whole is the piece as bytes of o.
func (p *piece) whole(o origin) Span { return p.span(o, 0, len(p.got)) }

// span is bytes [from, to) of the piece as bytes of o.
func (p *piece) span(o origin, from, to int) Span {
	s := Span{From: p.off + int64(from), To: p.off + int64(to), Class: Zero}
	if o.zero {
		return s
	}
	s.Is, s.IsOff = o.tag, o.off+int64(from)
	switch {
	case o.tag == p.want && o.off == p.off:
		s.Class = Exact
	case o.tag.Seed != p.want.Seed || o.tag.Object != p.want.Object || o.off != p.off:
		s.Class = Misdirected
	case o.tag.Generation < p.want.Generation:
		s.Class = Older
	default:
		s.Class = Newer
	}
	return s
}

// damaged is bytes [from, to) of the piece as those of o with bits wrong, if
// any are: a tag of another seed that was held possible comes here intact.
func (p *piece) damaged(o origin, from, to int) Span {
	n, first := p.wrong(o, from, to, math.MaxInt)
	s := p.span(o, from, to)
	if n == 0 {
		return s
	}
	s.Class, s.BitsWrong, s.FirstWrong = Corrupt, int64(n), 8*p.off+int64(first)
	return s
}

// is tells whether the piece is made of bytes of o.
func (p *piece) is(o origin) bool {
	var made [SectorSize]byte
	lo, hi := p.make(&made, o)
	return lo == 0 && hi == len(p.got) && bytes.Equal(p.got, made[:hi])
}

// make sets made to what the piece would be if it were of o, as far as o
// reaches: from byte lo to before byte hi.
func (p *piece) make(made *[SectorSize]byte, o origin) (lo, hi int) {
	if o.zero {
		clear(made[:])
		return 0, len(p.got)
	}
	lo = int(min(max(0, -o.off), int64(len(p.got))))
	hi = int(max(int64(lo), min(int64(len(p.got)), MaxSize-o.off)))
	k := p.key
	if o.tag.Seed != p.want.Seed {
		other := keyOf(o.tag.Seed)
		k = &other
	}
	k.fill(made[lo:hi], o.tag, o.off+int64(lo))
	return lo, hi
}

// wrong counts the bits of bytes [from, to) that differ from those of o, where
// o has none all eight of a byte, and tells the first, counted from the
// beginning of the piece. It may stop counting above limit.
func (p *piece) wrong(o origin, from, to, limit int) (n, first int) {
	var made [SectorSize]byte
	lo, hi := p.make(&made, o)
	first = -1
	i := from
	if i >= lo {
		got, made := p.got[:min(hi, to)], made[:min(hi, to)]
		for ; i+8 <= len(got) && n <= limit; i += 8 {
			x := binary.LittleEndian.Uint64(got[i:]) ^ binary.LittleEndian.Uint64(made[i:])
			if first < 0 && x != 0 {
				first = 8*i + bits.TrailingZeros64(x)
			}
			n += bits.OnesCount64(x)
		}
	}
	for ; i < to && n <= limit; i++ {
		x := uint8(0xff)
		if i >= lo && i < hi {
			x = p.got[i] ^ made[i]
		}
		if first < 0 && x != 0 {
			first = 8*i + bits.TrailingZeros8(x)
		}
		n += bits.OnesCount8(x)
	}
	return n, first
}

// cut tells whether the piece is what was asked for before byte at and zeros
// from there on, as when a file was cut and extended, or the reverse.
func (p *piece) cut() (at int, zeroFirst, ok bool) {
	var made [SectorSize]byte
	p.make(&made, origin{tag: p.want, off: p.off})
	n := len(p.got)
	for at < n && p.got[at] == made[at] {
		at++
	}
	if at > 0 && len(bytes.TrimLeft(p.got[at:], "\x00")) == 0 {
		return at, false, true
	}
	for at = 0; at < n && p.got[at] == 0; {
		at++
	}
	return at, true, at > 0 && bytes.Equal(p.got[at:], made[at:n])
}
