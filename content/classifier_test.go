package content

import (
	"slices"
	"testing"

	"github.com/seed-1b600011/assay/seed"
)

// TestClassifierIsClassify writes plantings in pieces of any size.
func TestClassifierIsClassify(t *testing.T) {
	s := seed.Seed(31)
	for i := range count(350, 30_000) {
		p := plant(i, s)
		want := Classify(nil, p.got, p.off, p.want, p.also...)
		c := NewClassifier(p.off, p.want, p.also...)
		c.Limit = len(want) + 9
		d := &draws{s: s.Index(1).Index(i)}
		most := max(1<<d.below(14), len(p.got)/1000)
		looks := 3
		rest := p.got
		for len(rest) > 0 {
			n := min(len(rest), d.upTo(most))
			block := slices.Clone(rest[:n])
			if k, err := c.Write(block); k != n || err != nil {
				t.Fatalf("wrote %d of %d: %v", k, n, err)
			}
			clear(block) // a writer may not keep what it was given
			rest = rest[n:]
			if looks > 0 && d.one(20) {
				looks--
				upTo := p.got[:len(p.got)-len(rest)]
				if got := c.Sum(); !slices.Equal(got, Classify(nil, upTo, p.off, p.want, p.also...)) {
					t.Fatalf("planting %d (%s): the first %d bytes are %v", i, p.kind, len(upTo), got)
				}
			}
		}
		if got := c.Sum(); !slices.Equal(got, want) {
			t.Fatalf("planting %d (%s) in blocks to %d:\n got %v\nwant %v", i, p.kind, most, got, want)
		}
		for class := range classes {
			n := int64(0)
			for _, s := range want {
				if s.Class == class {
					n += s.To - s.From
				}
			}
			if got := c.Bytes(class); got != n {
				t.Fatalf("planting %d (%s): %d bytes %s, want %d", i, p.kind, got, class, n)
			}
		}
		if c.Dropped() != 0 || c.Offset() != p.off+int64(len(p.got)) {
			t.Fatalf("planting %d: %d dropped, at %d", i, c.Dropped(), c.Offset())
		}
	}
}

// TestClassifierLimit alternates two generations: every sector is a span.
func TestClassifierLimit(t *testing.T) {
	c := NewClassifier(0, now)
	c.Limit = 10
	sector := make([]byte, SectorSize)
	for i := range int64(100) {
		Fill(sector, Tag{now.Seed, now.Object, now.Generation - uint32(i&1)}, i*SectorSize)
		c.Write(sector)
		if got, dropped := int64(len(c.Sum())), c.Dropped(); got != min(10, i+1) || got+dropped != i+1 {
			t.Fatalf("after %d spans %d are kept and %d dropped", i+1, got, dropped)
		}
	}
	if c.Bytes(Older) != 50*SectorSize || c.Bytes(Exact) != 50*SectorSize {
		t.Errorf("%d bytes older, %d exact", c.Bytes(Older), c.Bytes(Exact))
	}
}

// TestClassifierSumStays: what was returned is the caller's, though the last
// span in it goes on to grow.
func TestClassifierSumStays(t *testing.T) {
	c := NewClassifier(0, now)
	write := func(at int64, tag Tag) { c.Write(built(build{SectorSize, tag, at * SectorSize})) }
	for i := range int64(20) {
		write(4*i, now)
		write(4*i+1, before)
		sum := c.Sum()
		kept := slices.Clone(sum)
		write(4*i+2, before)
		write(4*i+3, after)
		if !slices.Equal(sum, kept) {
			t.Fatalf("a Sum has changed from %v to %v", kept, sum)
		}
	}
}

// TestClassifierMemory writes 64 MiB of zeros, and of sectors that are all
// different: neither makes it grow.
func TestClassifierMemory(t *testing.T) {
	zeros := make([]byte, 1<<20)
	c := NewClassifier(0, now)
	for range 64 {
		c.Write(zeros)
	}
	if got := brief(c.Sum()); got != "0-67108864 zero" {
		t.Error(got)
	}
	mixed := make([]byte, 1<<20)
	for i := int64(0); i < 1<<20; i += SectorSize {
		Fill(mixed[i:i+SectorSize], Tag{now.Seed, uint64(i), 1}, i)
	}
	c = NewClassifier(0, now)
	c.Write(mixed)
	if n := testing.AllocsPerRun(3, func() { c.Write(mixed) }); n != 0 {
		t.Errorf("a Write beyond the limit allocates %v times", n)
	}
	if len(c.Sum()) != DefaultLimit || c.Dropped() == 0 {
		t.Errorf("%d spans kept, %d dropped", len(c.Sum()), c.Dropped())
	}
}

func TestClassifierRefusesBeyondTheEnd(t *testing.T) {
	c := NewClassifier(MaxSize-10, now)
	if n, err := c.Write(make([]byte, 11)); n != 0 || err == nil {
		t.Errorf("took %d, %v", n, err)
	}
	if n, err := c.Write(make([]byte, 10)); n != 10 || err != nil {
		t.Errorf("took %d, %v", n, err)
	}
}
