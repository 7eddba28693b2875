package refstore

import (
	"strconv"
	"strings"
)

// Range is the one range of bytes that a get asks for, as RFC 9110 section
// 14.1.2 has it. The zero value asks for everything.
type Range struct {
	Set    bool  // false: everything
	Suffix bool  // the last Last bytes; First is not used
	First  int64 // offset of the first byte
	Last   int64 // offset of the last byte, or how many bytes; -1: to the end
}

// ParseRange reads the value of a Range header; an empty one asks for
// everything. Several ranges and units other than bytes are ErrNotImplemented,
// what is no range at all is ErrInvalidRange: the RFC lets a server ignore
// such a header, but then the client would get what it did not ask for.
func ParseRange(header string) (Range, *Error) {
	if header == "" {
		return Range{}, nil
	}
	unit, set, found := strings.Cut(header, "=")
	if !found {
		return Range{}, ErrInvalidRange.because("the Range header is not of the form bytes=FIRST-LAST")
	}
	if !strings.EqualFold(strings.TrimSpace(unit), "bytes") {
		return Range{}, ErrNotImplemented.because("the only unit of ranges is bytes")
	}
	if strings.Contains(set, ",") {
		return Range{}, ErrNotImplemented.because("one range a request")
	}
	first, last, found := strings.Cut(strings.Trim(set, " \t"), "-")
	if !found || first == "" && last == "" {
		return Range{}, ErrInvalidRange
	}
	r := Range{Set: true, Suffix: first == "", Last: -1}
	ok := true
	if first != "" {
		r.First, ok = offset(first)
	}
	if ok && last != "" {
		r.Last, ok = offset(last)
	}
	if !ok || !r.Suffix && last != "" && r.Last < r.First {
		return Range{}, ErrInvalidRange
	}
	return r, nil
}

// offset reads digits only: ParseInt would take a sign as well.
func offset(s string) (int64, bool) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// Of is the range [from, to) of an object of size bytes. A range that begins
// behind the object, or a suffix of nothing, is ErrInvalidRange; what reaches
// beyond the end is cut there.
func (r Range) Of(size int64) (from, to int64, err *Error) {
	switch {
	case !r.Set:
		return 0, size, nil
	case r.Suffix:
		if r.Last <= 0 || size == 0 {
			return 0, 0, ErrInvalidRange
		}
		return max(size-r.Last, 0), size, nil
	case r.First >= size:
		return 0, 0, ErrInvalidRange
	case r.Last < 0 || r.Last >= size:
		return r.First, size, nil
	default:
		return r.First, r.Last + 1, nil
	}
}
