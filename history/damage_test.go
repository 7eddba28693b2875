package history

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/seed-1b600011/assay/seed"
)

// image is a history as bytes, with what is true of it.
type image struct {
	segments [][]byte
	records  []Record
	marked   int // of records, the first that many are durable
	pos      int // where the next frame of the last segment would be
	covered  int // bytes of the last segment that are durable
}

// picture writes a history of n records with a mark every few of them and
// unsynced records at its end, and takes its bytes while the writer lives, or
// after it was closed.
func picture(t *testing.T, s seed.Seed, o Options, n, unsynced int, closed bool) image {
	t.Helper()
	w, dir := create(t, o)
	var im image
	for i := range n + unsynced {
		must(t, w.Append(sample(s, i)))
		if i < n && s.Chance(uint64(i), 0.05) || i == n-1 {
			must(t, w.Sync())
			im.marked, im.covered = i+1, int(w.seg.marked)
		}
	}
	im.pos = int(w.seg.pos)
	if closed {
		must(t, w.Close())
		im.marked = n + unsynced
	}
	seqs, err := segments(dir)
	must(t, err)
	for _, seq := range seqs {
		b, err := os.ReadFile(filepath.Join(dir, segmentName(seq)))
		must(t, err)
		im.segments = append(im.segments, b)
	}
	im.records = mustCollect(t, dir)
	if len(im.records) != n+unsynced {
		t.Fatalf("%d records of %d", len(im.records), n+unsynced)
	}
	return im
}

// readBytes reads the segments, in which segment i is b instead.
func (im *image) readBytes(i int, b []byte) (got []Record, err error) {
	rs := make([]io.Reader, len(im.segments))
	for k, seg := range im.segments {
		rs[k] = bytes.NewReader(seg)
	}
	if i >= 0 {
		rs[i] = bytes.NewReader(b)
	}
	for r, err := range Read(rs...) {
		if err != nil {
			return got, err
		}
		got = append(got, r)
	}
	return got, nil
}

// judge says what is wrong with reading segment i as b: a record that was not
// appended, fewer records than were marked without an error, an error without
// a place. It returns the number of records and whether there was an error.
func (im *image) judge(i int, b []byte) (n int, damaged bool, wrong string) {
	got, err := im.readBytes(i, b)
	if len(got) > len(im.records) {
		return len(got), err != nil, fmt.Sprintf("%d records of %d", len(got), len(im.records))
	}
	for k := range got {
		if !same(got[k], im.records[k]) {
			return len(got), err != nil, fmt.Sprintf("record %d: %+v, appended was %+v", k, got[k], im.records[k])
		}
	}
	var damage *DamageError
	switch {
	case err == nil && len(got) < im.marked:
		return len(got), false, fmt.Sprintf("silently %d records, %d were marked", len(got), im.marked)
	case err != nil && (!errors.As(err, &damage) || damage.File == "" || damage.Offset < 0):
		return len(got), true, fmt.Sprintf("an error without a place: %v", err)
	}
	return len(got), err != nil, ""
}

func pictures(t *testing.T) map[string]image {
	s := seed.Seed(2)
	return map[string]image{
		"living": picture(t, s, small(1), 350, 40, false),
		"closed": picture(t, s, small(1), 350, 40, true),
		"synced": picture(t, s, small(1), 350, 0, false),
	}
}

func TestCutAtEveryByte(t *testing.T) {
	for name, im := range pictures(t) {
		if len(im.segments) < 3 {
			t.Fatalf("%s: only %d segments", name, len(im.segments))
		}
		for i, seg := range im.segments {
			last := i == len(im.segments)-1
			for n := 0; n < len(seg); n += pick(89, 1) {
				_, damaged, wrong := im.judge(i, seg[:n])
				if wrong != "" {
					t.Fatalf("%s: segment %d cut at %d: %s", name, i, n, wrong)
				}
				if last && !damaged {
					t.Fatalf("%s: the last segment cut at %d of %d passed", name, n, len(seg))
				}
			}
		}
	}
}

// next is the next byte to try: each one of the header and of the slots with a
// place of their own, some of all others in the short run.
func next(n int) int {
	for _, from := range []int{0, anchorA, anchorB, endSlot} {
		if n >= from && n < from+headerSize {
			return n + 1
		}
	}
	return n + pick(89, 1)
}

func TestEveryByteFlipped(t *testing.T) {
	for name, im := range pictures(t) {
		for i, seg := range im.segments {
			b := bytes.Clone(seg)
			damaged := 0
			for n := 0; n < len(seg); n = next(n) {
				mask := byte(seed.Seed(n).Between(uint64(i), 1, 255))
				b[n] ^= mask
				_, bad, wrong := im.judge(i, b)
				b[n] ^= mask
				if wrong != "" {
					t.Fatalf("%s: segment %d, byte %d flipped: %s", name, i, n, wrong)
				}
				if bad {
					damaged++
				}
			}
			if damaged == 0 {
				t.Errorf("%s: segment %d: no flip was an error", name, i)
			}
		}
	}
}

