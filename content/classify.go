package content

// Classify appends to spans what got is, where the bytes of want from offset
// off on were expected, and returns them. The spans appended cover
// [off, off+len(got)) exactly, in order, and no two neighbours could be one;
// none are appended if got is empty, and none are joined with those that were
// there.
//
// The tags in also are those that the caller holds possible. Whole sectors name
// themselves and need none; they serve pieces below 24 bytes, and sectors so
// damaged that they name nobody. They may be of other seeds. Each costs time
// for every sector that is foreign or badly damaged.
//
// Classify panics where Fill does. It allocates only to let spans grow.
func Classify(spans []Span, got []byte, off int64, want Tag, also ...Tag) []Span {
	mustHold(off, len(got))
	j := judge{want: want, key: keyOf(want.Seed), also: also, spans: spans}
	j.run(got, off)
	j.finish()
	return j.spans
}

// judge classifies consecutive bytes. It remembers the span that is still
// growing, because its continuation is the best guess for what comes next, and
// at the very beginning a piece that only its right neighbour may explain.
type judge struct {
	want Tag
	key  key
	also []Tag

	last  Span // grows; empty at the beginning
	spans []Span
	limit int // of spans kept; 0: none

	first    [2*copySize - 2]byte // the piece that waits
	firstLen int
	firstOff int64

	dropped int64 // spans above the limit
	bytes   [classes]int64
}

// run classifies got. All of it but its beginning and its end must be whole
// sectors, and between two calls there is a border of sectors.
func (j *judge) run(got []byte, off int64) {
	for len(got) > 0 {
		if n := j.key.equal(got, j.want, off); n > 0 {
			j.settle(nil)
			j.add(Span{From: off, To: off + int64(n), Is: j.want, IsOff: off})
			got, off = got[n:], off+int64(n)
			continue
		}
		n := min(len(got), SectorSize-int(off%SectorSize))
		j.piece(got[:n], off)
		got, off = got[n:], off+int64(n)
	}
}

// piece classifies a part of one sector that is not Exact as a whole.
func (j *judge) piece(got []byte, off int64) {
	var room [4]Span
	begun := j.last.To > j.last.From
	guess, guessed := origin{}, false
	if begun {
		guess, guessed = j.last.origin(off)
	}
	p := piece{key: &j.key, want: j.want, also: j.also, got: got, off: off}
	found, named := p.judge(room[:0], guess, guessed)
	if !begun && j.firstLen == 0 && !named && len(got) <= len(j.first) {
		j.firstLen, j.firstOff = copy(j.first[:], got), off
		return
	}
	j.settle(found)
	for _, s := range found {
		j.add(s)
	}
}

// settle classifies the piece that waits, now that its neighbour is known: the
// first of right, or Exact if there is none.
func (j *judge) settle(right []Span) {
	if j.firstLen == 0 {
		return
	}
	guess, guessed := origin{}, false
	if len(right) > 0 {
		guess, guessed = right[0].origin(j.firstOff)
	}
	var room [4]Span
	p := piece{key: &j.key, want: j.want, also: j.also, got: j.first[:j.firstLen], off: j.firstOff}
	found, _ := p.judge(room[:0], guess, guessed)
	j.firstLen = 0
	for _, s := range found {
		j.add(s)
	}
}

// add takes a span that begins where the last one ended.
func (j *judge) add(s Span) {
	j.bytes[s.Class] += s.To - s.From
	if j.last.To > j.last.From {
		if j.last.extend(s) {
			return
		}
		j.keep(j.last)
	}
	j.last = s
}

func (j *judge) keep(s Span) {
	if j.limit > 0 && len(j.spans) >= j.limit {
		j.dropped++
		return
	}
	j.spans = append(j.spans, s)
}

// finish ends the bytes: what waited or grew is kept as it is.
func (j *judge) finish() {
	j.settle(nil)
	if j.last.To > j.last.From {
		j.keep(j.last)
	}
	j.last = Span{}
}
