package medium

import (
	"bytes"
	"math/bits"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/flakey"
)

const sector = flakey.SectorSize

// striped is a disk of 1 MiB whose block b holds b+1, all durable.
func striped(t *testing.T, bs int) *Medium {
	t.Helper()
	m := mustNew(t, Options{Size: 1 << 20, BlockSize: bs, Seed: 3})
	t.Cleanup(func() { m.Close() })
	for b := range 1 << 20 / bs {
		if e := m.WriteAt(fillBlocks(bs, 1, uint32(b+1)), int64(b*bs)); e != 0 {
			t.Fatal(e)
		}
	}
	if e := m.Flush(); e != 0 {
		t.Fatal(e)
	}
	return m
}

func set(t *testing.T, m *Medium, faults ...flakey.Fault) {
	t.Helper()
	if err := m.Set(faults...); err != nil {
		t.Fatal(err)
	}
}

func touched(t *testing.T, m *Medium, k flakey.Kind, want int64) {
	t.Helper()
	got := m.Stats().Touched
	if got[k] != want || len(got) > 1 || (want == 0) != (len(got) == 0) {
		t.Errorf("touched %v, want %s %d and nothing else", got, k, want)
	}
}

func errno(t *testing.T, doing string, got, want syscall.Errno) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", doing, got, want)
	}
}

// image is what a reader sees of all of the disk.
func image(t *testing.T, m *Medium) []byte {
	t.Helper()
	b := make([]byte, m.Size())
	if e := m.ReadAt(b, 0); e != 0 {
		t.Fatal(e)
	}
	return b
}

// changed are the offsets at which two images differ.
func changed(a, b []byte) (at []int) {
	for i := range a {
		if a[i] != b[i] {
			at = append(at, i)
		}
	}
	return at
}

func TestKindsAreCounted(t *testing.T) {
	if n := len(flakey.Kinds()); n != kinds {
		t.Fatalf("there are %d faults, and counters for %d", n, kinds)
	}
}

// TestWriteFaults writes, discards and zeroes into the range of a fault and
// beside it. Only what is in it is touched.
func TestWriteFaults(t *testing.T) {
	for kind, want := range map[flakey.Kind]syscall.Errno{flakey.DropWrites: 0, flakey.ErrorWrites: syscall.EIO} {
		t.Run(string(kind), func(t *testing.T) {
			m := striped(t, 512)
			before := image(t, m)
			set(t, m, flakey.Fault{Kind: kind, Where: flakey.Selector{FromSector: 8, ToSector: 16}})
			data := fillBlocks(512, 4, 0xabcdef)
			errno(t, "write within", m.WriteAt(data, 8*sector), want)
			errno(t, "write that reaches in", m.WriteAt(data, 5*sector), want)
			errno(t, "discard", m.Discard(15*sector, sector), want)
			errno(t, "zero", m.Zero(8*sector, 8*sector), want)
			errno(t, "flush", m.Flush(), 0)
			if at := changed(before, image(t, m)); len(at) > 0 {
				t.Errorf("bytes changed: %v", at)
			}
			errno(t, "write before", m.WriteAt(data, 4*sector), 0)
			errno(t, "write behind", m.WriteAt(data, 16*sector), 0)
			copy(before[4*sector:], data)
			copy(before[16*sector:], data)
			if at := changed(before, image(t, m)); len(at) > 0 {
				t.Errorf("bytes changed: %v", at)
			}
			touched(t, m, kind, 4)
			set(t, m)
			errno(t, "write afterwards", m.WriteAt(data, 8*sector), 0)
			copy(before[8*sector:], data)
			if at := changed(before, image(t, m)); len(at) > 0 {
				t.Errorf("bytes changed: %v", at)
			}
			touched(t, m, kind, 4)
		})
	}
}

func TestErrorReads(t *testing.T) {
	m := striped(t, 512)
	set(t, m, flakey.Fault{Kind: flakey.ErrorReads, Where: flakey.Selector{FromSector: 8, ToSector: 9}})
	b := make([]byte, 2*sector)
	errno(t, "read", m.ReadAt(b, 7*sector), syscall.EIO)
	errno(t, "read beside", m.ReadAt(b, 9*sector), 0)
	errno(t, "write", m.WriteAt(b, 8*sector), 0)
	touched(t, m, flakey.ErrorReads, 1)
}

