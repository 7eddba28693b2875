package object_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/object"
	"github.com/seed-1b600011/assay/refstore"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
)

// cpu is the CPU time that this process has used; the store is another one.
func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func runner(t testing.TB) *scenario.Runner {
	t.Helper()
	ledger, err := machine.OpenLedger(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ledger.Close(); err != nil {
			t.Error(err)
		}
	})
	return &scenario.Runner{Registry: registry(), Ledger: ledger, Dir: ledger.Dir()}
}

func planOf(t testing.TB, reg *scenario.Registry, text string) *scenario.Plan {
	t.Helper()
	all, err := scenario.Parse("bench", []byte(text), reg)
	if err != nil {
		t.Fatal(err)
	}
	p, err := all[0].Plan(1, 0, scenario.Adjust{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// BenchmarkPut4K puts 4 KiB objects at concurrency 16: with everything on
// (plan, tasks, content, history, meter), and with the bare client in a loop,
// against a store of the same kind. It prints the ratio of the rates, and CPU
// seconds of this process per 10,000 puts of each.
func BenchmarkPut4K(b *testing.B) {
	const n = 10_000
	for b.Loop() {
		wholeRate, wholeCPU := wholePuts(b, n)
		bareRate, bareCPU := barePuts(b, n)
		b.ReportMetric(wholeRate, "puts/s")
		b.ReportMetric(bareRate, "bare-puts/s")
		b.ReportMetric(wholeRate/bareRate, "ratio")
		b.ReportMetric(wholeCPU.Seconds(), "cpu-s/10k")
		b.ReportMetric(bareCPU.Seconds(), "bare-cpu-s/10k")
	}
}

func wholePuts(b *testing.B, n int) (rate float64, used time.Duration) {
	r := runner(b)
	var from, to time.Time
	var fromCPU, toCPU time.Duration
	r.Events = func(e verdict.Event) {
		switch e.State {
		case verdict.Drive:
			from, fromCPU = time.Now(), cpu()
		case verdict.Heal:
			to, toCPU = time.Now(), cpu()
		}
	}
	out, err := r.Run(b.Context(), planOf(b, r.Registry, fmt.Sprintf(
		"- {name: puts, required: {buckets: [{transient: true}]}, objects: {count: %d, size: 4K}, concurrency: 16, tests: [put], checks: [check-list]}", n)))
	if err != nil || out.Verdict != verdict.Pass {
		b.Fatalf("%v, %v", out, err)
	}
	return float64(n) / to.Sub(from).Seconds(), toCPU - fromCPU
}

func barePuts(b *testing.B, n int) (rate float64, used time.Duration) {
	r := runner(b)
	s, err := refstore.Start(b.Context(), r.Ledger, refstore.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close(b.Context())
	f := s.Front()
	c := object.NewClient(object.Endpoint{Host: f.URL, AccessKey: f.AccessKey, SecretKey: f.SecretKey})
	if err := c.CreateBucket(b.Context(), "bare", ""); err != nil {
		b.Fatal(err)
	}
	body := make([]byte, 4<<10)
	var next atomic.Int64
	var workers sync.WaitGroup
	from, fromCPU := time.Now(), cpu()
	for range 16 {
		workers.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				if err := c.Put(context.Background(), "bare", fmt.Sprintf("%08d", i), bytes.NewReader(body), int64(len(body))); err != nil {
					b.Error(err)
				}
			}
		})
	}
	workers.Wait()
	return float64(n) / time.Since(from).Seconds(), cpu() - fromCPU
}

// BenchmarkMemory puts and checks large objects and prints the greatest
// resident size of this process, the store not included.
func BenchmarkMemory(b *testing.B) {
	r := runner(b)
	for b.Loop() {
		runtime.GC()
		out, err := r.Run(b.Context(), planOf(b, r.Registry,
			"- {name: large, required: {buckets: [{transient: true}]}, objects: {count: 1000, size: 10M}, concurrency: 16, tests: [put], checks: [check-content]}"))
		if err != nil || out.Verdict != verdict.Pass {
			b.Fatalf("%v, %v", out, err)
		}
		var u syscall.Rusage
		syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		b.ReportMetric(float64(u.Maxrss)/1024, "MiB-peak")
		b.ReportMetric(float64(2*10*1000)/out.Took.Seconds(), "MiB/s")
	}
}
