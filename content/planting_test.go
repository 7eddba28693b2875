package content

import (
	"bytes"
	"fmt"
	"math/bits"
	"os"
	"slices"
	"testing"

	"github.com/seed-1b600011/assay/seed"
)

// draws hands out the draws of a seed in turn; a test may, for it has no part
// that can be left out.
type draws struct {
	s seed.Seed
	i uint64
}

func (d *draws) below(n int) int      { d.i++; return int(d.s.Below(d.i, uint64(n))) }
func (d *draws) word() uint64         { d.i++; return d.s.At(d.i) }
func (d *draws) one(in int) bool      { return d.below(in) == 0 }
func (d *draws) upTo(n int) int       { return d.below(n + 1) }
func (d *draws) between(a, b int) int { return a + d.upTo(b-a) }

// part is a run of the bytes planted, [from, to) counted from the first: those
// of an origin, its off being that of the part's first byte, or foreign ones.
type part struct {
	from, to int
	is       origin
	foreign  bool
}

// planting is a range of an object in which something was planted.
type planting struct {
	kind  string
	want  Tag
	also  []Tag
	off   int64
	got   []byte
	parts []part // cover got
	flips []int  // bits of got, in order
}

// put makes bytes [from, to) those of o, whose offset is that of byte from.
func (p *planting) put(from, to int, o origin) {
	if from >= to {
		return
	}
	if o.zero {
		clear(p.got[from:to])
	} else {
		Fill(p.got[from:to], o.tag, o.off)
	}
	p.mark(part{from: from, to: to, is: o})
}

func (p *planting) mark(n part) {
	var parts []part
	for _, q := range p.parts {
		if l := q; l.from < n.from {
			l.to = min(l.to, n.from)
			parts = append(parts, l)
		}
		if r := q; r.to > n.to {
			if k := max(r.from, n.to); k > r.from {
				r.is.off += int64(k - r.from)
				r.from = k
			}
			parts = append(parts, r)
		}
	}
	parts = append(parts, n)
	slices.SortFunc(parts, func(a, b part) int { return a.from - b.from })
	p.parts = parts
}

var kinds = []string{"clean", "flips", "swap", "generations", "shift", "foreign", "zeros"}

func plant(i uint64, s seed.Seed) *planting {
	d := &draws{s: s.Index(i)}
	p := &planting{kind: kinds[i%uint64(len(kinds))]}
	u := float64(d.word()>>11) / (1 << 53)
	size := int(float64(uint64(1)<<int(20*u*u*u))*(1+float64(d.word()>>11)/(1<<53))) - 1
	if p.kind != "clean" {
		size = max(size, 1)
	}
	switch d.below(4) {
	case 0:
	case 1:
		p.off = int64(d.below(3000))
	case 2:
		p.off = int64(d.below(1<<30)) * SectorSize
	case 3:
		p.off = int64(d.word() >> 8)
	}
	p.want = Tag{Seed: d.word(), Object: d.word(), Generation: uint32(d.between(3, 9))}
	if d.one(2) {
		p.want.Seed, p.want.Object = p.want.Seed&7, p.want.Object&7
	}
	if d.one(2) {
		for g := p.want.Generation - 3; g < p.want.Generation; g++ {
			p.also = append(p.also, Tag{p.want.Seed, p.want.Object, g})
		}
	}
	p.got = make([]byte, size)
	p.put(0, size, origin{tag: p.want, off: p.off})
	switch p.kind {
	case "flips":
		p.plantFlips(d)
	case "swap":
		p.plantSwap(d)
	case "generations":
		p.plantGenerations(d)
	case "shift":
		p.plantShift(d)
	case "foreign":
		from := d.below(size)
		to := d.between(from+1, size)
		if d.one(3) {
			from, to = 0, size
		}
		if d.one(2) { // what another seed has made
			Fill(p.got[from:to], Tag{p.want.Seed ^ 1, p.want.Object, p.want.Generation}, p.off+int64(from))
		} else {
			for j := from; j < to; j++ {
				p.got[j] = byte(d.word())
			}
		}
		p.mark(part{from: from, to: to, foreign: true})
	case "zeros":
		from, to := 0, size
		if !d.one(3) {
			from = d.below(size)
		}
		if !d.one(3) {
			to = d.between(from+1, size)
		}
		p.put(from, to, origin{zero: true})
	}
	return p
}

func (p *planting) plantFlips(d *draws) {
	from, to := 0, len(p.got)
	if d.one(2) { // all in one place
		from = d.below(to)
		to = min(to, from+d.between(1, 64))
	}
	for n := min(d.between(1, 48), 8*(to-from)); n > 0; n-- {
		if bit := 8*from + d.below(8*(to-from)); !slices.Contains(p.flips, bit) {
			p.flips = append(p.flips, bit)
			p.got[bit/8] ^= 1 << (bit % 8)
		}
	}
	slices.Sort(p.flips)
}