// A page or a sector that storage lost or never wrote, anywhere: an error
// wherever a mark had covered it, even if it took that mark along.
func TestEveryPageAndSectorLost(t *testing.T) {
	for name, im := range pictures(t) {
		for i, seg := range im.segments {
			for _, size := range []int{blockSize, 512, slotSize} {
				stride := size // only some of the sectors and slots in the short run
				if size < blockSize {
					stride *= pick(1536/size|1, 1)
				}
				for at := 0; at < len(seg); at += stride {
					b := bytes.Clone(seg)
					clear(b[at:min(at+size, len(b))])
					if _, _, wrong := im.judge(i, b); wrong != "" {
						t.Fatalf("%s: segment %d without %d bytes at %d: %s", name, i, size, at, wrong)
					}
					b = append(bytes.Clone(seg[:at]), seg[min(at+size, len(seg)):]...)
					if _, _, wrong := im.judge(i, b); wrong != "" {
						t.Fatalf("%s: segment %d shifted over %d bytes at %d: %s", name, i, size, at, wrong)
					}
				}
			}
		}
	}
}

// What a power cut may leave of a tail that was not synced is no damage: pages
// or sectors of it missing, of an earlier time, or exchanged.
func TestCrashTails(t *testing.T) {
	o := small(1)
	o.SegmentSize = 96 << 10
	im := picture(t, 3, o, 300, 1500, false)
	last := len(im.segments) - 1
	seg := im.segments[last]
	first := im.covered + slotSize // the mark itself is durable
	t.Logf("%d segments, the last durable to %d, written to %d", len(im.segments), first, im.pos)
	check := func(what string, b []byte, least int) {
		t.Helper()
		n, damaged, wrong := im.judge(last, b)
		if wrong != "" || damaged || n < max(im.marked, least) {
			t.Fatalf("%s: %d records, %d marked, damaged %v: %s", what, n, im.marked, damaged, wrong)
		}
	}
	for at := first; at <= im.pos; at += pick(197, 1) {
		b := bytes.Clone(seg)
		clear(b[at:])
		check(fmt.Sprintf("zeros from %d", at), b, 0)
	}
	for round := range pick(100, 20_000) {
		d := seed.Seed(4).Index(uint64(round))
		unit := []int{512, blockSize}[d.Below(0, 2)]
		b := bytes.Clone(seg)
		for at := first; at < im.pos; at = (at/unit + 1) * unit {
			end := min((at/unit+1)*unit, len(b))
			switch to := int(d.Between(uint64(at), int64(first), int64(im.pos))); d.Below(uint64(2*at+1), 8) {
			case 0:
				clear(b[at:end])
			case 1: // written half: the rest as it was
				clear(b[min(max(at, to), end):end])
			case 2: // data of another place
				copy(b[at:end], seg[to:])
			}
		}
		check(fmt.Sprintf("round %d", round), b, 0)
	}
}

// The bytes of a record are believed only where they were written.
func TestDisplacedRecords(t *testing.T) {
	im := picture(t, 5, small(1), 60, 0, false)
	other := picture(t, 5, small(1), 60, 0, false) // the same records, another nonce
	seg, twin := im.segments[0], other.segments[0]
	for from := dataStart; from < dataStart+512; from++ {
		b := bytes.Clone(seg)
		clear(b[im.pos:])
		copy(b[im.pos:], seg[from:im.pos])
		if n, _, wrong := im.judge(0, b); wrong != "" || n != len(im.records) {
			t.Fatalf("bytes from %d behind the end: %d records: %s", from, n, wrong)
		}
	}
	b := append(bytes.Clone(seg[:dataStart]), twin[dataStart:]...)
	if n, damaged, wrong := im.judge(0, b); wrong != "" || !damaged || n != 0 {
		t.Fatalf("records of another history: %d, %s", n, wrong)
	}
}

// A slot of another history, which covers more than is there, is no mark.
func TestForeignMarks(t *testing.T) {
	im := picture(t, 5, small(1), 40, 20, false)
	other := picture(t, 5, small(1), 60, 0, false)
	b := bytes.Clone(im.segments[0])
	clear(b[im.covered+slotSize:])
	copy(b[anchorA:dataStart], other.segments[0][anchorA:dataStart])
	for at := other.covered &^ (slotSize - 1); at < len(b); at += slotSize {
		copy(b[at:], other.segments[0][at:at+slotSize])
	}
	if n, damaged, wrong := im.judge(0, b); wrong != "" || damaged || n != im.marked {
		t.Fatalf("%d records of %d: %s", n, im.marked, wrong)
	}
}

