package medium

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/flakey/recording"
	"github.com/seed-1b600011/assay/seed"
	"pgregory.net/rapid"
)

// moment is what a disk was like after some records.
type moment struct {
	records int
	now     []byte
	keeps   map[flakey.Mode][]byte
	cuts    map[flakey.Mode]flakey.Cut
}

func modes() []flakey.Mode {
	return []flakey.Mode{flakey.KeepNone, flakey.KeepAll, flakey.KeepPrefix, flakey.KeepRandom}
}

// seen cuts twins of the disk, which leaves it as it is.
func seen(t interface {
	Helper()
	Fatalf(string, ...any)
}, m *Medium, records int) moment {
	t.Helper()
	o := moment{records: records, keeps: map[flakey.Mode][]byte{}, cuts: map[flakey.Mode]flakey.Cut{}}
	read := func(m *Medium) []byte {
		b := make([]byte, m.Size())
		if _, e := m.read(b, 0, false); e != 0 { // past the faults
			t.Fatalf("read: %v", e)
		}
		return b
	}
	o.now = read(m)
	for _, mode := range modes() {
		twin, err := m.twin()
		if err != nil {
			t.Fatalf("%v", err)
		}
		after, c, err := twin.Cut(flakey.Keep{Mode: mode, Seed: 11})
		if err != nil {
			t.Fatalf("%v", err)
		}
		o.keeps[mode], o.cuts[mode] = read(after), c
		if err := after.Close(); err != nil {
			t.Fatalf("%v", err)
		}
	}
	return o
}

