package medium

import (
	"testing"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/seed"
)

// TestOlderVersionsAreBounded overwrites a disk without a flush: memory stays
// bounded, and a power cut that keeps nothing leaves all writes up to one of
// them and none after it.
func TestOlderVersionsAreBounded(t *testing.T) {
	const live, chunk = 80 << 20, 128 << 10
	m := mustNew(t, Options{Size: 128 << 20, BlockSize: pageSize, Memory: 1 << 30})
	data := make([]byte, chunk)
	write := func(number, place int) {
		for page := 0; page < chunk; page += pageSize {
			copy(data[page:], fillBlocks(4, 1, uint32(number)))
		}
		errno(t, "write", m.WriteAt(data, int64(place)*chunk), 0)
	}
	const places, rounds = live / chunk, 4
	for n := range places * rounds {
		write(n+1, n%places)
		if got, most := m.Stats().Memory, int64(live+(olderMost+minFree*2)*pageSize); got > most {
			t.Fatalf("%d bytes of memory after %d writes, want %d at most", got, n+1, most)
		}
	}
	s := m.Stats()
	after, c, err := m.Cut(flakey.Keep{})
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	t.Logf("%d MiB live took %d MiB, %d blocks evicted; %+v", live>>20, s.Memory>>20, s.Evicted, c)
	if s.Evicted*pageSize+s.Dirty != live*rounds {
		t.Errorf("%d blocks evicted and %d bytes dirty of %d bytes", s.Evicted, s.Dirty, live*rounds)
	}
	if s.Dirty < olderMost*pageSize*3/4-chunk {
		t.Errorf("%d bytes are left at stake, though %d fit", s.Dirty, olderMost*pageSize)
	}
	last := int(s.Evicted * pageSize / chunk) // the writes are whole
	got := make([]byte, 4)
	for n := last - places; n < last; n++ {
		if errno(t, "read", after.ReadAt(got, int64(n%places)*chunk), 0); string(got) != string(fillBlocks(4, 1, uint32(n+1))) {
			t.Fatalf("place %d holds %v, want write %d of %d that were made durable", n%places, got, n+1, last)
		}
	}
}

// TestOldest looks for the point in all versions as one would who sorts them.
func TestOldest(t *testing.T) {
	m := mustNew(t, Options{Size: 1 << 20, BlockSize: pageSize})
	defer m.Close()
	const writes = 3000
	for i := range uint64(writes) {
		errno(t, "write", m.WriteAt(fillBlocks(pageSize, 1, 1), int64(seed.Seed(1).Below(i, 256))*pageSize), 0)
	}
	one := func(*leaf, *version) int64 { return 1 }
	m.gate.Lock()
	defer m.gate.Unlock()
	for n := int64(1); n <= writes; n++ {
		if upTo := m.oldest(n, one); upTo != uint64(n) {
			t.Fatalf("%d of %d writes are those up to %d", n, writes, upTo)
		}
	}
	if upTo := m.oldest(writes+1, one); upTo != writes {
		t.Errorf("more than there is: up to %d", upTo)
	}
}
