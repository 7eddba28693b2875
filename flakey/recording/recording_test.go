package recording

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/flakey"
)

func create(t testing.TB, h Header) *Writer {
	t.Helper()
	w, err := Create(filepath.Join(t.TempDir(), "r"), h)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

var disk = Header{Size: 1 << 20, BlockSize: 512, Seed: 77}

// sample records one of each, and gives what a reader must give back.
func sample(t testing.TB, w *Writer) []Record {
	t.Helper()
	faults := []flakey.Fault{{Kind: flakey.Delay, Delay: time.Second}}
	cut := Cut{Keep: flakey.Keep{Mode: flakey.KeepRandom, Seed: 3}, Cut: flakey.Cut{AtStake: 5, Kept: 3, Older: 1, Lost: 1}}
	steps := []struct {
		do   func() (int, error)
		want Record
	}{
		{func() (int, error) { return w.Write(512, bytes.Repeat([]byte{7}, 1024), Altered) }, Record{Kind: Write, Flags: Altered, Offset: 512, Length: 1024, Data: 1024}},
		{func() (int, error) { return w.Flush(0) }, Record{Kind: Flush}},
		{func() (int, error) { return w.Discard(0, 1<<20, 0) }, Record{Kind: Discard, Length: 1 << 20}},
		{func() (int, error) { return w.Zero(4096, 512, Dropped) }, Record{Kind: Zero, Flags: Dropped, Offset: 4096, Length: 512}},
		{func() (int, error) { return w.Faults(faults) }, Record{Kind: Faults}},
		{func() (int, error) { return w.Mark("hé") }, Record{Kind: Mark, Data: 3}},
		{func() (int, error) { return w.Cut(cut) }, Record{Kind: CutPower}},
		{func() (int, error) { return w.Evict(3) }, Record{Kind: Evict, Offset: 3}},
		{func() (int, error) { return w.Faults(nil) }, Record{Kind: Faults, Data: 2}},
	}
	var want []Record
	for i, s := range steps {
		n, err := s.do()
		if err != nil || n != i {
			t.Fatalf("step %d is record %d: %v", i, n, err)
		}
		s.want.Number = i
		want = append(want, s.want)
	}
	return want
}

// compare checks the records of r against what sample has made, as far as they go.
func compare(t *testing.T, r *Reader, want []Record) {
	t.Helper()
	if r.Len() != len(want) {
		t.Fatalf("%d records, want %d", r.Len(), len(want))
	}
	last := r.Header().Boot
	for i, w := range want {
		got, err := r.Record(i)
		if err != nil {
			t.Fatal(err)
		}
		if got.At < last {
			t.Errorf("record %d is older than the one before", i)
		}
		last = got.At
		got.At = 0
		if w.Data == 0 && (w.Kind == Faults || w.Kind == CutPower) {
			got.Data = 0 // JSON
		}
		if got != w {
			t.Errorf("record %d is %+v, want %+v", i, got, w)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	w := create(t, disk)
	want := sample(t, w)
	if err := w.Sync(); err != nil {
		t.Fatal(err)
	}
	open, err := Open(w.Path()) // while it is being written
	if err != nil {
		t.Fatal(err)
	}
	compare(t, open, want)
	if open.Closed() || open.Ignored() != 0 {
		t.Error("closed", open.Closed(), "ignored", open.Ignored())
	}
	open.Close()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Open(w.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	compare(t, r, want)
	if !r.Closed() || r.Ignored() != 0 {
		t.Error("closed", r.Closed(), "ignored", r.Ignored())
	}
	if h := r.Header(); h.Size != disk.Size || h.BlockSize != 512 || h.Seed != 77 || h.Boot != w.Header().Boot || h.BootID != w.Header().BootID || !h.Wall.Equal(w.Header().Wall) {
		t.Errorf("%+v", h)
	}
	if b, err := r.Data(0, nil); err != nil || !bytes.Equal(b, bytes.Repeat([]byte{7}, 1024)) {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	if s, err := r.Mark(5); s != "hé" || err != nil {
		t.Errorf("%q %v", s, err)
	}
	if f, err := r.Faults(4); err != nil || !reflect.DeepEqual(f, []flakey.Fault{{Kind: flakey.Delay, Delay: time.Second}}) {
		t.Errorf("%+v %v", f, err)
	}
	if c, err := r.Cut(6); err != nil || c.Cut.Kept != 3 || c.Keep.Seed != 3 {
		t.Errorf("%+v %v", c, err)
	}
	for _, err := range []error{second(r.Mark(0)), second(r.Faults(0)), second(r.Cut(0)), second(r.Record(-1)), second(r.Record(9)), second(r.Data(9, nil))} {
		if err == nil {
			t.Error("what is not there was given")
		}
	}
}

func second[T any](_ T, err error) error { return err }

func TestRefused(t *testing.T) {
	w := create(t, disk)
	for doing, err := range map[string]error{
		"write beyond the end": second(w.Write(1<<20-512, make([]byte, 1024), 0)),
		"write of a part":      second(w.Write(0, make([]byte, 100), 0)),
		"discard of a part":    second(w.Discard(100, 512, 0)),
		"long write":           second(w.Write(0, make([]byte, MaxData+1), 0)),
		"evict of the future":  second(w.Evict(0)),
	} {
		if err == nil {
			t.Error(doing, "passed")
		}
	}
	if n, err := w.Flush(0); n != 0 || err != nil {
		t.Error("what was refused has a number:", n, err)
	}
	if _, err := Create(w.Path(), disk); err == nil {
		t.Error("a file that exists was taken")
	}
	for _, h := range []Header{{}, {Size: 4096}, {Size: 100, BlockSize: 512}, {Size: -4096, BlockSize: 512}} {
		path := filepath.Join(t.TempDir(), "x")
		if _, err := Create(path, h); err == nil {
			t.Errorf("%+v passed", h)
		}
		if _, err := os.Stat(path); err == nil {
			t.Error("a file was left")
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if second(w.Flush(0)) == nil || w.Sync() == nil || w.Close() != nil {
		t.Error("a closed recording goes on")
	}
}

// TestCrash cuts the file at every length: what is whole is read, the rest is
// told, and no length is an error.
func TestCrash(t *testing.T) {
	w := create(t, disk)
	want := sample(t, w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(w.Path())
	if err != nil {
		t.Fatal(err)
	}
	whole, err := NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	starts := append(whole.starts, int64(len(b)-headSize))
	for n := headerSize; n < len(b); n++ {
		r, err := NewReader(bytes.NewReader(b[:n]), int64(n))
		if err != nil {
			t.Fatalf("cut to %d: %v", n, err)
		}
		fit := 0
		for fit+1 < len(starts) && starts[fit+1] <= int64(n) {
			fit++
		}
		compare(t, r, want[:fit])
		if r.Ignored() != int64(n)-starts[fit] || r.Closed() {
			t.Fatalf("cut to %d: ignored %d of %d", n, r.Ignored(), int64(n)-starts[fit])
		}
		// A lost machine may leave zeros.
		zeros := append(bytes.Clone(b[:n]), make([]byte, 5000)...)
		if r, err := NewReader(bytes.NewReader(zeros), int64(len(zeros))); r == nil || r.Len() < fit || err != nil && !r.Closed() {
			t.Fatalf("cut to %d, then zeros: %v", n, err)
		}
	}
	for n := range headerSize {
		if _, err := NewReader(bytes.NewReader(b[:n]), int64(n)); err == nil {
			t.Fatalf("%d bytes passed for a recording", n)
		}
	}
}

// TestDamage flips each bit (every 11th by default) that is not at the end:
// always an error, with the records before it.
func TestDamage(t *testing.T) {
	w := create(t, disk)
	want := sample(t, w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(w.Path())
	if err != nil {
		t.Fatal(err)
	}
	whole, err := NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	step := 11
	if os.Getenv("ASSAY_FULL") == "1" {
		step = 1
	}
	for bit := 0; bit < (len(b)-headSize)*8; bit += step {
		b[bit/8] ^= 1 << (bit % 8)
		r, err := NewReader(bytes.NewReader(b), int64(len(b)))
		b[bit/8] ^= 1 << (bit % 8)
		if bit/8 < headerSize {
			if err == nil || r != nil {
				t.Fatalf("bit %d of the header: %v", bit, err)
			}
			continue
		}
		hit := 0
		for hit+1 < len(whole.starts) && whole.starts[hit+1] <= int64(bit/8) {
			hit++
		}
		var d *DamageError
		if !errors.As(err, &d) || d.Offset != whole.starts[hit] || d.Next <= d.Offset {
			t.Fatalf("bit %d, in record %d: %v", bit, hit, err)
		}
		compare(t, r, want[:hit])
	}
	// A record at another place, or of another file, is none.
	moved := append(bytes.Clone(b[:len(b)-headSize]), b[whole.starts[1]:whole.starts[2]]...)
	if r, err := NewReader(bytes.NewReader(moved), int64(len(moved))); err != nil || r.Len() != len(want) || r.Ignored() != headSize {
		t.Errorf("a moved record: %d, %v", r.Len(), err)
	}
	behind := append(bytes.Clone(b), 0)
	var d *DamageError
	if _, err := NewReader(bytes.NewReader(behind), int64(len(behind))); !errors.As(err, &d) {
		t.Error("bytes behind the end:", err)
	}
}

// TestRecordingOfARecording: data that is a recording does not pass for records.
func TestRecordingOfARecording(t *testing.T) {
	inner := create(t, disk)
	sample(t, inner)
	inner.Close()
	data, err := os.ReadFile(inner.Path())
	if err != nil {
		t.Fatal(err)
	}
	data = append(data, make([]byte, 512-len(data)%512)...)
	w := create(t, disk)
	if _, err := w.Write(0, data, 0); err != nil {
		t.Fatal(err)
	}
	w.Sync()
	b, err := os.ReadFile(w.Path())
	if err != nil {
		t.Fatal(err)
	}
	b = b[:len(b)-100] // the record is not whole; its data has whole records in it
	if r, err := NewReader(bytes.NewReader(b), int64(len(b))); err != nil || r.Len() != 0 {
		t.Errorf("%d records: %v", r.Len(), err)
	}
}

func TestFindMark(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r")
	w, err := Create(path, Header{Size: 1 << 20, BlockSize: 512})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"a", "twice", "b", "", "twice", "c"} {
		if _, err := w.Mark(text); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Write(0, make([]byte, 512), 0); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for text, want := range map[string]int{"a": 0, "b": 2, "": 3, "c": 5, "twice": -1, "d": -1} {
		got, err := r.FindMark(text)
		if want < 0 && err == nil || want >= 0 && (err != nil || got != want) {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}

func TestChangedBehindItsBack(t *testing.T) {
	w := create(t, disk)
	sample(t, w)
	w.Close()
	r, err := Open(w.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	f, err := os.OpenFile(w.Path(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, at := range []int64{r.starts[0] + headSize + 5, r.starts[1] + 20} {
		var b [1]byte
		if _, err := f.ReadAt(b[:], at); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 1 // whatever stands there, a part of a time perhaps
		if _, err := f.WriteAt(b[:], at); err != nil {
			t.Fatal(err)
		}
	}
	var d *DamageError
	if _, err := r.Data(0, nil); !errors.As(err, &d) {
		t.Error("data:", err)
	}
	if _, err := r.Record(1); !errors.As(err, &d) {
		t.Error("head:", err)
	}
}

// FuzzReader feeds the reader anything. What it takes it must be able to give.
func FuzzReader(f *testing.F) {
	w := create(f, disk)
	sample(f, w)
	w.Close()
	b, err := os.ReadFile(w.Path())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b, uint32(0), byte(0))
	f.Add(b[:len(b)-headSize-10], uint32(200), byte(1))
	f.Add(b[:headerSize], uint32(0), byte(0))
	f.Fuzz(func(t *testing.T, b []byte, at uint32, xor byte) {
		if len(b) > 0 {
			b = bytes.Clone(b)
			b[int(at)%len(b)] ^= xor
		}
		r, err := NewReader(bytes.NewReader(b), int64(len(b)))
		if r == nil {
			if err == nil {
				t.Fatal("neither a reader nor an error")
			}
			return
		}
		if r.Ignored() < 0 || r.Ignored() > int64(len(b)) {
			t.Fatal("ignored", r.Ignored())
		}
		for i := range r.Len() {
			rec, err := r.Record(i)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.Data(i, nil); err != nil {
				t.Fatal(err)
			}
			if rec.Kind == Write && (rec.Offset < 0 || rec.Offset+rec.Length > r.Header().Size) {
				t.Fatalf("%+v on a disk of %d", rec, r.Header().Size)
			}
			// Valid frames with JSON that is none are an error, not a panic.
			r.Faults(i)
			r.Cut(i)
			r.Mark(i)
		}
	})
}
