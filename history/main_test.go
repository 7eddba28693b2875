package history

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/seed"
)

// A test that kills a writer starts this binary again as that writer.
const childVariable = "ASSAY_HISTORY_CHILD"

func TestMain(m *testing.M) {
	if spec := os.Getenv(childVariable); spec != "" {
		kind, dir, _ := strings.Cut(spec, ":")
		if err := childMain(kind, dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// full says whether the long counts are wanted.
func full() bool { return os.Getenv("ASSAY_FULL") == "1" }

func pick(short, long int) int {
	if full() {
		return long
	}
	return short
}

// ticking is a clock that moves on by step each time it is read.
func ticking(start, step time.Duration) func() time.Duration {
	now := start
	return func() time.Duration {
		now += step
		return now
	}
}

// small segments hold a few dozen of the records that sample makes.
func small(writer uint32) Options {
	return Options{Writer: writer, SegmentSize: minSegment, Clock: ticking(time.Second, 313*time.Microsecond)}
}

// sample is record i, of every shape in turn, from s.
func sample(s seed.Seed, i int) Record {
	d := s.Index(uint64(i))
	r := Record{Op: uint64(i + 1), Phase: Phase(d.Below(0, uint64(Round)+1))}
	if d.Chance(1, 0.6) {
		r.Verb = []string{"put", "delete", "fsync", "write"}[d.Below(2, 4)]
	}
	if d.Chance(3, 0.6) {
		r.Target = fmt.Sprintf("bucket-%d", d.Below(4, 5))
	}
	if d.Chance(5, 0.6) {
		r.Object = fmt.Sprintf("dir-%d/%s-%06d", d.Below(6, 3), strings.Repeat("x", int(d.Below(7, 12))), d.Below(8, 1000))
	}
	if d.Chance(9, 0.4) {
		r.From, r.To = d.Between(10, -5, 1<<40), d.Between(11, 0, 1<<62)
	}
	if d.Chance(12, 0.4) {
		r.Generation = uint32(d.At(13))
	}
	if d.Chance(14, 0.2) {
		r.Detail = make([]byte, d.Below(15, 60))
		for k := range r.Detail {
			r.Detail[k] = byte(d.At(uint64(100 + k)))
		}
	}
	if d.Chance(16, 0.2) {
		r.Attempt = uint32(d.Below(17, 1000))
	}
	if d.Chance(18, 0.1) {
		r.At = time.Duration(d.Between(19, 1, 1<<50))
	}
	return r
}

func collect(dir string) ([]Record, error) {
	var rs []Record
	for r, err := range ReadDir(dir) {
		if err != nil {
			return rs, err
		}
		rs = append(rs, r)
	}
	return rs, nil
}

func mustCollect(t *testing.T, dir string) []Record {
	t.Helper()
	rs, err := collect(dir)
	if err != nil {
		t.Fatal(err)
	}
	return rs
}

// same compares a record read with the one that was appended; empty and nil
// details are one.
func same(got, want Record) bool {
	return got.Op == want.Op && got.Writer == want.Writer && got.Attempt == want.Attempt && got.Phase == want.Phase &&
		got.Verb == want.Verb && got.At == want.At && got.Target == want.Target && got.Object == want.Object &&
		got.From == want.From && got.To == want.To && got.Generation == want.Generation && bytes.Equal(got.Detail, want.Detail)
}

func create(t *testing.T, o Options) (*Writer, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "h")
	w, err := Create(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w, dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
