package worker

import (
	"bytes"
	"errors"
	"io"
	"math"
	"reflect"
	"syscall"
	"testing"

	"github.com/seed-1b600011/assay/content"
	"pgregory.net/rapid"
)

var (
	anyInt  = rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{0, -1, math.MinInt64, math.MaxInt64}))
	anyText = rapid.Custom(func(t *rapid.T) string { return string(rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bytes")) })
	anyTag  = rapid.Custom(func(t *rapid.T) content.Tag {
		return content.Tag{Seed: rapid.Uint64().Draw(t, "seed"), Object: rapid.Uint64().Draw(t, "object"), Generation: rapid.Uint32().Draw(t, "generation")}
	})
	anyAnswer = rapid.Custom(func(t *rapid.T) Answer {
		a := Answer{Index: rapid.Int().Draw(t, "index"), Errno: syscall.Errno(rapid.Uint16().Draw(t, "errno")), Bytes: anyInt.Draw(t, "bytes")}
		if data := rapid.SliceOf(rapid.Byte()).Draw(t, "data"); len(data) > 0 {
			a.Data = data
		}
		return a
	})
	anyRequest = rapid.Custom(func(t *rapid.T) request {
		r := request{id: rapid.Uint64().Draw(t, "id"), op: op(rapid.Byte().Draw(t, "op")), file: rapid.Uint64().Draw(t, "file"),
			flags: anyInt.Draw(t, "flags"), from: anyInt.Draw(t, "from"), to: anyInt.Draw(t, "to"), block: anyInt.Draw(t, "block"),
			path: anyText.Draw(t, "path"), second: anyText.Draw(t, "second")}
		if tags := rapid.SliceOfN(anyTag, 0, 70).Draw(t, "tags"); len(tags) > 0 {
			r.tags = tags
		}
		return r
	})
	anyEntry = rapid.Custom(func(t *rapid.T) Entry {
		return Entry{Path: anyText.Draw(t, "path"), Dir: rapid.Bool().Draw(t, "dir"), Regular: rapid.Bool().Draw(t, "regular"),
			Size: anyInt.Draw(t, "size"), Inode: rapid.Uint64().Draw(t, "inode"), Errno: syscall.Errno(rapid.Uint16().Draw(t, "errno"))}
	})
	anySpan = rapid.Custom(func(t *rapid.T) content.Span {
		return content.Span{From: anyInt.Draw(t, "from"), To: anyInt.Draw(t, "to"), Class: content.Class(rapid.Byte().Draw(t, "class")), Is: anyTag.Draw(t, "is"),
			IsOff: anyInt.Draw(t, "isoff"), BitsWrong: anyInt.Draw(t, "wrong"), FirstWrong: anyInt.Draw(t, "first")}
	})
)

// TestFramesComeBack sends requests and answers through a stream that gives
// them back in pieces of any size.
func TestFramesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		requests := rapid.SliceOfN(anyRequest, 0, 5).Draw(t, "requests")
		answers := rapid.SliceOfN(anyAnswer, 0, 5).Draw(t, "answers")
		var sent []byte
		for i := range requests {
			sent = requests[i].append(sent)
		}
		for i, a := range answers {
			sent = appendAnswer(sent, uint64(i), a)
		}
		stream := &pieces{b: sent, n: rapid.IntRange(1, 40).Draw(t, "pieces")}
		var buf []byte
		next := func() []byte {
			var err error
			if buf, err = readFrame(stream, buf); err != nil {
				t.Fatal(err)
			}
			return buf
		}
		for _, want := range requests {
			if got, err := parseRequest(next()); err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%+v (%v), want %+v", got, err, want)
			}
		}
		for i, want := range answers {
			if id, got, err := parseAnswer(next()); err != nil || id != uint64(i) || !reflect.DeepEqual(got, want) {
				t.Fatalf("%d: %+v (%v), want %+v", id, got, err, want)
			}
		}
		if _, err := readFrame(stream, buf); !errors.Is(err, io.EOF) {
			t.Fatalf("after the last frame: %v", err)
		}
	})
}

