package medium

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/seed"
	"pgregory.net/rapid"
)

// naive is the model written as plainly as it can be: each block is a number,
// with all that was written to it since the flush.
type naive struct {
	durable []uint32
	since   []naiveWrite // in order
}

type naiveWrite struct {
	block int
	value uint32
}

func (n *naive) now() []uint32 {
	now := slices.Clone(n.durable)
	for _, w := range n.since {
		now[w.block] = w.value
	}
	return now
}

func (n *naive) write(block, count int, value uint32) {
	for b := block; b < block+count; b++ {
		n.since = append(n.since, naiveWrite{b, value})
	}
}

// stake is how many blocks were written since the flush: at most all, at least
// those that were not zeroed, since zeroing a hole is nothing and the naive
// model knows of no holes.
func (n *naive) stake() (least, most int64) {
	all, written := map[int]bool{}, map[int]bool{}
	for _, w := range n.since {
		all[w.block] = true
		written[w.block] = written[w.block] || w.value != 0
	}
	for _, yes := range written {
		if yes {
			least++
		}
	}
	return least, int64(len(all))
}

func (n *naive) flush() { n.durable, n.since = n.now(), nil }

// allowed says why a content after a cut cannot be, or nothing.
func (n *naive) allowed(k flakey.Keep, got []uint32) string {
	switch k.Mode {
	case flakey.KeepAll:
		return differ(n.now(), got)
	case flakey.KeepPrefix:
		state := slices.Clone(n.durable)
		for i := 0; ; i++ {
			if slices.Equal(state, got) {
				return ""
			}
			if i == len(n.since) {
				return fmt.Sprintf("%v is no prefix of %v on %v", got, n.since, n.durable)
			}
			state[n.since[i].block] = n.since[i].value
		}
	case flakey.KeepRandom:
		for b, v := range got {
			if v != n.durable[b] && !slices.Contains(n.since, naiveWrite{b, v}) {
				return fmt.Sprintf("block %d is %d, which was neither durable nor written since", b, v)
			}
		}
		return ""
	}
	return differ(n.durable, got)
}

func differ(want, got []uint32) string {
	for b := range want {
		if want[b] != got[b] {
			return fmt.Sprintf("block %d is %d, want %d", b, got[b], want[b])
		}
	}
	return ""
}

// block is a block's content: its value over and over.
func fillBlocks(bs, count int, value uint32) []byte {
	return bytes.Repeat([]byte{byte(value), byte(value >> 8), byte(value >> 16), byte(value >> 24)}, bs*count/4)
}

// contents reads a medium block by block.
func contents(t interface {
	Helper()
	Fatalf(string, ...any)
}, m *Medium) []uint32 {
	t.Helper()
	bs := m.BlockSize()
	b := make([]byte, m.Size())
	if e := m.ReadAt(b, 0); e != 0 {
		t.Fatalf("read: %v", e)
	}
	values := make([]uint32, len(b)/bs)
	for i := range values {
		blk := b[i*bs : (i+1)*bs]
		v := binary.LittleEndian.Uint32(blk)
		if !bytes.Equal(blk, fillBlocks(bs, 1, v)) {
			t.Fatalf("block %d is of several writes", i)
		}
		values[i] = v
	}
	return values
}

func mustNew(t interface {
	Helper()
	Fatalf(string, ...any)
}, o Options) *Medium {
	t.Helper()
	if o.Memory == 0 {
		o.Memory = 64 << 20
	}
	m, err := New(o)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return m
}

// accounts checks that the pages of memory handed out are those that the media
// of one arena hold.
func accounts(t *rapid.T, media ...*Medium) {
	t.Helper()
	held := map[uint32]int{}
	for _, m := range media {
		dirty, older := int64(0), int64(0)
		for l := range m.tree.all(0, m.leaves) {
			for _, id := range l.holds(nil) {
				held[id]++
				older++
			}
			for slot := range leafPages {
				if l.now(slot) != 0 {
					older--
				}
			}
			for i := range l.versions {
				dirty += m.bytesOf(l.versions[i].blocks)
			}
			if len(l.versions) > 0 && !slices.Contains(m.dirty, l) {
				t.Fatalf("a leaf with versions is not among the dirty ones")
			}
		}
		if dirty != m.Stats().Dirty || older != m.older.Load() {
			t.Fatalf("%d bytes are dirty, %d are counted; %d pages are older, %d are counted", dirty, m.Stats().Dirty, older, m.older.Load())
		}
	}
	a := media[0].arena
	for id, n := range held {
		if c := int(a.count(id).Load()) + 1; c != n {
			t.Fatalf("page %d is held %d times, counted %d", id, n, c)
		}
	}
	if a.used != len(held) {
		t.Fatalf("%d pages are held, %d are handed out", len(held), a.used)
	}
}

