package medium

import (
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/seed"
	"golang.org/x/sys/unix"
)

func full() bool { return os.Getenv("ASSAY_FULL") == "1" }

// resident is how much memory the kernel has given to the arena, by mincore(2).
func resident(t *testing.T, a *arena) int64 {
	t.Helper()
	vec := make([]byte, len(a.mapping)/pageSize)
	// x/sys has no mincore: the mapping begins at a page.
	if _, _, e := unix.Syscall(unix.SYS_MINCORE, addressOf(a.mapping), uintptr(len(vec)*pageSize), addressOf(vec)); e != 0 {
		t.Skip("mincore:", e)
	}
	n := int64(0)
	for _, v := range vec {
		n += int64(v & 1)
	}
	return n * pageSize
}

// TestMemory overwrites live data with flushes in between.
func TestMemory(t *testing.T) {
	live, chunk := int64(64<<20), int64(2<<20)
	if full() {
		live, chunk = 256<<20, 8<<20
	}
	m := mustNew(t, Options{Size: 1 << 30, Memory: 1 << 30})
	defer m.Close()
	data := make([]byte, 128<<10)
	worst, worstResident := int64(0), int64(0)
	measure := func() {
		worst = max(worst, m.Stats().Memory)
	}
	for round := range 5 {
		for off := int64(0); off < live; off += int64(len(data)) {
			data[0] = byte(round)
			errno(t, "write", m.WriteAt(data, off), 0)
			if round > 0 {
				measure()
			}
			if off%chunk == 0 {
				errno(t, "flush", m.Flush(), 0)
			}
		}
		m.Flush()
		if round > 0 {
			worstResident = max(worstResident, resident(t, m.arena))
		}
	}
	t.Logf("live %d MiB, at worst %.3f times that, resident %.3f", live>>20, float64(worst)/float64(live), float64(worstResident)/float64(live))
	if limit := live * 13 / 10; worst > limit || worstResident > limit {
		t.Errorf("%d bytes live took %d, resident %d", live, worst, worstResident)
	}
}

