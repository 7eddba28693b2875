package medium

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/seed"
)

const benchSize = 256 << 20

// BenchmarkCopy is the limit for all the others: the same bytes, between the
// same places, with no disk.
func BenchmarkCopy(b *testing.B) {
	disk := make([]byte, benchSize)
	for i := range disk {
		disk[i] = 1
	}
	for _, n := range []int{128 << 10, 4 << 10} {
		for _, into := range []string{"write", "read"} {
			b.Run(fmt.Sprintf("%s %dk", into, n>>10), func(b *testing.B) {
				data := make([]byte, n)
				b.SetBytes(int64(n))
				for i := range b.N {
					at := nextPlace(i, n)
					if into == "write" {
						copy(disk[at:], data)
					} else {
						copy(data, disk[at:])
					}
				}
			})
		}
	}
}

// nextPlace goes through the disk in order with large requests, anywhere with small.
func nextPlace(i, n int) int64 {
	places := uint64(benchSize / n)
	if n == 4<<10 {
		return int64(seed.Seed(1).Below(uint64(i), places)) * int64(n)
	}
	return int64(uint64(i)%places) * int64(n)
}

// BenchmarkMedium is a disk that was written once, with a flush for every 16 MiB.
func BenchmarkMedium(b *testing.B) {
	for _, n := range []int{128 << 10, 4 << 10} {
		for _, op := range []string{"write", "read"} {
			b.Run(fmt.Sprintf("%s %dk", op, n>>10), func(b *testing.B) {
				m := written(b)
				defer m.Close()
				data := make([]byte, n)
				b.SetBytes(int64(n))
				b.ReportAllocs()
				b.ResetTimer()
				for i := range b.N {
					at := nextPlace(i, n)
					if op == "read" {
						m.ReadAt(data, at)
						continue
					}
					m.WriteAt(data, at)
					if i%(16<<20/n) == 0 {
						m.Flush()
					}
				}
			})
		}
	}
}

// BenchmarkUnflushed is a disk that is written over and over with no flush,
// once all the memory that older versions may have is theirs.
func BenchmarkUnflushed(b *testing.B) {
	for _, n := range []int{128 << 10, 4 << 10} {
		b.Run(fmt.Sprintf("write %dk", n>>10), func(b *testing.B) {
			m := written(b)
			defer m.Close()
			data := make([]byte, n)
			for i := range 2 * benchSize / n {
				m.WriteAt(data, nextPlace(i, n))
			}
			b.SetBytes(int64(n))
			b.ResetTimer()
			for i := range b.N {
				m.WriteAt(data, nextPlace(i, n))
			}
			b.StopTimer()
			b.ReportMetric(float64(m.Stats().Memory)/benchSize, "memory/live")
		})
	}
}

func written(b *testing.B) *Medium {
	m, err := New(Options{Size: benchSize, Memory: 2 << 30})
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 1<<20)
	for at := int64(0); at < benchSize; at += int64(len(data)) {
		m.WriteAt(data, at)
	}
	m.Flush()
	return m
}

// BenchmarkFirstPass writes a fresh disk, which costs its memory, and one whose
// memory was made ready.
func BenchmarkFirstPass(b *testing.B) {
	data := make([]byte, 128<<10)
	for name, ready := range map[string]int64{"fresh": 0, "ready": benchSize + 8<<20} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(benchSize)
			for range b.N {
				b.StopTimer()
				m, err := New(Options{Size: benchSize, Memory: 2 << 30, Ready: ready})
				if err != nil {
					b.Fatal(err)
				}
				for m.Stats().Memory < ready-pageSize {
					time.Sleep(time.Millisecond)
				}
				b.StartTimer()
				for at := int64(0); at < benchSize; at += int64(len(data)) {
					m.WriteAt(data, at)
				}
				b.StopTimer()
				m.Close()
				b.StartTimer()
			}
		})
	}
}

// BenchmarkCut is of a disk that holds 256 MiB, with 4 MiB unflushed.
func BenchmarkCut(b *testing.B) {
	for _, mode := range []flakey.Mode{flakey.KeepNone, flakey.KeepPrefix, flakey.KeepRandom} {
		b.Run(string(mode), func(b *testing.B) {
			m := written(b)
			data := make([]byte, 4096)
			for i := range b.N {
				b.StopTimer()
				for j := range 1024 {
					m.WriteAt(data, nextPlace(j, 4096))
				}
				b.StartTimer()
				after, _, err := m.Cut(flakey.Keep{Mode: mode, Seed: seed.Seed(i + 1)})
				if err != nil {
					b.Fatal(err)
				}
				m = after
			}
			m.Close()
		})
	}
}

// BenchmarkClone is of a disk that holds 256 MiB.
func BenchmarkClone(b *testing.B) {
	m := written(b)
	defer m.Close()
	for b.Loop() {
		c, err := m.Clone()
		if err != nil {
			b.Fatal(err)
		}
		c.Close()
	}
}
