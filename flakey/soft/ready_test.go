package soft

import (
	"testing"

	"github.com/seed-1b600011/assay/flakey"
)

// TestLargeDisksAreReady: they have memory when they are opened, within their
// limit; small ones have none.
func TestLargeDisksAreReady(t *testing.T) {
	l := newLab(t)
	for _, c := range []struct {
		size, memory, least, most int64
	}{
		{largeDisk - 4096, 64 * mib, 0, mib},
		{largeDisk, 64 * mib, 63 * mib, 64 * mib},
		{2 * largeDisk, 32 * mib, 31 * mib, 32 * mib},
	} {
		d := l.open(t, flakey.Options{Name: l.name("r"), Size: c.size, Memory: c.memory})
		st, err := d.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if st.Memory < c.least || st.Memory > c.most {
			t.Errorf("%d bytes with a limit of %d: %d are in use, want %d to %d", c.size, c.memory, st.Memory, c.least, c.most)
		}
		if err := d.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	have, err := available()
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{largeDisk, have / 2} {
		memory, ready, err := memoryFor(flakey.Options{Size: size})
		if err != nil {
			t.Fatal(err)
		}
		// What is available changes while we look.
		if ready > memory || ready > have/7 || ready < min(size, have/9) {
			t.Errorf("of %d bytes %d are made ready, with %d of memory and %d available", size, ready, memory, have)
		}
	}
}