// TestMemoryIsGivenBack: what is discarded leaves the process.
func TestMemoryIsGivenBack(t *testing.T) {
	m := mustNew(t, Options{Size: 1 << 30, Memory: 1 << 30})
	defer m.Close()
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(i)
	}
	for off := int64(0); off < 96<<20; off += 1 << 20 {
		m.WriteAt(data, off)
	}
	m.Flush()
	before := resident(t, m.arena)
	m.Discard(0, 1<<30)
	m.Flush()
	for range 300_000 {
		if r := resident(t, m.arena); r < before/3 {
			t.Logf("resident %d MiB, then %d", before>>20, r>>20)
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("resident %d, still %d after all was discarded", before, resident(t, m.arena))
}

// TestReady: memory is there before anybody writes, no more than was asked for,
// and is used then.
func TestReady(t *testing.T) {
	none := mustNew(t, Options{Size: 1 << 30, Memory: 1 << 30})
	<-none.Ready()
	none.Close()
	m := mustNew(t, Options{Size: 1 << 30, Memory: 1 << 30, Ready: 24 << 20})
	defer m.Close()
	<-m.Ready()
	if n := m.Stats().Memory; n != 24<<20-pageSize { // page 0 is a hole
		t.Errorf("%d bytes are ready", n)
	}
	for range 300_000 { // the last huge pages may be under way
		if resident(t, m.arena) >= 24<<20-pageSize {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if r := resident(t, m.arena); r < 24<<20-pageSize || r > 26<<20 {
		t.Errorf("resident %d, wanted %d", r, 24<<20)
	}
	data := make([]byte, 1<<20)
	for off := int64(0); off < 20<<20; off += 1 << 20 {
		errno(t, "write", m.WriteAt(data, off), 0)
	}
	if n := m.Stats().Memory; n != 24<<20-pageSize {
		t.Errorf("%d bytes in use", n)
	}
}

// TestReadyEnds: what was made ready and nobody uses goes back, and what is
// written before, meanwhile and afterwards stays.
func TestReadyEnds(t *testing.T) {
	m := mustNew(t, Options{Size: 1 << 30, Memory: 1 << 30, Ready: 160 << 20})
	defer m.Close()
	eventually := func(what string, is func() bool) {
		t.Helper()
		for range 300_000 {
			if is() {
				return
			}
			time.Sleep(time.Millisecond)
		}
		t.Errorf("%s: resident %d MiB, %d counted", what, resident(t, m.arena)>>20, m.Stats().Memory>>20)
	}
	data := make([]byte, pageSize)
	write := func(from, to int64) {
		for page := from; page < to; page += pageSize {
			errno(t, "write", m.WriteAt(fillBlocks(pageSize, 1, uint32(page)+1), page), 0)
		}
	}
	<-m.Ready()
	const third = 10 << 20
	write(0, third)
	m.arena.unready()
	write(third, 2*third)
	most := int64(2*third + maxAhead*pageSize + hugeSize)
	eventually("what is not used is not given back", func() bool { return m.Stats().Memory <= most && resident(t, m.arena) <= most })
	write(2*third, 3*third)
	for page := int64(0); page < 3*third; page += pageSize {
		errno(t, "read", m.ReadAt(data, page), 0)
		if v := binary.LittleEndian.Uint32(data); v != uint32(page)+1 {
			t.Fatalf("page %d holds %d", page, v)
		}
	}
}

// TestMemoryEnds: overwriting goes on, since the oldest writes become durable;
// what does not fit fails and says so; nothing is lost of what was there.
func TestMemoryEnds(t *testing.T) {
	m := mustNew(t, Options{Size: 4 << 20, BlockSize: 4096, Memory: 1 << 20})
	defer m.Close()
	page := func(v uint32) []byte { return fillBlocks(4096, 1, v) }
	for round := range uint32(10) {
		for b := range int64(200) {
			errno(t, "overwrite", m.WriteAt(page(round*1000+uint32(b)), b*4096), 0)
		}
	}
	if err := m.Broken(); err != nil {
		t.Fatal(err)
	}
	if m.Stats().Evicted == 0 {
		t.Error("no write became durable")
	}
	failed := syscall.Errno(0)
	n := 0
	for b := int64(200); b < 400 && failed == 0; b++ {
		failed = m.WriteAt(page(1), b*4096)
		n++
	}
	errno(t, "write of what does not fit", failed, syscall.EIO)
	if err := m.Broken(); !errors.Is(err, errNoMemory) {
		t.Error("broken:", err)
	}
	if n != 57 {
		t.Errorf("%d pages more fitted into 256 with 200 in use", n-1)
	}
	for b, v := range contents(t, m)[:200] {
		if v != 9000+uint32(b) {
			t.Fatalf("page %d holds %d", b, v)
		}
	}
	after, _, err := m.Cut(flakey.Keep{Mode: flakey.KeepAll})
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	if after.Broken() == nil {
		t.Error("a cut has mended it")
	}
}

// TestHostIsExhausted: the limit allows it and the machine has nothing left.
func TestHostIsExhausted(t *testing.T) {
	var free atomic.Int64
	free.Store(1 << 40)
	a, err := newArena(1<<30, 0, func() (int64, error) { return free.Load(), nil })
	if err != nil {
		t.Fatal(err)
	}
	o, err := Options{Size: 1 << 30}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	m := on(a, o)
	defer m.Close()
	data := make([]byte, 1<<20)
	for off := int64(0); off < 32<<20; off += 1 << 20 {
		errno(t, "write", m.WriteAt(data, off), 0)
	}
	free.Store(reserve)
	e := syscall.Errno(0)
	for off := int64(32 << 20); off < 96<<20 && e == 0; off += 1 << 20 {
		e = m.WriteAt(data, off)
	}
	errno(t, "write", e, syscall.EIO)
	if err := m.Broken(); err == nil || !strings.Contains(err.Error(), "the machine has") {
		t.Error("broken:", err)
	}
	errno(t, "read", m.ReadAt(data, 0), 0)
}

// TestCache: no more than the cache is ever unflushed, and it is the oldest
// writes that became durable.
func TestCache(t *testing.T) {
	const limit = 64 << 10
	m := mustNew(t, Options{Size: 1 << 20, BlockSize: 4096, Cache: limit})
	for b := range int64(100) {
		errno(t, "write", m.WriteAt(fillBlocks(4096, 1, uint32(b+1)), b*4096), 0)
		if d := m.Stats().Dirty; d > limit {
			t.Fatalf("%d bytes are unflushed", d)
		}
	}
	s := m.Stats()
	if s.Evicted*4096+s.Dirty != 100*4096 || s.Dirty < limit*7/8 {
		t.Errorf("%d blocks evicted, %d bytes unflushed of 100 blocks", s.Evicted, s.Dirty)
	}
	after, c, err := m.Cut(flakey.Keep{})
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	if c.Lost != s.Dirty/4096 {
		t.Errorf("%+v with %d bytes unflushed", c, s.Dirty)
	}
	for b, v := range contents(t, after) {
		want := uint32(b + 1)
		if int64(b) >= s.Evicted {
			want = 0
		}
		if v != want {
			t.Fatalf("block %d holds %d, want %d", b, v, want)
		}
	}
}

// TestCacheOfGroups writes single blocks of pages, which share memory: what a
// full cache makes durable is there, what it does not is at stake, and nothing
// is both.
func TestCacheOfGroups(t *testing.T) {
	for s := range seed.Seed(200) {
		m := mustNew(t, Options{Size: 1 << 20, Cache: 4096})
		for i := range uint64(60) { // each block once at most, in few pages
			b := int64(s.Below(i, 64))
			if m.readBlock(b) == 0 {
				errno(t, "write", m.WriteAt(fillBlocks(512, 1, uint32(i+1)), b*512), 0)
			}
			if d := m.Stats().Dirty; d > 4096 {
				t.Fatalf("%d bytes are unflushed", d)
			}
		}
		before := m.Stats()
		now := contents(t, m)
		after, c, err := m.Cut(flakey.Keep{})
		if err != nil {
			t.Fatal(err)
		}
		durable := int64(0)
		for b, v := range contents(t, after) {
			if v != 0 && v != now[b] {
				t.Fatalf("block %d is %d", b, v)
			}
			if v != 0 {
				durable++
			}
		}
		if durable != before.Evicted || c.Lost != c.AtStake || c.Lost*512 != before.Dirty {
			t.Fatalf("seed %d: %d blocks were made durable, %d are; %d bytes were unflushed: %+v", s, before.Evicted, durable, before.Dirty, c)
		}
		after.Close()
		if m.arena.used != 0 {
			t.Fatalf("%d pages are left", m.arena.used)
		}
	}
}

// readBlock is the value of a block of 512 bytes.
func (m *Medium) readBlock(b int64) uint32 {
	p := make([]byte, 4)
	m.ReadAt(p, b*512)
	return binary.LittleEndian.Uint32(p)
}

func TestBadOptions(t *testing.T) {
	for _, o := range []Options{
		{}, {Size: -4096}, {Size: 5000}, {Size: flakey.MaxSize + 4096}, {Size: 4096, BlockSize: 1024},
		{Size: 4096, Cache: -1}, {Size: 4096, Memory: -1}, {Size: 4096, Memory: 4095}, {Size: 4096, Ready: -1},
	} {
		if m, err := New(o); err == nil {
			t.Errorf("%+v passed", o)
			m.Close()
		}
	}
	// The largest disk takes little until it is written to.
	m := mustNew(t, Options{Size: flakey.MaxSize})
	defer m.Close()
	data := fillBlocks(512, 1, 7)
	errno(t, "write at the end", m.WriteAt(data, flakey.MaxSize-512), 0)
	errno(t, "discard all", m.Discard(0, flakey.MaxSize-512), 0)
	b := make([]byte, 512)
	errno(t, "read at the end", m.ReadAt(b, flakey.MaxSize-512), 0)
	if b[0] != 7 {
		t.Error("it is not there")
	}
}

func TestBadRequests(t *testing.T) {
	m := mustNew(t, Options{Size: 1 << 20, BlockSize: 4096})
	b := make([]byte, 4096)
	for _, r := range []struct{ off, n int64 }{{-4096, 4096}, {1 << 20, 4096}, {1<<20 - 4096, 8192}, {512, 4096}, {0, 512}, {1 << 62, 4096}} {
		data := make([]byte, r.n)
		errno(t, "write", m.WriteAt(data, r.off), syscall.EINVAL)
		errno(t, "discard", m.Discard(r.off, r.n), syscall.EINVAL)
		errno(t, "zero", m.Zero(r.off, r.n), syscall.EINVAL)
	}
	errno(t, "discard of less than nothing", m.Discard(4096, -4096), syscall.EINVAL)
	errno(t, "read behind the end", m.ReadAt(b, 1<<20-512), syscall.EINVAL)
	errno(t, "read of a part", m.ReadAt(b[:100], 50), 0)
	errno(t, "write of nothing", m.WriteAt(nil, 0), 0)
	errno(t, "read of nothing", m.ReadAt(nil, 0), 0)
	m.Close()
	if err := m.Close(); err != nil {
		t.Error("a second close:", err)
	}
	for doing, e := range map[string]syscall.Errno{
		"read": m.ReadAt(b, 0), "write": m.WriteAt(b, 0), "flush": m.Flush(), "discard": m.Discard(0, 4096), "zero": m.Zero(0, 1<<20), "nothing": m.WriteAt(nil, 0),
	} {
		errno(t, doing+" after close", e, syscall.EIO)
	}
	if _, err := m.Clone(); err == nil {
		t.Error("a closed disk was cloned")
	}
	if _, _, err := m.Cut(flakey.Keep{}); err == nil {
		t.Error("a closed disk was cut")
	}
}