// The mark behind the records and the anchors say the same: each is enough.
func TestEitherMarkSuffices(t *testing.T) {
	im := picture(t, 5, small(1), 60, 0, false)
	for what, lost := range map[string][2]int{
		"anchors": {anchorA, endSlot}, "the mark behind": {im.pos - slotSize, im.pos},
	} {
		for at := dataStart; at < im.covered; at++ {
			b := bytes.Clone(im.segments[0])
			clear(b[lost[0]:lost[1]])
			b[at] ^= 0x10
			if _, damaged, wrong := im.judge(0, b); wrong != "" {
				t.Fatalf("without %s, byte %d flipped: damaged %v, %s", what, at, damaged, wrong)
			}
		}
	}
}

func TestSegmentsMissingOrMixed(t *testing.T) {
	im := picture(t, 6, small(1), 400, 0, false)
	other := picture(t, 6, small(1), 400, 0, false)
	if len(im.segments) < 4 || len(other.segments) != len(im.segments) {
		t.Fatalf("%d segments", len(im.segments))
	}
	plant := func(segs [][]byte, what string, want bool) {
		t.Helper()
		dir := t.TempDir()
		for i, b := range segs {
			if b != nil {
				must(t, os.WriteFile(filepath.Join(dir, segmentName(uint64(i+1))), b, 0o644))
			}
		}
		got, err := collect(dir)
		var damage *DamageError
		if errors.As(err, &damage) != want || !want && len(got) != len(im.records) {
			t.Errorf("%s: %d records, %v", what, len(got), err)
		}
		w, err := Continue(dir, small(0))
		if (err != nil) != want || want && !errors.As(err, &damage) {
			t.Errorf("%s: continue: %v", what, err)
		}
		if err == nil {
			must(t, w.Close())
		}
	}
	plant(im.segments, "all there", false)
	for i := range im.segments {
		segs := slices.Clone(im.segments)
		segs[i] = nil
		plant(segs, fmt.Sprintf("segment %d missing", i+1), true)
		if i > 0 && i < len(im.segments)-1 { // seen also where the one before does not tell
			segs[i-1] = bytes.Clone(segs[i-1])
			clear(segs[i-1][endSlot:dataStart])
			plant(segs, fmt.Sprintf("segment %d missing, and the note of it", i+1), true)
			segs[i-1] = im.segments[i-1]
		}
		segs[i] = other.segments[i]
		plant(segs, fmt.Sprintf("segment %d of another history", i+1), true)
		segs[i] = make([]byte, len(im.segments[i]))
		plant(segs, fmt.Sprintf("segment %d zeros", i+1), true)
		segs[i] = bytes.Clone(im.segments[i])
		clear(segs[i][:blockSize])
		plant(segs, fmt.Sprintf("segment %d without a header page", i+1), true)
		j := (i + 1) % len(im.segments)
		segs[i], segs[j] = im.segments[j], im.segments[i]
		plant(segs, fmt.Sprintf("segments %d and %d exchanged", i+1, j+1), true)
	}
}

// Continuing after a crash ends the old segment where reading ended, without
// a store to its tail, whatever lies behind.
func TestContinueBehindADamagedTail(t *testing.T) {
	im := picture(t, 7, small(1), 300, 60, false)
	last := len(im.segments) - 1
	for round := range pick(20, 200) {
		d := seed.Seed(8).Index(uint64(round))
		b := bytes.Clone(im.segments[last])
		at := int(d.Between(0, int64(im.covered+slotSize), int64(im.pos-1)))
		clear(b[at:min(len(b), at+int(d.Between(1, 4, 600)))])
		dir := t.TempDir()
		for i, seg := range im.segments {
			if i == last {
				seg = b
			}
			must(t, os.WriteFile(filepath.Join(dir, segmentName(uint64(i+1))), seg, 0o644))
		}
		before := mustCollect(t, dir)
		w, err := Continue(dir, small(1))
		must(t, err)
		_, err = w.Begin(Record{Verb: "after"})
		must(t, err)
		got := mustCollect(t, dir)
		if len(got) != len(before)+1 || got[len(before)].Verb != "after" || got[len(before)].Op != highest(before)+1 {
			t.Fatalf("%d records, then %d, the last %+v", len(before), len(got), got[len(got)-1])
		}
		tail, err := os.ReadFile(filepath.Join(dir, segmentName(uint64(last+1))))
		must(t, err)
		if !bytes.Equal(tail[dataStart:], b[dataStart:]) {
			t.Fatal("the old segment was written to")
		}
		must(t, w.Close())
	}
}

func highest(rs []Record) (op uint64) {
	for _, r := range rs {
		op = max(op, r.Op)
	}
	return op
}
