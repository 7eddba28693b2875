package content

import (
	"testing"
	"time"
)

// against runs f and a copy of the same size in turn and reports what both did
// in GB/s, and f as a share of the copy.
func against(b *testing.B, size int, f func(buf []byte)) {
	buf, from, to := make([]byte, size), make([]byte, size), make([]byte, size)
	Fill(buf, Tag{Seed: 1}, 0)
	Fill(from, Tag{Seed: 2}, 0)
	copy(to, from)
	batch := max(1, 4<<20/size) // so that reading the clock does not weigh on small sizes
	var ours, peer time.Duration
	rounds := 0
	for b.Loop() {
		start := time.Now()
		for range batch {
			f(buf)
		}
		mid := time.Now()
		for range batch {
			copy(to, from)
		}
		ours += mid.Sub(start)
		peer += time.Since(mid)
		rounds++
	}
	done := float64(rounds) * float64(batch) * float64(size)
	b.ReportMetric(0, "ns/op") // of a batch of both: it would only mislead
	b.ReportMetric(done/float64(ours), "GB/s")
	b.ReportMetric(done/float64(peer), "copy-GB/s")
	b.ReportMetric(float64(peer)/float64(ours), "of-copy")
}

func BenchmarkFill(b *testing.B) {
	fill := func(buf []byte) { Fill(buf, Tag{Seed: 1}, 0) }
	b.Run("64MiB", func(b *testing.B) { against(b, 64<<20, fill) })
	b.Run("4KiB", func(b *testing.B) { against(b, 4<<10, fill) })
	b.Run("4KiB unaligned", func(b *testing.B) {
		against(b, 4<<10, func(buf []byte) { Fill(buf, Tag{Seed: 1}, 777) })
	})
}

func BenchmarkClassify(b *testing.B) {
	var spans []Span
	exact := func(buf []byte) { spans = Classify(spans[:0], buf, 0, Tag{Seed: 1}) }
	b.Run("64MiB", func(b *testing.B) { against(b, 64<<20, exact) })
	b.Run("4KiB", func(b *testing.B) { against(b, 4<<10, exact) })
}

func BenchmarkEqual(b *testing.B) {
	b.Run("4KiB", func(b *testing.B) {
		against(b, 4<<10, func(buf []byte) { Equal(buf, Tag{Seed: 1}, 0) })
	})
}

// BenchmarkClassifyDamage is the slow way: nothing is what was asked for.
func BenchmarkClassifyDamage(b *testing.B) {
	const size = 4 << 20
	want := Tag{Seed: 1, Object: 1, Generation: 9}
	also := []Tag{{Seed: 1, Object: 1, Generation: 8}, {Seed: 1, Object: 1, Generation: 7}}
	for _, kind := range []struct {
		name string
		make func(i int, sector []byte)
	}{
		{"foreign", func(i int, s []byte) { Fill(s, Tag{Seed: 99}, int64(i)*SectorSize) }},
		{"zero", func(_ int, s []byte) { clear(s) }},
		{"older", func(i int, s []byte) { Fill(s, Tag{1, 1, 4}, int64(i)*SectorSize) }},
		{"shifted", func(i int, s []byte) { Fill(s, want, int64(i)*SectorSize+77) }},
		{"alternating", func(i int, s []byte) { Fill(s, Tag{1, uint64(i), 4}, int64(i)*SectorSize+77) }},
		{"flipped", func(i int, s []byte) { Fill(s, want, int64(i)*SectorSize); s[100] ^= 4 }},
		{"patchwork", func(i int, s []byte) {
			for at := 0; at < SectorSize; at += 37 {
				Fill(s[at:min(at+37, SectorSize)], Tag{1, 1, uint32(at)}, int64(i*SectorSize+at))
			}
		}},
	} {
		b.Run(kind.name, func(b *testing.B) {
			got := make([]byte, size)
			for i := 0; i < size/SectorSize; i++ {
				kind.make(i, got[i*SectorSize:][:SectorSize])
			}
			b.SetBytes(size)
			for b.Loop() {
				c := NewClassifier(0, want, also...)
				c.Write(got)
			}
		})
	}
}
