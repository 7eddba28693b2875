package content

import (
	"fmt"
	"slices"
	"testing"
)

var (
	now    = Tag{Seed: 5, Object: 77, Generation: 4}
	before = Tag{Seed: 5, Object: 77, Generation: 3}
	after  = Tag{Seed: 5, Object: 77, Generation: 5}
	other  = Tag{Seed: 5, Object: 78, Generation: 9}
)

// build puts bytes together: each part is n bytes of an origin.
type build struct {
	n    int
	tag  Tag   // zeros if it is zero
	from int64 // offset in tag
}

func built(parts ...build) (b []byte) {
	for _, p := range parts {
		at := len(b)
		b = append(b, make([]byte, p.n)...)
		if p.tag != (Tag{}) {
			Fill(b[at:], p.tag, p.from)
		}
	}
	return b
}

func TestClassify(t *testing.T) {
	flip := func(b []byte, bitsOf ...int) []byte {
		for _, bit := range bitsOf {
			b[bit/8] ^= 1 << (bit % 8)
		}
		return b
	}
	for _, c := range []struct {
		name string
		got  []byte
		off  int64
		also []Tag
		want string
	}{
		{"nothing", nil, 9, nil, ""},
		{"one byte", built(build{1, now, 511}), 511, nil, "511-512 exact"},
		{"a whole range", built(build{5000, now, 3}), 3, nil, "3-5003 exact"},
		{"a file cut and extended", built(build{700, now, 0}, build{n: 900}), 0, nil, "0-700 exact, 700-1600 zero"},
		{"cut one byte after a border", built(build{513, now, 0}, build{n: 600}), 0, nil, "0-513 exact, 513-1113 zero"},
		{"cut one byte before a border", built(build{511, now, 0}, build{n: 1}), 0, nil, "0-511 exact, 511-512 zero"},
		{"written from the middle on", built(build{n: 600}, build{700, now, 600}), 0, nil, "0-600 zero, 600-1300 exact"},
		{"a hole in a sector", built(build{100, now, 0}, build{n: 100}, build{312, now, 200}), 0, nil, "0-100 exact, 100-200 zero, 200-512 exact"},
		{"short zeros", make([]byte, 5), 100, nil, "100-105 zero"},
		{"a short file cut and extended", built(build{4, now, 0}, build{n: 6}), 0, nil, "0-4 exact, 4-10 zero"},
		{"a short file written from the middle on", built(build{n: 6}, build{4, now, 6}), 0, nil, "0-6 zero, 6-10 exact"},
		{"short and wrong", flip(built(build{10, now, 0}), 7), 0, nil, "0-10 different"},
		{"short and older", built(build{10, before, 0}), 0, nil, "0-10 different"},
		{"short and known to be older", built(build{10, before, 0}), 0, []Tag{other, before}, "0-10 older 3"},
		{"short ends named by what is between", built(build{532, before, 502}), 502, nil, "502-1034 older 3"},
		{"short ends of shifted data", built(build{532, other, 90_001}), 502, nil, "502-1034 misdirected 9@90001"},
		{"older and newer sectors", built(build{512, before, 0}, build{1024, after, 512}), 0, nil, "0-512 older 3, 512-1536 newer 5"},
		{"24 bytes", built(build{24, before, 1}), 1, nil, "1-25 older 3"},
		{"24 bytes shifted", built(build{24, now, 4001}), 1, nil, "1-25 misdirected 4@4001"},
		{"24 bytes across a border, near", built(build{24, now, 1020}), 1, nil, "1-25 misdirected 4@1020"},
		{"24 bytes, the last across a border", built(build{24, now, 1001}), 1, nil, "1-25 misdirected 4@1001"},
		{"24 bytes, all but the first across a border", built(build{24, now, 1023}), 1, nil, "1-25 misdirected 4@1023"},
		{"24 bytes across a border, held possible", built(build{24, before, 1020}), 1, []Tag{before}, "1-25 misdirected 3@1020"},
		{"24 bytes across a border, far away", built(build{24, now, 102_400 - 12}), 1, nil, "1-25 foreign"},
		{"another place", built(build{1024, now, 51200}), 0, nil, "0-1024 misdirected 4@51200"},
		{"another generation of another place", built(build{1024, before, 51200}), 0, nil, "0-1024 misdirected 3@51200"},
		{"another object", built(build{1024, other, 0}), 0, nil, "0-1024 misdirected 9@0"},
		{"another seed", built(build{1024, Tag{6, 77, 4}, 0}), 0, nil, "0-1024 foreign"},
		{"another seed, held possible", built(build{1024, Tag{6, 77, 4}, 0}), 0, []Tag{{6, 77, 4}}, "0-1024 misdirected 4@0"},
		{"shifted by one", built(build{2048, now, 1}), 0, nil, "0-2048 misdirected 4@1"},
		{"shifted forward from the beginning", built(build{n: 7}, build{2041, now, 0}), 0, nil, "0-7 zero, 7-2048 misdirected 4@0"},
		{"torn in a sector", built(build{200, now, 0}, build{824, before, 200}), 0, nil, "0-200 exact, 200-1024 older 3"},
		{"torn near the end of a sector", built(build{505, now, 0}, build{519, before, 505}), 0, []Tag{before}, "0-505 exact, 505-1024 older 3"},
		{"three generations in a sector", built(build{100, after, 0}, build{100, before, 100}, build{312, now, 200}), 0, nil, "0-100 newer 5, 100-200 older 3, 200-512 exact"},
		{"one bit", flip(built(build{1536, now, 0}), 8*700+3), 0, nil, "0-512 exact, 512-1024 corrupt 4@512 1 bits from 5603, 1024-1536 exact"},
		{"bits in neighbours", flip(built(build{1536, now, 512}), 8*600, 8*601, 8*20+1), 512, nil, "512-1536 corrupt 4@512 3 bits from 4257, 1536-2048 exact"},
		{"a bit of an older sector", flip(built(build{512, before, 0}), 900), 0, nil, "0-512 corrupt 3@0 1 bits from 900"},
		{"a bit of shifted data", flip(built(build{512, other, 1000}), 900), 0, nil, "0-512 corrupt 9@1000 1 bits from 900"},
		{"a bit of one of two generations", flip(built(build{256, now, 0}, build{256, before, 256}), 8*300), 0, nil, "0-256 exact, 256-512 corrupt 3@256 1 bits from 2400"},
		{"garbage in one of two generations", flip(built(build{256, now, 0}, build{256, before, 256}), span(8*300, 8*302)...), 0, nil, "0-256 exact, 256-512 corrupt 3@256 16 bits from 2400"},
		{"shifted end of a sector, across a border", built(build{447, now, 0}, build{65, now, 10_206}), 0, nil, "0-447 exact, 447-512 misdirected 4@10206"},
		{"shifted end of a range, across a border", built(build{1, now, 369}, build{75, now, 10_196}), 369, nil, "369-370 exact, 370-445 misdirected 4@10196"},
		{"foreign end of a sector", built(build{100, now, 0}, build{924, Tag{9, 9, 9}, 0}), 0, nil, "0-100 exact, 100-1024 foreign"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := brief(Classify(nil, c.got, c.off, now, c.also...)); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

// span is the numbers from a to before b.
func span(a, b int) (n []int) {
	for ; a < b; a++ {
		n = append(n, a)
	}
	return n
}

// TestClassifyZeroTag: the zero tag is a tag like any other, and no guess.
func TestClassifyZeroTag(t *testing.T) {
	got := make([]byte, 10)
	Fill(got, Tag{}, 0)
	for _, c := range []struct {
		want Tag
		is   string
	}{{now, "0-10 different"}, {Tag{}, "0-10 exact"}, {Tag{Generation: 1}, "0-10 different"}} {
		if is := brief(Classify(nil, got, 0, c.want)); is != c.is {
			t.Errorf("wanted %s: %s", c.want, is)
		}
	}
}

// brief leaves out what the reader of a table knows.
func brief(spans []Span) (text string) {
	for i, s := range spans {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%d-%d %s", s.From, s.To, s.Class)
		switch s.Class {
		case Older, Newer:
			text += fmt.Sprintf(" %d", s.Is.Generation)
		case Misdirected, Corrupt:
			text += fmt.Sprintf(" %d@%d", s.Is.Generation, s.IsOff)
		}
		if s.Class == Corrupt {
			text += fmt.Sprintf(" %d bits from %d", s.BitsWrong, s.FirstWrong)
		}
	}
	return text
}

// TestClassifyFlipsEverywhere: no 24 bytes in a row are left intact, of a
// generation that nobody expected; the vote names it.
func TestClassifyFlipsEverywhere(t *testing.T) {
	got := built(build{512, before, 0})
	for i := 0; i < 512; i += 11 {
		got[i] ^= 1 << (i % 8)
	}
	if is := brief(Classify(nil, got, 0, now)); is != "0-512 corrupt 3@0 47 bits from 0" {
		t.Error(is)
	}
}

func TestClassifyAppends(t *testing.T) {
	kept := Span{From: 0, To: 512, Is: now}
	spans := Classify([]Span{kept}, built(build{512, now, 512}), 512, now)
	if !slices.Equal(spans, []Span{kept, {From: 512, To: 1024, Is: now, IsOff: 512}}) {
		t.Error(spans)
	}
}

func TestClassifyPanicsBeyondTheEnd(t *testing.T) {
	for _, f := range []func(){
		func() { Classify(nil, make([]byte, 2), MaxSize-1, now) },
		func() { Fill(make([]byte, 2), now, MaxSize-1) },
		func() { Equal(nil, now, -1) },
		func() { NewReader(now, MaxSize+1) },
		func() { NewClassifier(-1, now) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		}()
	}
}

func TestNoAllocation(t *testing.T) {
	buf := make([]byte, 10_000)
	spans := make([]Span, 0, 8)
	also := []Tag{before}
	for name, f := range map[string]func(){
		"Fill":     func() { Fill(buf, now, 77) },
		"Equal":    func() { Equal(buf, now, 77) },
		"Classify": func() { spans = Classify(spans[:0], buf, 77, now, also...) },
		"Classify older": func() {
			Fill(buf, before, 77)
			spans = Classify(spans[:0], buf, 77, now, also...)
		},
	} {
		Fill(buf, now, 77)
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func TestStrings(t *testing.T) {
	for c := range classes {
		if c.String() == "" {
			t.Errorf("class %d has no name", c)
		}
	}
	if s := classes.String(); s != "class 8" {
		t.Error(s)
	}
	got := built(build{512, before, 0})
	got[1] ^= 8
	want := "[0:512] corrupt: 1 bits wrong of generation 3 of object 000000000000004d (seed 5) from offset 0, the first is bit 3 of byte 1"
	if s := Classify(nil, got, 0, now)[0].String(); s != want {
		t.Error(s)
	}
}
