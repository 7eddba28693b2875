package volume_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/verdict"
)

// one does one operation after the other, each of one block.
const one = "  files: {count: 20, size: 100K}\n  concurrency: 1\n  checks: [check-files]\n  tests: [write-files: {block: 1M}, rewrite-files: {block: 1M}]\n"

// TestAfterOperations: the fault comes after exactly so many operations, and
// none begins before it has come.
func TestAfterOperations(t *testing.T) {
	needDisk(t, "ext4")
	for _, fault := range []string{"power-cut: {", "kill: {", "delay: {time: 1ms, "} {
		for _, n := range []int{1, 77} {
			l := newLab(t)
			out, records := l.kept(onDisk("ext4", "64M") + one + fmt.Sprintf("  faults: [%safter: {operations: %d}}]\n", fault, n))
			if out.Verdict == verdict.Fail {
				l.wants(out, verdict.Pass, "")
			}
			done, issued := 0, 0
			for _, r := range records {
				if r.Phase == history.FaultOn {
					break
				}
				if ends(r) {
					done++
				}
				if r.Phase == history.Issued {
					issued++
				}
			}
			if done != n || issued != n {
				t.Errorf("%s after %d operations: it came after %d of %d", fault, n, done, issued)
			}
		}
	}
}

// TestEveryOperations: as many between two of them.
func TestEveryOperations(t *testing.T) {
	needDisk(t, "ext4")
	l := newLab(t)
	out, records := l.kept(onDisk("ext4", "64M") + one + "  faults: [power-cut: {after: {operations: 10}, every: {operations: 50}, times: 4}]\n")
	l.wants(out, verdict.Pass, "")
	var at []int
	done := 0
	for _, r := range records {
		if r.Phase == history.FaultOn {
			at = append(at, done)
		}
		if ends(r) {
			done++
		}
	}
	if fmt.Sprint(at) != "[10 60 110 160]" || out.Rounds != 4 {
		t.Errorf("cuts at %v, %d rounds", at, out.Rounds)
	}
}

// TestAfterRequests: the power goes, or the fault is on, when exactly so many
// writes or flushes have been let by, less the one that waits for it.
func TestAfterRequests(t *testing.T) {
	needDisk(t, "ext4", "xfs")
	for _, c := range []struct {
		fs, of string
		n      int64
	}{{"ext4", "writes", 1}, {"ext4", "writes", 150}, {"ext4", "flushes", 1}, {"xfs", "flushes", 20}} {
		t.Run(fmt.Sprintf("%s %d %s", c.fs, c.n, c.of), func(t *testing.T) {
			l := newLab(t)
			out := l.run(onDisk(c.fs, sizeOf(c.fs)) + "  files: {count: 20, size: 100K}\n  tests: [write-files, rewrite-files]\n  checks: [check-files]\n" +
				fmt.Sprintf("  faults: [power-cut: {every: {%s: %d}, times: 3}]\n", c.of, c.n))
			if out.Err != nil || out.Verdict == verdict.Fail || c.n > 1 { // at the first nothing is durable yet
				l.wants(out, verdict.Pass, "")
			}
			d := (*l.driver.disks)[0]
			armed := d.armed()
			if len(armed) != 3 || len(d.cuts) != 3 {
				t.Fatalf("%d times armed, %d cuts", len(armed), len(d.cuts))
			}
			for i, cut := range d.cuts {
				armed := armed[i]
				came, held := cut.writes-armed.writes, cut.held-armed.held
				if c.of == "flushes" {
					came = cut.flushes - armed.flushes
				}
				if came-held != c.n-1 || held < 1 {
					t.Errorf("cut %d: %d came, of which %d waited", i, came, held)
				}
			}
		})
	}
}

// TestCountsOfTheirOwn: several faults that wait for counts of one disk do not
// take each other's requests for theirs, and a fault whose count is reached is
// on for the request that reaches it.
func TestCountsOfTheirOwn(t *testing.T) {
	needDisk(t, "ext4")
	l := newLab(t)
	out := l.passes(onDisk("ext4", "64M") + "  files: {count: 40, size: 100K}\n  concurrency: 2\n  tests: [write-files, rewrite-files]\n  checks: [check-files]\n" +
		"  faults: [power-cut: {after: {flushes: 60}, keep: all}, delay: {time: 1us, after: {writes: 40}}, drop-flushes: {count: 3, after: {flushes: 20}}]\n")
	d := (*l.driver.disks)[0]
	first := d.sets[0]
	came := map[flakey.Kind]counts{}
	for _, s := range d.sets {
		for _, f := range s.faults {
			if _, known := came[f.Kind]; !known && f.Kind != flakey.Hang {
				came[f.Kind] = s
			}
		}
	}
	for what, n := range map[string][2]int64{
		"delay":        {came[flakey.Delay].writes - first.writes, 40},
		"drop-flushes": {came[flakey.DropFlushes].flushes - first.flushes, 20},
		"power-cut":    {d.cuts[0].flushes - first.flushes, 60},
	} {
		// While one waits others may come, but no more than are under way at once.
		if n[0] < n[1] || n[0] > n[1]+32 {
			t.Errorf("%s came after %d, want %d", what, n[0], n[1])
		}
	}
	for _, f := range out.Faults {
		if f.Name == "drop-flushes" && f.Touched != 3 {
			t.Errorf("%d flushes were dropped, want 3", f.Touched)
		}
	}
}

// TestAfterTime: never before it.
func TestAfterTime(t *testing.T) {
	needDisk(t, "ext4")
	l := newLab(t)
	began := machine.Boottime()
	out, records := l.kept(onDisk("ext4", "64M") + one + "  faults: [power-cut: {after: 150ms, every: 100ms, times: 3}]\n")
	l.wants(out, verdict.Pass, "")
	want := 150 * time.Millisecond
	for _, r := range records {
		if r.Phase == history.FaultOn {
			if after := r.At - began; after < want {
				t.Errorf("a cut after %v, want %v", after, want)
			}
			began, want = r.At, 100*time.Millisecond
		}
	}
	if out.Rounds != 3 {
		t.Errorf("%d rounds", out.Rounds)
	}
}