// TestModel does whatever may be done to a disk, in any order, beside the
// naive model.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bs := rapid.SampledFrom([]int{512, 4096}).Draw(t, "block size")
		// Up to two leaves, so that writes cross from one to the other.
		blocks := rapid.IntRange(1, (leafSize+8*pageSize)/pageSize).Draw(t, "pages") * pageSize / bs
		m := mustNew(t, Options{Size: int64(blocks * bs), BlockSize: bs, Seed: 1})
		model := &naive{durable: make([]uint32, blocks)}
		type copied struct {
			m      *Medium
			values []uint32
		}
		var clones []copied
		value := uint32(0)
		// Few places, so that blocks are written again and again.
		place := func(t *rapid.T) (block, count int) {
			count = rapid.IntRange(1, min(blocks, 20)).Draw(t, "count")
			spots := []int{0, 1, 7, leafSize/bs - 3, blocks - count}
			block = min(max(0, rapid.SampledFrom(spots).Draw(t, "block")), blocks-count)
			return block, count
		}
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				b, n := place(t)
				value++
				if e := m.WriteAt(fillBlocks(bs, n, value), int64(b*bs)); e != 0 {
					t.Fatal(e)
				}
				model.write(b, n, value)
			},
			"discard": func(t *rapid.T) {
				b, n := place(t)
				zero := m.Discard
				if rapid.Bool().Draw(t, "zero") {
					zero = m.Zero
				}
				if e := zero(int64(b*bs), int64(n*bs)); e != 0 {
					t.Fatal(e)
				}
				model.write(b, n, 0)
			},
			"flush": func(t *rapid.T) {
				if e := m.Flush(); e != 0 {
					t.Fatal(e)
				}
				model.flush()
				if d := m.Stats().Dirty; d != 0 {
					t.Fatalf("%d bytes are dirty after a flush", d)
				}
			},
			"cut": func(t *rapid.T) {
				k := flakey.Keep{Seed: seed.Seed(rapid.Uint64().Draw(t, "seed")),
					Mode: rapid.SampledFrom([]flakey.Mode{"", flakey.KeepNone, flakey.KeepAll, flakey.KeepPrefix, flakey.KeepRandom}).Draw(t, "keep")}
				after, c, err := m.Cut(k)
				if err != nil {
					t.Fatal(err)
				}
				if e := m.WriteAt(make([]byte, bs), 0); e == 0 {
					t.Fatal("a disk without power takes a write")
				}
				if e := m.ReadAt(make([]byte, bs), 0); e == 0 {
					t.Fatal("a disk without power can be read")
				}
				got := contents(t, after)
				if why := model.allowed(k, got); why != "" {
					t.Fatalf("keep %s: %s", k.Mode, why)
				}
				least, most := model.stake()
				if c.AtStake != c.Kept+c.Older+c.Lost || c.AtStake < least || c.AtStake > most {
					t.Fatalf("%+v with %d to %d blocks at stake", c, least, most)
				}
				m, model = after, &naive{durable: got}
			},
			"clone": func(t *rapid.T) {
				if len(clones) == 3 {
					t.Skip("enough")
				}
				c, err := m.Clone()
				if err != nil {
					t.Fatal(err)
				}
				clones = append(clones, copied{c, model.now()})
			},
			"write to a clone": func(t *rapid.T) {
				if len(clones) == 0 {
					t.Skip("none")
				}
				c := clones[rapid.IntRange(0, len(clones)-1).Draw(t, "which")]
				b, n := place(t)
				value++
				if e := c.m.WriteAt(fillBlocks(bs, n, value), int64(b*bs)); e != 0 {
					t.Fatal(e)
				}
				for i := range n {
					c.values[b+i] = value
				}
			},
			"close a clone": func(t *rapid.T) {
				if len(clones) == 0 {
					t.Skip("none")
				}
				last := len(clones) - 1
				if err := clones[last].m.Close(); err != nil {
					t.Fatal(err)
				}
				clones = clones[:last]
			},
			"": func(t *rapid.T) {
				if why := differ(model.now(), contents(t, m)); why != "" {
					t.Fatal(why)
				}
				all := []*Medium{m}
				for i, c := range clones {
					if why := differ(c.values, contents(t, c.m)); why != "" {
						t.Fatalf("clone %d: %s", i, why)
					}
					all = append(all, c.m)
				}
				accounts(t, all...)
				if err := m.Broken(); err != nil {
					t.Fatal(err)
				}
			},
		})
		for _, c := range clones {
			if err := c.m.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		if m.arena.used != 0 {
			t.Fatalf("%d pages are left", m.arena.used)
		}
	})
}

