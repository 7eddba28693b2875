package history

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// workload is record i of a mixed object test: two of three begin an operation
// with all that it needs, the third acknowledges one.
func workload(objects []string, i int) Record {
	if i%2 == 1 {
		return Record{Op: uint64(i/2 + 1), Phase: Acknowledged}
	}
	verb := "put"
	if i%8 == 6 {
		verb = "delete"
	}
	return Record{Op: uint64(i/2 + 1), Phase: Issued, Verb: verb, Target: "assay-bucket-1",
		Object: objects[(i*7919)%len(objects)], To: 4096, Generation: uint32(i)}
}

func objectNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("mixed/%06d", i)
	}
	return names
}

// A record is in the kernel when Append returns, so "buffered" and "each
// intent in the kernel" are one path here and one figure. The peer writes the
// same bytes, one write(2) a record, to a file beside it.
func BenchmarkAppend(b *testing.B) {
	dir := b.TempDir()
	objects := objectNames(10_000)
	w, err := Create(filepath.Join(dir, "h"), Options{Writer: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	b.ReportAllocs()
	b.ResetTimer()
	start := time.Now()
	for i := range b.N {
		if err := w.Append(workload(objects, i)); err != nil {
			b.Fatal(err)
		}
	}
	took := time.Since(start)
	b.StopTimer()
	size := bytesOf(w)
	each := float64(size) / float64(b.N)
	peer := writePeer(b, dir, b.N, int(each+0.5))
	b.ReportMetric(float64(b.N)/took.Seconds(), "records/s")
	b.ReportMetric(each, "bytes/record")
	b.ReportMetric(peer.Seconds()/took.Seconds(), "x-write(2)")
}

// bytesOf is what the records took, in all segments.
func bytesOf(w *Writer) int64 {
	full := int64(w.seg.seq-1) * (w.o.SegmentSize - dataStart)
	return full + w.seg.pos - dataStart
}

func writePeer(b *testing.B, dir string, n, size int) time.Duration {
	b.Helper()
	f, err := os.Create(filepath.Join(dir, "peer"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, max(size, 1))
	start := time.Now()
	for range n {
		if _, err := f.Write(p); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(start)
}

// Four goroutines append to one writer, beside four that write(2) to one file.
func BenchmarkAppendParallel(b *testing.B) {
	dir := b.TempDir()
	objects := objectNames(10_000)
	w, err := Create(filepath.Join(dir, "h"), Options{Writer: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	f, err := os.Create(filepath.Join(dir, "peer"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	const goroutines = 4
	run := func(do func(i int) error) time.Duration {
		var wg sync.WaitGroup
		start := time.Now()
		for g := range goroutines {
			wg.Go(func() {
				for i := g; i < b.N; i += goroutines {
					if err := do(i); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		return time.Since(start)
	}
	b.ResetTimer()
	took := run(func(i int) error { return w.Append(workload(objects, i)) })
	b.StopTimer()
	p := make([]byte, max(1, int(bytesOf(w))/b.N))
	peer := run(func(int) error {
		_, err := f.Write(p)
		return err
	})
	b.ReportMetric(float64(b.N)/took.Seconds(), "records/s")
	b.ReportMetric(peer.Seconds()/took.Seconds(), "x-write(2)")
}

// One record and one Sync, beside one write(2) and one fdatasync(2): a Sync
// needs two of these for its mark to be true.
func BenchmarkSync(b *testing.B) {
	dir := b.TempDir()
	w, err := Create(filepath.Join(dir, "h"), Options{Writer: 1})
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	f, err := os.Create(filepath.Join(dir, "peer"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := fill(f, 0, defaultSegment); err != nil {
		b.Fatal(err)
	}
	var took, peer time.Duration
	p := make([]byte, 100)
	for b.Loop() {
		start := time.Now()
		if err := w.Append(Record{Op: 1}); err != nil {
			b.Fatal(err)
		}
		if err := w.Sync(); err != nil {
			b.Fatal(err)
		}
		between := time.Now()
		if _, err := f.Write(p); err != nil {
			b.Fatal(err)
		}
		if err := datasync(f); err != nil {
			b.Fatal(err)
		}
		took, peer = took+between.Sub(start), peer+time.Since(between)
	}
	b.ReportMetric(float64(took.Microseconds())/float64(b.N), "µs/sync")
	b.ReportMetric(took.Seconds()/peer.Seconds(), "x-fdatasync-time")
}

// Reading a history back, beside reading its files with read(2).
func BenchmarkReadDir(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "h")
	objects := objectNames(10_000)
	w, err := Create(dir, Options{Writer: 1})
	if err != nil {
		b.Fatal(err)
	}
	const records = 500_000
	for i := range records {
		if err := w.Append(workload(objects, i)); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	var took, peer time.Duration
	for b.Loop() {
		start := time.Now()
		n := 0
		for _, err := range ReadDir(dir) {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != records {
			b.Fatal(n)
		}
		between := time.Now()
		if _, err := os.ReadFile(filepath.Join(dir, segmentName(1))); err != nil {
			b.Fatal(err)
		}
		took, peer = took+between.Sub(start), peer+time.Since(between)
	}
	b.ReportMetric(float64(b.N)*records/took.Seconds(), "records/s")
	b.ReportMetric(took.Seconds()/peer.Seconds(), "x-read-time")
}
