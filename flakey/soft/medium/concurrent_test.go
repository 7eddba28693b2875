package medium

import (
	"bytes"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/seed"
)

func addressOf(b []byte) uintptr { return uintptr(unsafe.Pointer(&b[0])) }

// TestConcurrent has writers, readers, flushers, faults, clones and a full
// cache at once; no block is ever read in parts, neither from the disk nor from
// a clone or what a cut leaves.
func TestConcurrent(t *testing.T) {
	const size = 2 * leafSize
	m := mustNew(t, Options{Size: size, Cache: 64 << 10})
	n := 1500
	if full() {
		n = 40000
	}
	var stop atomic.Bool
	var writers, others sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			s := seed.Seed(w)
			for i := range uint64(n) {
				count := int64(1 + s.Below(4*i, 40))
				off := int64(s.Below(4*i+1, uint64(size/512-count))) * 512
				var e syscall.Errno
				switch s.Below(4*i+2, 10) {
				case 0:
					e = m.Discard(off, count*512)
				case 1:
					e = m.Flush()
				default:
					e = m.WriteAt(fillBlocks(512, int(count), uint32(w+1)<<24|uint32(i)), off)
				}
				if e != 0 {
					t.Error(e)
				}
			}
		})
	}
	for r := range 2 {
		others.Go(func() {
			s := seed.Seed(100 + r)
			b := make([]byte, 64*512)
			for i := uint64(0); !stop.Load(); i++ {
				off := int64(s.Below(i, size/512-64)) * 512
				if e := m.ReadAt(b, off); e != 0 {
					t.Error(e)
				}
				whole(t, b)
			}
		})
	}
	others.Go(func() {
		for !stop.Load() {
			c, err := m.Clone()
			if err != nil {
				t.Error(err)
				return
			}
			one, again := image(t, c), image(t, c)
			whole(t, one)
			if !bytes.Equal(one, again) {
				t.Error("a clone has changed")
			}
			c.WriteAt(fillBlocks(512, 100, 1), 512)
			c.Close()
			if err := m.Set(flakey.Fault{Kind: flakey.StaleReads, Where: flakey.Selector{Probability: 0.1}}, flakey.Fault{Kind: flakey.TearWrites, Where: flakey.Selector{Probability: 0.1}}); err != nil {
				t.Error(err)
			}
			m.Stats()
		}
	})
	writers.Wait()
	stop.Store(true)
	others.Wait()
	set(t, m) // or the next read may be a stale one
	before := image(t, m)
	after, _, err := m.Cut(flakey.Keep{Mode: flakey.KeepAll})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, image(t, after)) {
		t.Error("all was kept, and something is gone")
	}
	after.Close()
	if used := m.arena.used; used != 0 {
		t.Errorf("%d pages of memory are left", used)
	}
}

// whole checks that each block is of one write.
func whole(t *testing.T, b []byte) {
	t.Helper()
	for ; len(b) > 0; b = b[512:] {
		if !bytes.Equal(b[:512], bytes.Repeat(b[:4], 128)) {
			t.Error("a block is of two writes")
			return
		}
	}
}

// TestCutUnderLoad: after a cut returns no write is taken, what was
// acknowledged and flushed is there, and memory is whole.
func TestCutUnderLoad(t *testing.T) {
	rounds := 20
	if full() {
		rounds = 500
	}
	for round := range rounds {
		m := mustNew(t, Options{Size: 2 * leafSize})
		const perWriter = 100 // blocks
		var wg sync.WaitGroup
		var flushed [4][perWriter]uint32
		var wrote [4]atomic.Int64
		for w := range 4 {
			wg.Go(func() {
				for v := uint32(1); ; v++ {
					b := int(v) % perWriter
					off := int64(w*2*perWriter+b) * 512
					if m.WriteAt(fillBlocks(512, 1, v), off) != 0 || m.Flush() != 0 {
						return
					}
					flushed[w][b] = v
					wrote[w].Add(1)
					if m.WriteAt(fillBlocks(512, 1, v), off+perWriter*512) != 0 { // never flushed by this one
						return
					}
				}
			})
		}
		for wrote[0].Load() < 20 {
			time.Sleep(100 * time.Microsecond)
		}
		after, _, err := m.Cut(flakey.Keep{Mode: flakey.KeepRandom, Seed: seed.Seed(round + 1)})
		if err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		got := contents(t, after)
		for w := range 4 {
			for b, v := range flushed[w] {
				if g := got[w*2*perWriter+b]; g < v {
					t.Fatalf("round %d: writer %d, block %d: holds %d, %d was flushed", round, w, b, g, v)
				}
			}
		}
		m.Close()
		after.Close()
		if m.arena.used != 0 {
			t.Fatalf("%d pages are left", m.arena.used)
		}
	}
}

// TestCloseUnderLoad: nobody touches memory that is gone.
func TestCloseUnderLoad(t *testing.T) {
	rounds := 50
	if full() {
		rounds = 2000
	}
	for range rounds {
		m := mustNew(t, Options{Size: 1 << 20, Cache: 16 << 10})
		var wg sync.WaitGroup
		var done atomic.Int64
		for w := range 4 {
			wg.Go(func() {
				b := make([]byte, 64<<10)
				for i := int64(0); ; i++ {
					off := (i*7 + int64(w)) % 10 * 64 << 10
					if m.WriteAt(b, off) != 0 || m.ReadAt(b, off) != 0 || m.Flush() != 0 || m.Discard(off, 4096) != 0 {
						return
					}
					done.Add(1)
				}
			})
		}
		for done.Load() < 8 {
			time.Sleep(50 * time.Microsecond)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		wg.Wait()
	}
}