// TestFlushFaults: what such a flush has covered is lost in a power cut, and
// what was durable is there.
func TestFlushFaults(t *testing.T) {
	for kind, want := range map[flakey.Kind]syscall.Errno{flakey.DropFlushes: 0, flakey.ErrorFlushes: syscall.EIO, "": 0} {
		t.Run("fault "+string(kind), func(t *testing.T) {
			m := striped(t, 512)
			before := image(t, m)
			if kind != "" {
				// The range is of no matter to a flush.
				set(t, m, flakey.Fault{Kind: kind, Where: flakey.Selector{FromSector: 1000}})
			}
			data := fillBlocks(512, 4, 0xabcdef)
			errno(t, "write", m.WriteAt(data, 8*sector), 0)
			errno(t, "flush", m.Flush(), want)
			n := int64(1)
			if kind == "" {
				copy(before[8*sector:], data)
				n = 0
			}
			touched(t, m, kind, n)
			after, c, err := m.Cut(flakey.Keep{})
			if err != nil {
				t.Fatal(err)
			}
			defer after.Close()
			if at := changed(before, image(t, after)); len(at) > 0 || c.Lost != 4*n {
				t.Errorf("%+v, bytes changed: %v", c, at)
			}
			errno(t, "flush", after.Flush(), 0)
			if s := after.Stats(); s.Flushes != 3 {
				t.Errorf("%d flushes: the counts go on", s.Flushes)
			}
		})
	}
}

func TestCorruptReads(t *testing.T) {
	m := striped(t, 512)
	before := image(t, m)
	read := func() []byte {
		b := make([]byte, 8*sector)
		errno(t, "read", m.ReadAt(b, 0), 0)
		return b
	}
	set(t, m, flakey.Fault{Kind: flakey.CorruptReads, Nth: 32, Value: 0xee})
	if b := read(); b[31] != 0xee || len(changed(b, before[:len(b)])) != 1 {
		t.Error("bytes changed:", changed(b, before[:len(b)]))
	}
	errno(t, "read of less", m.ReadAt(make([]byte, 31), 0), 0)
	set(t, m, flakey.Fault{Kind: flakey.CorruptReads, Nth: 1, Value: before[0]})
	read()
	touched(t, m, flakey.CorruptReads, 1)

	set(t, m, flakey.Fault{Kind: flakey.CorruptReads, Seed: 5})
	places := map[int]bool{}
	for range 20 {
		b := read()
		at := changed(b, before[:len(b)])
		if len(at) != 1 || bits.OnesCount8(b[at[0]]^before[at[0]]) != 1 {
			t.Fatal("not one bit:", at)
		}
		places[at[0]] = true
	}
	if len(places) < 10 {
		t.Error("the bits are in a few places:", places)
	}
	touched(t, m, flakey.CorruptReads, 21)
	set(t, m)
	if !bytes.Equal(image(t, m), before) {
		t.Error("reading has changed the disk")
	}
}

func TestCorruptWrites(t *testing.T) {
	m := striped(t, 512)
	want := image(t, m)
	data := fillBlocks(512, 8, 0x01010101)
	given := bytes.Clone(data)
	set(t, m, flakey.Fault{Kind: flakey.CorruptWrites, Nth: 513, Value: 0xee})
	errno(t, "write", m.WriteAt(data, 8*sector), 0)
	if !bytes.Equal(data, given) {
		t.Error("the caller's data has changed")
	}
	errno(t, "short write", m.WriteAt(data[:512], 100*sector), 0)
	errno(t, "zero", m.Zero(200*sector, 8*sector), 0)
	copy(want[8*sector:], data)
	want[9*sector] = 0xee
	copy(want[100*sector:], data[:512])
	clear(want[200*sector : 208*sector])
	if at := changed(want, image(t, m)); len(at) > 0 {
		t.Error("bytes differ:", at)
	}
	touched(t, m, flakey.CorruptWrites, 1)
	set(t, m, flakey.Fault{Kind: flakey.CorruptWrites})
	errno(t, "write", m.WriteAt(data, 0), 0)
	copy(want, data)
	got := image(t, m)
	if at := changed(want, got); len(at) != 1 || bits.OnesCount8(want[at[0]]^got[at[0]]) != 1 || at[0] >= len(data) {
		t.Error("bytes differ:", at)
	}
}

func TestTearWrites(t *testing.T) {
	for _, bs := range []int{512, 4096} {
		m := striped(t, bs)
		set(t, m, flakey.Fault{Kind: flakey.TearWrites, Seed: 9})
		lengths := map[int]bool{}
		for i := range 60 {
			before := contents(t, m)
			v := uint32(0x10000 + i)
			errno(t, "write", m.WriteAt(fillBlocks(bs, 5, v), int64(3*bs)), 0)
			n := 0
			for b, got := range contents(t, m) {
				switch {
				case got == v && b == 3+n && n < 4:
					n++
				case got != before[b]:
					t.Fatalf("block %d is %#x", b, got)
				}
			}
			lengths[n] = true
		}
		if len(lengths) != 4 || lengths[0] || lengths[5] {
			t.Error("of 5 blocks were written:", lengths)
		}
		errno(t, "write of a block", m.WriteAt(fillBlocks(bs, 1, 1), 0), 0)
		if contents(t, m)[0] != 1 {
			t.Error("a block was torn")
		}
		touched(t, m, flakey.TearWrites, 60)
	}
}

