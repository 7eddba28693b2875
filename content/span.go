package content

import "fmt"

// Class says what bytes are, measured against the bytes that were asked for.
type Class uint8

// The classes.
const (
	Exact       Class = iota // what was asked for
	Older                    // the same place of the same object, of a generation before
	Newer                    // the same place of the same object, of a generation after
	Misdirected              // of another object or another place, whatever the generation
	Corrupt                  // those of Span.Is with a few bits wrong: at most one in four
	Zero                     // all zero
	Foreign                  // at least 24 bytes that nobody made under this seed
	Different                // not what was asked for; too few to say more
	classes
)

// String is the class in lower case.
func (c Class) String() string {
	if c >= classes {
		return fmt.Sprintf("class %d", uint8(c))
	}
	return [classes]string{"exact", "older", "newer", "misdirected", "corrupt", "zero", "foreign", "different"}[c]
}

// Span is a run of bytes of one class.
type Span struct {
	From, To int64 // offsets in the object asked for, To exclusive
	Class    Class

	// Whose bytes these are, and the offset in that object of the byte at
	// From. For Exact that is what was asked for, for Corrupt what they are
	// closest to. Zero for Zero, Foreign and Different.
	Is    Tag
	IsOff int64

	// For Corrupt: how many bits differ from those of Is, and the first of
	// them, counted from the beginning of the object asked for; bit 8*i+b is
	// the one of value 1<<b in byte i.
	BitsWrong  int64
	FirstWrong int64
}

// String is for people.
func (s Span) String() string {
	place := fmt.Sprintf("[%d:%d] %s", s.From, s.To, s.Class)
	switch s.Class {
	case Older, Newer, Misdirected:
		return fmt.Sprintf("%s: %s from offset %d", place, s.Is, s.IsOff)
	case Corrupt:
		return fmt.Sprintf("%s: %d bits wrong of %s from offset %d, the first is bit %d of byte %d",
			place, s.BitsWrong, s.Is, s.IsOff, s.FirstWrong%8, s.FirstWrong/8)
	default:
		return place
	}
}

// extend makes next part of s if it continues it.
func (s *Span) extend(next Span) bool {
	if s.To != next.From || s.Class != next.Class || s.Is != next.Is {
		return false
	}
	switch s.Class {
	case Exact, Older, Newer, Misdirected, Corrupt:
		if next.IsOff-s.IsOff != next.From-s.From {
			return false
		}
	}
	s.To = next.To
	s.BitsWrong += next.BitsWrong // next has the greater FirstWrong
	return true
}

// origin is an explanation of the bytes of a piece: they are those of tag, the
// first of them from offset off, or they are zeros. An origin that begins
// inside the piece has a negative off.
type origin struct {
	tag  Tag
	off  int64
	zero bool
}

// origin is how s would explain a piece at offset at, before or after it.
func (s Span) origin(at int64) (o origin, ok bool) {
	switch s.Class {
	case Zero:
		return origin{zero: true}, true
	case Foreign, Different:
		return origin{}, false
	}
	return origin{tag: s.Is, off: s.IsOff + at - s.From}, true
}
