package history

import (
	"bytes"
	"testing"

	"github.com/seed-1b600011/assay/seed"
)

// fuzzImage is a picture for a fuzz target: two segments or more, the last with
// a tail that is not marked.
func fuzzImage(f *testing.F) image {
	f.Helper()
	var im image
	dir := f.TempDir() + "/h"
	w, err := Create(dir, small(1))
	if err != nil {
		f.Fatal(err)
	}
	for i := range 150 {
		if err := w.Append(sample(seed.Seed(9), i)); err != nil {
			f.Fatal(err)
		}
		if i%30 == 19 {
			if err := w.Sync(); err != nil {
				f.Fatal(err)
			}
			im.marked = i + 1
		}
	}
	c := readDirectory(dir)
	for {
		s, err := c.following()
		if err != nil {
			f.Fatal(err)
		}
		if s == nil {
			break
		}
		b := make([]byte, s.size)
		if _, err := s.src.ReadAt(b, 0); err != nil {
			f.Fatal(err)
		}
		im.segments = append(im.segments, b)
	}
	if im.records, err = collect(dir); err != nil {
		f.Fatal(err)
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	return im
}

// FuzzRead reads any bytes as a segment, and as the one before a true segment:
// an end or an error, and nothing beyond the limits of a record. The empty
// stretches of a segment are left out of the input, which keeps it short.
func FuzzRead(f *testing.F) {
	im := fuzzImage(f)
	for _, seg := range im.segments {
		f.Add(seg[:headerSize], seg[anchorA:anchorA+slotSize], seg[endSlot:endSlot+slotSize], seg[dataStart:dataStart+400])
	}
	f.Fuzz(func(t *testing.T, head, anchor, end, data []byte) {
		b := make([]byte, dataStart, dataStart+len(data))
		copy(b[:anchorA], head)
		copy(b[anchorA:endSlot], anchor)
		copy(b[endSlot:], end)
		b = append(b, data...)
		for _, after := range [][]byte{nil, im.segments[1]} {
			for r, err := range Read(bytes.NewReader(b), bytes.NewReader(after)) {
				if err == nil && (len(r.Verb) > MaxVerb || len(r.Target) > MaxName || len(r.Object) > MaxName || len(r.Detail) > MaxDetail) {
					t.Fatalf("%+v", r)
				}
			}
		}
	})
}

// FuzzDamage writes any bytes, up to a sector of them, to any place of a true
// history: an error, or a prefix that is true and no shorter than marked.
func FuzzDamage(f *testing.F) {
	im := fuzzImage(f)
	f.Add(uint32(0), []byte{0})
	f.Add(uint32(anchorA), make([]byte, 512))
	f.Add(uint32(minSegment+dataStart+70), make([]byte, 512))
	f.Add(uint32(minSegment+endSlot), []byte(slotMagic))
	f.Fuzz(func(t *testing.T, at uint32, data []byte) {
		i := int(at) / minSegment % len(im.segments)
		b := bytes.Clone(im.segments[i])
		copy(b[int(at)%len(b):], data[:min(len(data), 512)])
		if _, _, wrong := im.judge(i, b); wrong != "" {
			t.Fatal(wrong)
		}
	})
}

// FuzzBody takes any bytes for the bodies of two records, past the checksum:
// what can be decoded says the same when it is encoded and decoded again.
func FuzzBody(f *testing.F) {
	h := header{writer: 3, created: 99, op: 7}
	m := newMemory(&h)
	for i := range 20 {
		r := sample(seed.Seed(10), i)
		b := m.encode(nil, &r, 3)
		f.Add(b, b)
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		reader, writer, again := newMemory(&h), newMemory(&h), newMemory(&h)
		for _, p := range [][]byte{a, b} {
			r, err := reader.decode(p, 3)
			if err != nil {
				return
			}
			if r.Phase <= Round && check(&r) != nil {
				t.Fatalf("beyond the limits: %v", check(&r))
			}
			e := writer.encode(nil, &r, 3)
			if len(e) > bodyBound(&r) {
				t.Fatalf("%d bytes, at most %d were expected", len(e), bodyBound(&r))
			}
			got, err := again.decode(e, 3)
			if err != nil || !same(got, r) {
				t.Fatalf("%+v became %+v: %v", r, got, err)
			}
		}
	})
}
