package history

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-1b600011/assay/seed"
)

// film is a history of several segments, as its bytes were after each step of
// its writer. A reader of it sees time go on with each of its looks, and, as on
// a real machine, the front of what it looks at earlier than the rest.
type film struct {
	frames  []map[uint64][]byte
	records []int // that had been appended at each frame
	d       seed.Seed
	looks   uint64
	now     int
	stride  int64
}

func (f *film) look() {
	f.now = min(f.now+int(f.d.Between(f.looks, 0, f.stride)), len(f.frames)-1)
	f.looks++
}

type filmSegment struct {
	f   *film
	seq uint64
}

func (s filmSegment) Close() error { return nil }

func (s filmSegment) size() (int64, error) {
	s.f.look()
	return int64(len(s.f.frames[s.f.now][s.seq])), nil
}

func (s filmSegment) ReadAt(p []byte, at int64) (int, error) {
	n := 0
	for n < len(p) {
		s.f.look()
		b := s.f.frames[s.f.now][s.seq]
		if at+int64(n) >= int64(len(b)) {
			return n, io.EOF
		}
		part := min(len(p)-n, int(s.f.d.Between(s.f.looks^1<<40, 1, 6000)))
		n += copy(p[n:n+part], b[at+int64(n):])
	}
	return n, nil
}

func (f *film) chain() *chain {
	seq := uint64(0)
	return &chain{following: func() (*reading, error) {
		f.look()
		if _, ok := f.frames[f.now][seq+1]; !ok {
			return nil, nil
		}
		seq++
		return newReading(segmentName(seq), filmSegment{f, seq})
	}}
}

func shoot(t *testing.T) *film {
	t.Helper()
	w, dir := create(t, small(1))
	f := &film{}
	take := func(n int) {
		seqs, err := segments(dir)
		must(t, err)
		frame := map[uint64][]byte{}
		for _, seq := range seqs {
			b, err := os.ReadFile(filepath.Join(dir, segmentName(seq)))
			must(t, err)
			frame[seq] = b
		}
		f.frames, f.records = append(f.frames, frame), append(f.records, n)
	}
	for i := range 260 {
		must(t, w.Append(sample(13, i)))
		take(i + 1)
		if i%9 == 8 {
			must(t, w.Sync())
			take(i + 1)
		}
	}
	must(t, w.Close())
	take(260)
	return f
}

// Whatever a writer does between two looks of a reader: no error, no record
// that was not appended, and all that was there at the first look.
func TestLivingHistory(t *testing.T) {
	f := shoot(t)
	want := []Record{}
	complete := *f
	complete.now = len(f.frames) - 1
	for c := complete.chain(); ; {
		r, err := c.read()
		if err == io.EOF {
			break
		}
		must(t, err)
		want = append(want, r)
	}
	if len(want) != 260 || len(complete.frames[complete.now]) < 3 {
		t.Fatalf("%d records in %d segments", len(want), len(complete.frames[complete.now]))
	}
	for round := range pick(3000, 100_000) {
		d := seed.Seed(14).Index(uint64(round))
		f.d, f.looks, f.stride = d, 0, d.Between(0, 0, 12)
		f.now = int(d.Below(1, uint64(len(f.frames))))
		start := f.now
		n := 0
		for c := f.chain(); ; n++ {
			r, err := c.read()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("round %d, from frame %d, now %d of %d: %v", round, start, f.now, len(f.frames), err)
			}
			if !same(r, want[n]) {
				t.Fatalf("round %d: record %d: %+v", round, n, r)
			}
		}
		if n < f.records[start] {
			t.Fatalf("round %d: %d records, %d were there", round, n, f.records[start])
		}
	}
}