// TestReplay records a disk to which everything is done, faults and a full
// cache included, and builds it again at many moments, in any order.
func TestReplay(t *testing.T) {
	dir := t.TempDir()
	files := 0
	rapid.Check(t, func(t *rapid.T) {
		files++
		path := filepath.Join(dir, string(rune('a'+files%26))+seed.Seed(files).String())
		bs := rapid.SampledFrom([]int{512, 4096}).Draw(t, "block size")
		o := Options{Size: leafSize + 8*pageSize, BlockSize: bs, Seed: 5, Memory: 16 << 20,
			Cache: rapid.SampledFrom([]int64{0, 32 << 10}).Draw(t, "cache")}
		w, err := recording.Create(path, recording.Header{Size: o.Size, BlockSize: bs, Seed: o.Seed})
		if err != nil {
			t.Fatal(err)
		}
		o.Recorder = w
		m := mustNew(t, o)
		var moments []moment
		s := seed.Seed(rapid.Uint64().Draw(t, "seed"))
		steps := rapid.IntRange(1, 120).Draw(t, "steps")
		blocks := int(o.Size) / bs
		var clone *Medium
		for i := range steps {
			d := s.Index(uint64(i))
			count := 1 + int(d.Below(0, 12))
			off := int64(d.Below(1, uint64(blocks-count))) * int64(bs)
			if d.Chance(2, 0.5) {
				off = 0
			}
			n := int64(count * bs)
			switch d.Below(3, 12) {
			case 0:
				m.Flush()
			case 1:
				m.Discard(off, n)
			case 2:
				m.Zero(off, n)
			case 3:
				kinds := flakey.Kinds()
				f := flakey.Fault{Kind: kinds[d.Below(4, uint64(len(kinds)-2))], Where: flakey.Selector{Probability: 0.5}}
				if err := m.Set(f); err != nil {
					t.Fatal(err)
				}
			case 4:
				if err := m.Mark("step"); err != nil {
					t.Fatal(err)
				}
			case 5:
				if !d.Chance(6, 0.3) {
					continue
				}
				after, _, err := m.Cut(flakey.Keep{Mode: modes()[d.Below(5, 4)]})
				if err != nil {
					t.Fatal(err)
				}
				m = after
			case 6: // shares memory, which must not change what is recorded
				if clone == nil {
					if clone, err = m.Clone(); err != nil {
						t.Fatal(err)
					}
				}
			default:
				m.WriteAt(fillBlocks(bs, count, uint32(i+1)), off)
			}
			if d.Chance(7, 0.1) {
				n, err := w.Mark("moment")
				if err != nil {
					t.Fatal(err)
				}
				moments = append(moments, seen(t, m, n+1))
			}
		}
		if err := m.Broken(); err != nil {
			t.Fatal(err)
		}
		clone.closeIfAny()
		m.Close()
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}

		r, err := recording.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		p, err := NewReplay(r, Options{Memory: 32 << 20})
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range rapid.Permutation(moments).Draw(t, "order") {
			for _, mode := range modes() {
				v, c, err := p.At(at.records, flakey.Keep{Mode: mode, Seed: 11})
				if err != nil {
					t.Fatal(err)
				}
				b := make([]byte, v.Size())
				v.ReadAt(b, 0)
				if !bytes.Equal(b, at.keeps[mode]) || c != at.cuts[mode] {
					t.Fatalf("after %d records, keep %s: %+v, want %+v; bytes differ: %d", at.records, mode, c, at.cuts[mode], len(changed(b, at.keeps[mode])))
				}
				if mode == flakey.KeepAll && !bytes.Equal(b, at.now) {
					t.Fatalf("after %d records it is not what a reader saw", at.records)
				}
				v.WriteAt(fillBlocks(bs, 8, 0xffffff), 0) // is of no matter to the others
				if err := v.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		if used := p.cursor.arena.used; used != 0 {
			t.Fatalf("%d pages are left", used)
		}
	})
}

// TestReplayOfFullMemory: what became durable because memory ended is in the
// recording, and nothing is twice.
func TestReplayOfFullMemory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r")
	w, err := recording.Create(path, recording.Header{Size: 1 << 20, BlockSize: 4096})
	if err != nil {
		t.Fatal(err)
	}
	m := mustNew(t, Options{Size: 1 << 20, BlockSize: 4096, Memory: 300 * pageSize, Recorder: w})
	const writes = 200
	for i := range int64(writes) {
		errno(t, "write", m.WriteAt(fillBlocks(4096, 6, uint32(i+1)), i%40*6*4096), 0)
	}
	if m.Stats().Evicted == 0 || m.Broken() != nil {
		t.Fatal("evicted", m.Stats().Evicted, m.Broken())
	}
	want := contents(t, m)
	after, cut, err := m.Cut(flakey.Keep{Mode: flakey.KeepRandom, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	left := contents(t, after)
	after.Close()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := recording.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	recorded := 0
	for i := range r.Len() {
		if rec, err := r.Record(i); err != nil {
			t.Fatal(err)
		} else if rec.Kind == recording.Write {
			recorded++
		}
	}
	if recorded != writes {
		t.Errorf("%d writes were recorded, %d done", recorded, writes)
	}
	p, err := NewReplay(r, Options{Memory: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, c := range []struct {
		upTo int
		keep flakey.Keep
		want []uint32
	}{{r.Len() - 1, flakey.Keep{Mode: flakey.KeepAll}, want}, {r.Len() - 1, flakey.Keep{Mode: flakey.KeepRandom, Seed: 1}, left}, {r.Len(), flakey.Keep{}, left}} {
		v, got, err := p.At(c.upTo, c.keep)
		if err != nil {
			t.Fatal(err)
		}
		if why := differ(c.want, contents(t, v)); why != "" || c.keep.Mode == flakey.KeepRandom && got != cut {
			t.Errorf("after %d records: %s; %+v, the disk had %+v", c.upTo, why, got, cut)
		}
		v.Close()
	}
}

func TestRebuild(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r")
	w, err := recording.Create(path, recording.Header{Size: 1 << 20, BlockSize: 512})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Size: 2 << 20, Recorder: w}); err == nil {
		t.Error("a recording of another disk was taken")
	}
	m := mustNew(t, Options{Size: 1 << 20, Recorder: w})
	m.WriteAt(fillBlocks(512, 1, 1), 0)
	m.Flush()
	m.WriteAt(fillBlocks(512, 1, 2), 0)
	m.WriteAt(fillBlocks(512, 1, 3), 512)
	m.Close()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := recording.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, c := range []struct {
		upTo int
		mode flakey.Mode
		a, b uint32
	}{{0, flakey.KeepAll, 0, 0}, {1, flakey.KeepNone, 0, 0}, {1, flakey.KeepAll, 1, 0}, {2, flakey.KeepNone, 1, 0}, {3, flakey.KeepAll, 2, 0}, {4, flakey.KeepAll, 2, 3}, {4, "", 1, 0}} {
		v, _, err := Rebuild(r, c.upTo, flakey.Keep{Mode: c.mode}, Options{Memory: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if got := contents(t, v); got[0] != c.a || got[1] != c.b {
			t.Errorf("after %d records, keep %s: %d %d, want %d %d", c.upTo, c.mode, got[0], got[1], c.a, c.b)
		}
		v.Close()
	}
	for _, upTo := range []int{-1, 5} {
		if _, _, err := Rebuild(r, upTo, flakey.Keep{}, Options{Memory: 1 << 20}); err == nil {
			t.Errorf("%d of 4 records were replayed", upTo)
		}
	}
	if _, _, err := Rebuild(r, 4, flakey.Keep{}, Options{Memory: 8192}); err != nil {
		t.Error("two pages do not fit into two:", err)
	}
	if _, _, err := Rebuild(r, 4, flakey.Keep{}, Options{Memory: 4096}); err == nil {
		t.Error("two pages fit into one")
	}
}
