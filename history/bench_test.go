package history

import (
	"fmt"
	"os"
	"path/filepath"
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