// TestEveryOutcome writes blocks twice and cuts with many seeds: all outcomes
// that the model allows are reached, and no other.
func TestEveryOutcome(t *testing.T) {
	for _, bs := range []int{512, 4096} {
		for mode, want := range map[flakey.Mode][]string{
			flakey.KeepNone: {"1 1 1"},
			flakey.KeepAll:  {"3 2 3"},
			// written in this order: a=2 b=2 a=3 c=3
			flakey.KeepPrefix: {"1 1 1", "2 1 1", "2 2 1", "3 2 1", "3 2 3"},
			flakey.KeepRandom: {"1 1 1", "1 1 3", "1 2 1", "1 2 3", "2 1 1", "2 1 3", "2 2 1", "2 2 3", "3 1 1", "3 1 3", "3 2 1", "3 2 3"},
		} {
			got := map[string]int{}
			for s := range seed.Seed(200) {
				m := mustNew(t, Options{Size: 2 * leafSize, BlockSize: bs})
				put := func(block int, value uint32) {
					if e := m.WriteAt(fillBlocks(bs, 1, value), int64(block*bs)); e != 0 {
						t.Fatal(e)
					}
				}
				a, b, c := 0, 1, leafSize/bs+2
				for _, blk := range []int{a, b, c} {
					put(blk, 1)
				}
				m.Flush()
				put(a, 2)
				put(b, 2)
				put(a, 3)
				put(c, 3)
				after, cut, err := m.Cut(flakey.Keep{Mode: mode, Seed: s + 1})
				if err != nil {
					t.Fatal(err)
				}
				block := make([]byte, bs)
				var v [3]uint32
				for i, at := range []int{a, b, c} {
					after.ReadAt(block, int64(at*bs))
					v[i] = binary.LittleEndian.Uint32(block)
					if !bytes.Equal(block, fillBlocks(bs, 1, v[i])) {
						t.Fatal("a block is of two writes")
					}
				}
				got[fmt.Sprint(v[0], v[1], v[2])]++
				if cut.AtStake != 3 || cut.Kept+cut.Older+cut.Lost != 3 || (cut.Older == 1) != (v[0] == 2) {
					t.Fatalf("%+v with %v", cut, v)
				}
				after.Close()
			}
			if reached := slices.Sorted(maps.Keys(got)); !slices.Equal(reached, want) {
				t.Errorf("blocks of %d, keep %s: reached %v, want %v", bs, mode, reached, want)
			}
		}
	}
}

// TestCutIsDrawn wants the same from the same seed, and something else from another.
func TestCutIsDrawn(t *testing.T) {
	cut := func(of, keep seed.Seed, mode flakey.Mode) ([]uint32, flakey.Cut) {
		m := mustNew(t, Options{Size: 1 << 20, Seed: of})
		for v := range uint32(3) {
			for b := range 200 {
				m.WriteAt(fillBlocks(512, 1, v+1), int64(b*5*512))
			}
		}
		after, c, err := m.Cut(flakey.Keep{Mode: mode, Seed: keep})
		if err != nil {
			t.Fatal(err)
		}
		defer after.Close()
		return contents(t, after), c
	}
	for _, mode := range []flakey.Mode{flakey.KeepPrefix, flakey.KeepRandom} {
		one, c1 := cut(1, 7, mode)
		same, c2 := cut(2, 7, mode)
		other, _ := cut(1, 8, mode)
		if !slices.Equal(one, same) || c1 != c2 {
			t.Errorf("%s: two cuts with one seed differ", mode)
		}
		if slices.Equal(one, other) {
			t.Errorf("%s: two seeds give one cut", mode)
		}
		mine, _ := cut(1, 0, mode)
		again, _ := cut(1, 0, mode)
		others, _ := cut(2, 0, mode)
		if !slices.Equal(mine, again) || slices.Equal(mine, others) {
			t.Errorf("%s: a cut without a seed is not drawn from the medium's", mode)
		}
	}
}

func TestBadKeep(t *testing.T) {
	m := mustNew(t, Options{Size: 1 << 20})
	defer m.Close()
	for _, k := range []flakey.Keep{{Mode: "some"}, {Mode: flakey.KeepRandom, Probability: 1.1}, {Mode: flakey.KeepRandom, Probability: -1}, {Mode: flakey.KeepAll, Probability: 0.5}} {
		if _, _, err := m.Cut(k); err == nil {
			t.Errorf("%+v passed", k)
		}
	}
	if e := m.WriteAt(make([]byte, 512), 0); e != 0 {
		t.Error("a refused cut has changed something:", e)
	}
}
