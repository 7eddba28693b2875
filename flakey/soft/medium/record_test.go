package medium

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/flakey/recording"
	"github.com/seed-1b600011/assay/seed"
)

// TestRecordAnew: a recording that begins with what a power cut has left
// rebuilds all that came after it, without the recording before.
func TestRecordAnew(t *testing.T) {
	const size = 4 << 20
	draw := seed.Seed(7)
	m, err := New(Options{Size: size, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	write := func(m *Medium, round uint64, n int) {
		for i := range n {
			d := draw.Index(round).Index(uint64(i))
			p := bytes.Repeat([]byte{byte(d.At(0))}, int(512*(1+d.For("n").Below(0, 40))))
			off := int64(d.For("at").Below(0, uint64(size-len(p))/512)) * 512
			if errno := m.WriteAt(p, off); errno != 0 {
				t.Fatal(errno)
			}
			if i%7 == 6 {
				m.Flush()
			}
		}
	}
	write(m, 0, 100)
	path := filepath.Join(t.TempDir(), "r")
	w, err := recording.Create(path, recording.Header{Size: size, BlockSize: 512, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Record(w); err == nil {
		t.Fatal("a recording began with writes that no flush has covered")
	}
	after, _, err := m.Cut(flakey.Keep{Mode: flakey.KeepRandom, Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	if err := after.Record(w); err != nil {
		t.Fatal(err)
	}
	write(after, 1, 100)
	last, cut, err := after.Cut(flakey.Keep{Mode: flakey.KeepRandom, Seed: 6})
	if err != nil || cut.AtStake == 0 {
		t.Fatal(cut, err)
	}
	want := make([]byte, size)
	if errno := last.ReadAt(want, 0); errno != 0 {
		t.Fatal(errno)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := recording.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	replay, err := NewReplay(r, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer replay.Close()
	view, _, err := replay.At(r.Len(), flakey.Keep{Mode: flakey.KeepAll})
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, size)
	if errno := view.ReadAt(got, 0); errno != 0 {
		t.Fatal(errno)
	}
	if !bytes.Equal(got, want) {
		t.Error("what was rebuilt is not what survived")
	}
	for _, m := range []*Medium{view, last} {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}
