package owed

import (
	"encoding/binary"
	"fmt"

	"github.com/seed-1b600011/assay/content"
	"github.com/seed-1b600011/assay/history"
)

// Seen is what was found under a name: of an object or a file its size and its
// content. The zero value is absence. Bytes that no span covers were not looked
// at, and nothing is concluded about them.
type Seen struct {
	Present bool
	Dir     bool           // a directory; the rest is zero then
	Size    int64          // in bytes
	Spans   []content.Span // in order, as content.Classify tells them
	Err     string         // why it could not be read; the rest is zero then
}

const (
	seenVersion = 1
	seenPresent = 1
	seenDir     = 2
	spanBytes   = 1 + 10 + 8 + 8 + 5 + 10 + 10 + 10 // at most, encoded
	spansMax    = (history.MaxDetail - 4096) / spanBytes
)

// Record writes s into an Observed record; the caller sets what else it needs.
// One generation of an object (its content.Tag.Object) throughout is told by To
// (the size), Generation, and 16 bytes of Detail: the tag's Seed and Object.
// Absence is told by none of these. Anything else is encoded in Detail, spans
// that do not fit left out.
func (s Seen) Record(object uint64) history.Record {
	r := history.Record{Phase: history.Observed}
	if generation, whole := s.generation(object); whole && s.Err == "" {
		r.To, r.Generation = s.Size, generation
		r.Detail = binary.LittleEndian.AppendUint64(r.Detail, s.Spans[0].Is.Seed)
		r.Detail = binary.LittleEndian.AppendUint64(r.Detail, object)
		return r
	}
	if !s.Present && s.Err == "" && s.Size == 0 && len(s.Spans) == 0 && !s.Dir {
		return r
	}
	r.Detail = s.encode()
	return r
}

func (s Seen) encode() []byte {
	var flags byte
	if s.Present {
		flags |= seenPresent
	}
	if s.Dir {
		flags |= seenDir
	}
	b := []byte{seenVersion, flags}
	b = binary.AppendVarint(b, s.Size)
	why := s.Err[:min(len(s.Err), 1024)]
	b = append(binary.AppendUvarint(b, uint64(len(why))), why...)
	spans := s.Spans[:min(len(s.Spans), spansMax)]
	b = binary.AppendUvarint(b, uint64(len(spans)))
	var at int64
	for _, p := range spans {
		b = append(b, byte(p.Class))
		b = binary.AppendVarint(b, p.From-at)
		b = binary.AppendVarint(b, p.To-p.From)
		at = p.To
		b = binary.LittleEndian.AppendUint64(b, p.Is.Seed)
		b = binary.LittleEndian.AppendUint64(b, p.Is.Object)
		b = binary.AppendUvarint(b, uint64(p.Is.Generation))
		b = binary.AppendVarint(b, p.IsOff-p.From)
		b = binary.AppendVarint(b, p.BitsWrong)
		b = binary.AppendVarint(b, p.FirstWrong)
	}
	return b
}

// SeenIn reads what Record wrote. Of one generation throughout, the class comes
// back as Exact, whatever had been asked for.
func SeenIn(r history.Record) (Seen, error) {
	d := decoder{b: r.Detail}
	if r.Generation != 0 {
		is := content.Tag{Seed: d.uint64(), Object: d.uint64(), Generation: r.Generation}
		if d.bad || len(d.b) > 0 || r.To <= 0 {
			return Seen{}, fmt.Errorf("owed: what was seen: damaged record")
		}
		return Seen{Present: true, Size: r.To, Spans: []content.Span{{To: r.To, Is: is}}}, nil
	}
	if len(r.Detail) == 0 {
		return Seen{}, nil
	}
	if v := d.byte(); v != seenVersion {
		return Seen{}, fmt.Errorf("owed: what was seen: version %d is not %d", v, seenVersion)
	}
	flags := d.byte()
	s := Seen{Present: flags&seenPresent != 0, Dir: flags&seenDir != 0, Size: d.varint()}
	s.Err = string(d.take(d.uvarint()))
	n := d.uvarint()
	if n > uint64(len(d.b)) { // each span takes more than a byte
		d.bad, n = true, 0
	}
	var at int64
	for range n {
		var p content.Span
		p.Class = content.Class(d.byte())
		p.From = at + d.varint()
		p.To = p.From + d.varint()
		d.bad = d.bad || p.From < at || p.To < p.From || p.To > content.MaxSize
		at = p.To
		p.Is.Seed, p.Is.Object = d.uint64(), d.uint64()
		g := d.uvarint()
		p.Is.Generation = uint32(g)
		d.bad = d.bad || g > 1<<32-1
		p.IsOff = p.From + d.varint()
		d.bad = d.bad || p.IsOff < 0 || p.IsOff > content.MaxSize-(p.To-p.From)
		p.BitsWrong, p.FirstWrong = d.varint(), d.varint()
		s.Spans = append(s.Spans, p)
	}
	if d.bad || len(d.b) > 0 || s.Size < 0 {
		return Seen{}, fmt.Errorf("owed: what was seen: damaged record")
	}
	return s, nil
}

// generation is the one that fills s, in place, of the object.
func (s Seen) generation(object uint64) (g uint32, whole bool) {
	if !s.Present || s.Dir || s.Size == 0 || len(s.Spans) == 0 {
		return 0, false
	}
	var at int64
	for i, p := range s.Spans {
		in, ok := inPlace(p, object)
		if !ok || i > 0 && (in != g || p.Is.Seed != s.Spans[0].Is.Seed) || p.From != at {
			return 0, false
		}
		g, at = in, p.To
	}
	return g, at == s.Size && g != 0
}

// inPlace is the generation of object that p is, where p is what belongs there.
func inPlace(p content.Span, object uint64) (g uint32, ok bool) {
	switch p.Class {
	case content.Exact, content.Older, content.Newer, content.Misdirected:
		return p.Is.Generation, p.Is.Object == object && p.IsOff == p.From
	}
	return 0, false
}

// decoder reads numbers from b; after damage it gives zeros.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	out := d.b[:n]
	d.b = d.b[n:]
	return out
}

func (d *decoder) byte() byte {
	if b := d.take(1); len(b) == 1 {
		return b[0]
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	if b := d.take(8); len(b) == 8 {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}