func TestMisdirectWrites(t *testing.T) {
	m := striped(t, 512)
	f := flakey.Fault{Kind: flakey.MisdirectWrites, Where: flakey.Selector{FromSector: 10, ToSector: 20}, Seed: 4}
	places := map[int]bool{}
	for i := range 200 {
		f.Seed++
		set(t, m, f)
		before := contents(t, m)
		v := uint32(0x10000 + i)
		errno(t, "write", m.WriteAt(fillBlocks(512, 2, v), 13*sector), 0)
		at := -1
		for b, got := range contents(t, m) {
			if got == before[b] {
				continue
			}
			if got != v || at >= 0 && b != at+1 {
				t.Fatalf("block %d is %#x", b, got)
			}
			if at < 0 {
				at = b
			}
		}
		places[at] = true
	}
	for at := 10; at <= 18; at++ {
		if right := at >= 12 && at <= 14; places[at] == right {
			t.Errorf("written at %d: %v", at, places[at])
		}
	}
	if len(places) != 6 {
		t.Error("written at", places)
	}
	before := contents(t, m)
	errno(t, "write of all the range", m.WriteAt(fillBlocks(512, 10, 7), 10*sector), 0)
	if contents(t, m)[10] != 7 {
		t.Error("what has no other place went elsewhere")
	}
	errno(t, "write outside", m.WriteAt(fillBlocks(512, 1, 7), 0), 0)
	if got := contents(t, m); got[0] != 7 || got[30] != before[30] {
		t.Error("a write outside the range was touched")
	}
	// It reaches into the range, and is as long: the one place in there overlaps.
	errno(t, "long write across", m.WriteAt(fillBlocks(512, 10, 8), 5*sector), 0)
	if contents(t, m)[5] != 8 {
		t.Error("it was misdirected to itself")
	}
	touched(t, m, flakey.MisdirectWrites, 200)
}

func TestStaleReads(t *testing.T) {
	m := striped(t, 512)
	set(t, m, flakey.Fault{Kind: flakey.StaleReads})
	b := make([]byte, 512)
	value := func(blk int) uint32 {
		errno(t, "read", m.ReadAt(b, int64(blk*512)), 0)
		return uint32(b[0]) | uint32(b[1])<<8
	}
	m.WriteAt(fillBlocks(512, 1, 0x999), 4*sector)
	m.WriteAt(fillBlocks(512, 1, 0x99a), 4*sector)
	if v := value(4); v != 5 {
		t.Errorf("%#x", v)
	}
	if v := value(5); v != 6 { // of the same page, and not written since
		t.Errorf("%#x", v)
	}
	touched(t, m, flakey.StaleReads, 1)
	m.Flush()
	if v := value(4); v != 0x99a {
		t.Errorf("%#x", v)
	}
	touched(t, m, flakey.StaleReads, 1)
}

// TestSelectors: the same requests, drawn by the fault's seed alone.
func TestSelectors(t *testing.T) {
	hits := func(f flakey.Fault, others ...flakey.Fault) (at []int) {
		m := striped(t, 512)
		set(t, m, append([]flakey.Fault{f}, others...)...)
		for i := range 400 {
			if m.ReadAt(make([]byte, 512), int64(i%100)*sector) != 0 {
				at = append(at, i)
			}
		}
		if n := m.Stats().Touched[flakey.ErrorReads]; n != int64(len(at)) {
			t.Errorf("touched %d, counted %d", len(at), n)
		}
		return at
	}
	f := flakey.Fault{Kind: flakey.ErrorReads, Seed: 1, Where: flakey.Selector{Probability: 0.25}}
	some := hits(f)
	if n := len(some); n < 60 || n > 140 {
		t.Errorf("%d of 400 with a probability of a quarter", n)
	}
	if again := hits(f, flakey.Fault{Kind: flakey.CorruptReads, Seed: 1}); len(changedInts(some, again)) > 0 {
		t.Error("another fault has changed what this one draws")
	}
	g := f
	g.Seed = 2
	if other := hits(g); len(other) == len(some) && len(changedInts(some, other)) == 0 {
		t.Error("two seeds draw the same")
	}
	f.Where.Count = 10
	if first := hits(f); len(first) != 10 || len(changedInts(first, some[:10])) > 0 {
		t.Errorf("the first 10 of %v are %v", some, first)
	}
}