func (p *planting) plantSwap(d *draws) {
	first := int((SectorSize - p.off%SectorSize) % SectorSize) // of the first whole sector
	sectors := (len(p.got) - first) / SectorSize
	if sectors < 2 { // then with another object
		p.put(0, len(p.got), origin{tag: Tag{p.want.Seed, p.want.Object ^ 1, uint32(d.below(9))}, off: p.off})
		return
	}
	n := d.between(1, sectors/2)
	a := d.upTo(sectors - 2*n)
	b := d.between(a+n, sectors-n)
	a, b, n = first+a*SectorSize, first+b*SectorSize, n*SectorSize
	p.put(a, a+n, origin{tag: p.want, off: p.off + int64(b)})
	p.put(b, b+n, origin{tag: p.want, off: p.off + int64(a)})
}

func (p *planting) plantGenerations(d *draws) {
	border := int((SectorSize - p.off%SectorSize) % SectorSize)
	for from := 0; from < len(p.got); {
		to := len(p.got)
		if !d.one(6) {
			to = min(to, border+SectorSize*d.below(9))
		}
		g := p.want.Generation - 3 + uint32(d.below(7))
		p.put(from, to, origin{tag: Tag{p.want.Seed, p.want.Object, g}, off: p.off + int64(from)})
		for border <= to {
			border += SectorSize
		}
		from = to
	}
}

func (p *planting) plantShift(d *draws) {
	from := 0
	if d.one(2) {
		from = d.below(len(p.got))
	}
	t := p.want
	if d.one(3) {
		t.Object ^= d.word() | 1
		t.Generation = uint32(d.word())
	}
	by := int64(d.between(1, 2000))
	if d.one(3) {
		by = int64(d.word() >> 9)
	}
	to := p.off + int64(from) - by
	if d.one(2) || to < 0 {
		to = p.off + int64(from) + by
	}
	p.put(from, len(p.got), origin{tag: t, off: min(to, MaxSize-int64(len(p.got)))})
}

// count is how many plantings a test makes.
func count(small, full uint64) uint64 {
	if os.Getenv("ASSAY_FULL") == "1" {
		return full
	}
	return small
}

// TestPlantings plants one kind of damage after the other and holds what
// Classify says against what was planted.
func TestPlantings(t *testing.T) {
	s := seed.Seed(20240917)
	var spans []Span
	var size int64
	n := count(1_400, 100_002)
	for i := range n {
		p := plant(i, s)
		size += int64(len(p.got))
		spans = Classify(spans[:0], p.got, p.off, p.want, p.also...)
		err := p.sound(spans)
		if err == nil {
			err = p.complete(spans)
		}
		if err != nil {
			t.Errorf("planting %d, %s, %d bytes at %d (phase %d): %v\nsaid %.600v\nplanted %+.600v, %d flips",
				i, p.kind, len(p.got), p.off, p.off%SectorSize, err, spans, fmt.Sprint(p.parts), len(p.flips))
			if t.Failed() && i > n/2 {
				t.FailNow()
			}
		}
	}
	t.Logf("%d plantings of %d kinds, %d MiB", n, len(kinds), size>>20)
}

// sound tells whether all that spans say is literally true.
func (p *planting) sound(spans []Span) error {
	at := p.off
	var made []byte
	for i, s := range spans {
		if s.From != at || s.To <= s.From {
			return fmt.Errorf("%v does not begin at %d or is empty", s, at)
		}
		at = s.To
		if i > 0 {
			if joined := spans[i-1]; joined.extend(s) {
				return fmt.Errorf("%v and %v are one", spans[i-1], s)
			}
		}
		got := p.got[s.From-p.off : s.To-p.off]
		made = append(made[:0], got...)
		same := s.Is.Seed == p.want.Seed && s.Is.Object == p.want.Object && s.IsOff == s.From
		literal := false
		switch s.Class {
		case Exact:
			literal = same && s.Is == p.want
		case Older:
			literal = same && s.Is.Generation < p.want.Generation
		case Newer:
			literal = same && s.Is.Generation > p.want.Generation
		case Misdirected:
			literal = !same
		case Corrupt:
			literal = true
		default:
			literal = s.Is == Tag{} && s.IsOff == 0
		}
		if literal && s.Class <= Corrupt {
			Fill(made, s.Is, s.IsOff)
		}
		switch s.Class {
		case Corrupt:
			first, n := int64(-1), int64(0)
			for j := range got {
				x := got[j] ^ made[j]
				if x != 0 && first < 0 {
					first = 8*(s.From+int64(j)) + int64(bits.TrailingZeros8(x))
				}
				n += int64(bits.OnesCount8(x))
			}
			literal = n > 0 && n == s.BitsWrong && first == s.FirstWrong
		case Zero:
			clear(made)
		}
		if s.Class != Corrupt {
			literal = literal && bytes.Equal(got, made) && s.BitsWrong == 0 && s.FirstWrong == 0
		}
		if (s.Class == Foreign || s.Class == Different) && Equal(got, p.want, s.From) {
			literal = false
		}
		if !literal {
			return fmt.Errorf("%v is not true", s)
		}
	}
	if at != p.off+int64(len(p.got)) {
		return fmt.Errorf("the spans end at %d", at)
	}
	return nil
}