// pieces is a stream that gives at most n bytes at once.
type pieces struct {
	b []byte
	n int
}

func (p *pieces) Read(to []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(to[:min(len(to), p.n)], p.b)
	p.b = p.b[n:]
	return n, nil
}

func TestDataComesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := rapid.SliceOfN(anyEntry, 0, 20).Draw(t, "entries")
		var b []byte
		for _, e := range entries {
			b = e.append(b)
		}
		if got, err := parseEntries(b); err != nil || len(got) != len(entries) || len(got) > 0 && !reflect.DeepEqual(got, entries) {
			t.Fatalf("%+v (%v), want %+v", got, err, entries)
		}
		spans := rapid.SliceOfN(anySpan, 0, 20).Draw(t, "spans")
		if got, err := parseSpans(appendSpans(nil, spans)); err != nil || len(got) != len(spans) || len(got) > 0 && !reflect.DeepEqual(got, spans) {
			t.Fatalf("%+v (%v), want %+v", got, err, spans)
		}
		var runs []Run
		b = nil
		for range rapid.IntRange(0, 20).Draw(t, "runs") {
			runs = append(runs, Run{rapid.Uint64().Draw(t, "from"), rapid.Uint64().Draw(t, "to")})
			b = runs[len(runs)-1].append(b)
		}
		if got, err := parseRuns(b); err != nil || !reflect.DeepEqual(got, runs) {
			t.Fatalf("%v (%v), want %v", got, err, runs)
		}
	})
}

// TestDamagedFrames cuts a frame short everywhere, and adds to it: neither is
// taken for a frame, whatever it would say.
func TestDamagedFrames(t *testing.T) {
	r := request{id: 300, op: opWrite, file: 2, flags: 1, from: -5, to: 1 << 40, block: 4096, path: "a/b", second: "c", tags: []content.Tag{tag(1, 2), tag(3, 400)}}
	a := Answer{Index: 3, Errno: syscall.ENOSPC, Bytes: 1 << 33, Data: []byte("data")}
	for name, c := range map[string]struct {
		whole []byte
		parse func([]byte) error
	}{
		"request": {r.append(nil)[headSize:], func(b []byte) error { _, err := parseRequest(b); return err }},
		"answer":  {appendAnswer(nil, 9, a)[headSize:], func(b []byte) error { _, _, err := parseAnswer(b); return err }},
		"entries": {Entry{Path: "x", Size: 1 << 40, Inode: 1 << 50, Errno: 5}.append(nil), func(b []byte) error { _, err := parseEntries(b); return err }},
		"spans":   {appendSpans(nil, []content.Span{exact(tag(1, 300), 0, 1<<30), zero(1<<30, 1<<31)}), func(b []byte) error { _, err := parseSpans(b); return err }},
		"runs":    {Run{1 << 20, 1 << 21}.append(nil), func(b []byte) error { _, err := parseRuns(b); return err }},
	} {
		if err := c.parse(c.whole); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for n := 1; n < len(c.whole); n++ {
			if c.parse(c.whole[:n]) == nil {
				t.Errorf("%s: %d of %d bytes are taken for all", name, n, len(c.whole))
			}
		}
		if c.parse(append(bytes.Clone(c.whole), 0)) == nil {
			t.Errorf("%s: one byte too many is overlooked", name)
		}
	}
}

// TestLongFrames: a length that no frame has is refused before memory is taken
// for it, and a stream that ends within a frame says so.
func TestLongFrames(t *testing.T) {
	if _, err := readFrame(bytes.NewReader([]byte{0xff, 0xff, 0xff, 0xff, 1}), nil); !errors.Is(err, errFrame) {
		t.Errorf("4 GiB: %v", err)
	}
	whole := appendAnswer(nil, 1, Answer{Data: []byte("data")})
	for n := 1; n < len(whole); n++ {
		if _, err := readFrame(bytes.NewReader(whole[:n]), nil); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
}