func changedInts(a, b []int) (at []int) {
	if len(a) != len(b) {
		return []int{-1}
	}
	for i := range a {
		if a[i] != b[i] {
			at = append(at, i)
		}
	}
	return at
}

// TestCountGoesOn: setting another fault beside one does not begin it anew.
func TestCountGoesOn(t *testing.T) {
	m := striped(t, 512)
	f := flakey.Fault{Kind: flakey.ErrorReads, Where: flakey.Selector{Count: 2, ToSector: 1}}
	read := func() syscall.Errno { return m.ReadAt(make([]byte, 512), 0) }
	set(t, m, f)
	errno(t, "first", read(), syscall.EIO)
	set(t, m, flakey.Fault{Kind: flakey.DropWrites}, f)
	errno(t, "second", read(), syscall.EIO)
	errno(t, "third", read(), 0)
	set(t, m)
	set(t, m, f)
	errno(t, "anew", read(), syscall.EIO)
}

// TestTouchedBy: each fault has a count of its own by its ID, also where there
// are several of a kind, and keeps it through a power cut and when it has gone.
func TestTouchedBy(t *testing.T) {
	m := striped(t, 512)
	set(t, m, flakey.Fault{Kind: flakey.ErrorReads, ID: "all"},
		flakey.Fault{Kind: flakey.ErrorReads, ID: "idle", Where: flakey.Selector{FromSector: 8, ToSector: 16}})
	b := make([]byte, sector)
	for range 3 {
		errno(t, "read", m.ReadAt(b, 0), syscall.EIO)
	}
	set(t, m)
	after, _, err := m.Cut(flakey.Keep{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { after.Close() })
	if got := after.Stats().TouchedBy; len(got) != 2 || got["all"] != 3 || got["idle"] != 0 {
		t.Errorf("touched by %v, want all 3 and idle 0", got)
	}
	touched(t, after, flakey.ErrorReads, 3)
}

func TestFaultsTogether(t *testing.T) {
	m := striped(t, 512)
	set(t, m,
		flakey.Fault{Kind: flakey.CorruptWrites, Nth: 1, Value: 0x77},
		flakey.Fault{Kind: flakey.MisdirectWrites, Where: flakey.Selector{FromSector: 4, ToSector: 6}})
	errno(t, "write", m.WriteAt(fillBlocks(512, 1, 0x11111111), 4*sector), 0)
	got := image(t, m)
	if got[5*sector] != 0x77 || got[5*sector+1] != 0x11 || got[4*sector] != 5 {
		t.Errorf("%x %x", got[4*sector:4*sector+4], got[5*sector:5*sector+4])
	}
}

func TestBadFaults(t *testing.T) {
	m := striped(t, 512)
	good := flakey.Fault{Kind: flakey.ErrorReads}
	set(t, m, good)
	for _, f := range []flakey.Fault{
		{}, {Kind: "burn"},
		{Kind: flakey.Hang, Where: flakey.Selector{FromSector: 2048}},
		{Kind: flakey.Hang, Where: flakey.Selector{ToSector: 2049}},
		{Kind: flakey.Hang, Where: flakey.Selector{FromSector: 5, ToSector: 5}},
		{Kind: flakey.Hang, Where: flakey.Selector{Probability: 1.5}},
		{Kind: flakey.Hang, Where: flakey.Selector{Probability: -0.5}},
		{Kind: flakey.Hang, Where: flakey.Selector{Count: -1}},
		{Kind: flakey.CorruptReads, Flags: 32},
		{Kind: flakey.CorruptReads, Nth: -1},
		{Kind: flakey.CorruptReads, Value: 1},
		{Kind: flakey.DropWrites, Nth: 1},
		{Kind: flakey.DropWrites, Delay: time.Second},
		{Kind: flakey.Delay}, {Kind: flakey.Delay, Delay: -1},
		{Kind: flakey.MisdirectWrites, Where: flakey.Selector{FromSector: 1, ToSector: 2}},
	} {
		if err := m.Set(f); err == nil || !strings.Contains(err.Error(), string(f.Kind)) {
			t.Errorf("%+v: %v", f, err)
		}
	}
	errno(t, "read", m.ReadAt(make([]byte, 512), 0), syscall.EIO) // the old faults are on
	m.Close()
	if m.Set(good) == nil {
		t.Error("a closed disk takes faults")
	}
}