// complete tells whether spans, known to be sound, name all that was planted.
func (p *planting) complete(spans []Span) error {
	for from := 0; from < len(p.got); {
		to := min(len(p.got), from+SectorSize-int((p.off+int64(from))%SectorSize))
		var in []part
		for _, q := range p.parts {
			if q.from < to && q.to > from {
				k := max(q.from, from)
				q.is.off += int64(k - q.from)
				q.from, q.to = k, min(q.to, to)
				in = append(in, q)
			}
		}
		for len(spans) > 0 && spans[0].To <= p.off+int64(from) {
			spans = spans[1:]
		}
		if err := p.piece(spans, in, from, to); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// piece is complete for bytes [from, to), a part of one sector, in which in
// was planted.
func (p *planting) piece(spans []Span, in []part, from, to int) error {
	for _, b := range p.flips {
		if b/8 >= from && b/8 < to {
			return p.flipped(spans, from, to)
		}
	}
	owned := true // all of the piece is of somebody, in parts that can be told
	for _, q := range in {
		owned = owned && !q.foreign && (len(in) == 1 || longest(q) >= window)
	}
	for _, q := range in {
		if n := longest(q); n < copySize || len(in) > 1 && n < window {
			continue // being sound is all that is asked
		}
		missed := 0
		for b := q.from; b < q.to; {
			s := at(spans, p.off+int64(b))
			end := min(q.to, int(s.To-p.off))
			if !p.names(s, q, b, owned) {
				missed += end - b
			}
			b = end
		}
		// At a border bytes may by chance be what the neighbour would have there.
		if missed > 0 && (len(in) == 1 || missed > 3) {
			return fmt.Errorf("bytes [%d:%d] are not said to be what was planted, in piece [%d:%d]", q.from, q.to, from, to)
		}
	}
	return nil
}

// names tells whether s says of byte b what was planted there with q.
func (p *planting) names(s Span, q part, b int, owned bool) bool {
	corrupt := s.Class == Corrupt && !owned
	switch {
	case q.foreign:
		return corrupt || s.Class == Foreign
	case q.is.zero:
		return corrupt || s.Class == Zero
	}
	return (corrupt || s.Class < Corrupt) && s.Is == q.is.tag &&
		s.IsOff+p.off+int64(b)-s.From == q.is.off+int64(b-q.from)
}

// longest is how many bytes of q in a row are of one sector.
func longest(q part) int {
	n := q.to - q.from
	if q.foreign || q.is.zero {
		return n
	}
	before := min(n, SectorSize-int(q.is.off%SectorSize))
	return max(before, n-before)
}

// flipped is piece for bytes of want with bits flipped.
func (p *planting) flipped(spans []Span, from, to int) error {
	s := at(spans, p.off+int64(from))
	want := Corrupt
	if to-from < copySize {
		want = Different
	}
	if s.Class == want && (want == Different || s.Is == p.want && s.IsOff == s.From) {
		return nil
	}
	if want == Different && s.Class != Exact {
		return nil // what it is said to be it is: too few bytes for more
	}
	// Flips may make zeros of all bytes from somewhere on, or up to somewhere:
	// then they cannot be told from a file that was cut there.
	first, last := from, to-1
	made := make([]byte, to-from)
	Fill(made, p.want, p.off+int64(from))
	for p.got[first] == made[first-from] {
		first++
	}
	for p.got[last] == made[last-from] {
		last--
	}
	tail := bytes.TrimLeft(p.got[first:to], "\x00")
	head := bytes.TrimLeft(p.got[from:last+1], "\x00")
	if len(tail) == 0 || len(head) == 0 {
		return nil
	}
	return fmt.Errorf("%v has flipped bits", s)
}

func at(spans []Span, off int64) Span {
	for _, s := range spans {
		if s.To > off {
			return s
		}
	}
	return Span{}
}
