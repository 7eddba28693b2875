package owed

import (
	"fmt"
	"iter"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/history"
)

// many is the history of n objects, each put once.
func many(n int) iter.Seq2[history.Record, error] {
	return func(yield func(history.Record, error) bool) {
		for i := range n {
			at := time.Duration(i) * time.Microsecond
			r := history.Record{Op: uint64(i + 1), Phase: history.Issued, Verb: "put", Target: "bucket", At: at,
				Object: fmt.Sprintf("a/b/object-%012d", i), To: 4096, Generation: 1}
			if !yield(r, nil) || !yield(history.Record{Op: uint64(i + 1), Phase: history.Acknowledged, At: at}, nil) {
				return
			}
		}
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkFold folds small objects of one version each, and beside it puts
// the same keys into a plain map, which is what any book must at least do.
func BenchmarkFold(b *testing.B) {
	n := 100_000
	if os.Getenv("ASSAY_FULL") == "1" {
		n = 1_000_000
	}
	for b.Loop() {
		before, start := heap(), time.Now()
		book, err := Fold(many(n), bucketRule)
		if err != nil {
			b.Fatal(err)
		}
		took := time.Since(start)
		b.ReportMetric(float64(heap()-before)/float64(n), "B/object")
		b.ReportMetric(float64(2*n)/took.Seconds()/1e6, "Mrecords/s")
		start = time.Now()
		plain := map[string]uint32{}
		for r := range many(n) {
			if r.Phase == history.Issued {
				plain[r.Object] = r.Generation
			}
		}
		b.ReportMetric(took.Seconds()/time.Since(start).Seconds(), "times-a-map")
		runtime.KeepAlive(book)
		runtime.KeepAlive(plain)
	}
}

// BenchmarkFoldFile folds random writes of 4 KiB to one file, with a sync
// after every 64, and beside it sets the same blocks in an array.
func BenchmarkFoldFile(b *testing.B) {
	const blocks, writes = 1 << 16, 1 << 17
	records := func(yield func(history.Record, error) bool) {
		op := uint64(1)
		do := func(r history.Record, end history.Phase) bool {
			op++
			r.Op, r.Target, r.Object = op, "v", "f"
			return yield(r, nil) && yield(history.Record{Op: op, Phase: end}, nil)
		}
		if !do(history.Record{Verb: "create"}, history.Acknowledged) {
			return
		}
		x := uint64(1)
		for i := range writes {
			x = x*6364136223846793005 + 1442695040888963407
			at := int64(x>>40%blocks) * 4096
			if !do(history.Record{Verb: "write", From: at, To: at + 4096, Generation: uint32(i + 1)}, history.Acknowledged) {
				return
			}
			if i%64 == 63 && !do(history.Record{Verb: "fsync"}, history.Synced) {
				return
			}
		}
	}
	for b.Loop() {
		start := time.Now()
		book, err := Fold(records, volumeRule)
		if err != nil {
			b.Fatal(err)
		}
		took := time.Since(start)
		b.ReportMetric(writes/took.Seconds()/1e6, "Mwrites/s")
		plain := make([]uint32, blocks)
		start = time.Now()
		for r := range records {
			if r.Verb == "write" {
				plain[r.From/4096] = r.Generation
			}
		}
		b.ReportMetric(took.Seconds()/time.Since(start).Seconds(), "times-an-array")
		runtime.KeepAlive(book)
		runtime.KeepAlive(plain)
	}
}
