package volume_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/flakey/soft"
	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/seed"
	"github.com/seed-1b600011/assay/verdict"
	"github.com/seed-1b600011/assay/volume"
)

// Both write the same: four files, each in blocks of 128 KiB, four at once,
// around the page cache, and then read all of it and compare.
const (
	benchFiles = 4
	benchSize  = 128 << 20 // bytes of a file
)

// timed runs a scenario and tells how long it drove and judged.
func timed(b *testing.B, dir, text string) (drive, judge time.Duration, out *scenario.Outcome) {
	b.Helper()
	reg := &scenario.Registry{}
	volume.Register(reg, soft.Driver{})
	all, err := scenario.Parse("bench", []byte(text), reg)
	if err != nil {
		b.Fatal(err)
	}
	p, err := all[0].Plan(seed.New(), 0, scenario.Adjust{})
	if err != nil {
		b.Fatal(err)
	}
	ledger, err := machine.OpenLedger(dir)
	if err != nil {
		b.Fatal(err)
	}
	var mu sync.Mutex
	at := map[verdict.State]time.Time{}
	r := scenario.Runner{Registry: reg, Ledger: ledger, Dir: dir, Keep: true, Events: func(e verdict.Event) {
		mu.Lock()
		defer mu.Unlock()
		if _, seen := at[e.State]; !seen && e.State != "" {
			at[e.State] = e.At
		}
	}}
	out, err = r.Run(b.Context(), p)
	if err != nil || out.Verdict != verdict.Pass {
		b.Fatalf("%+v, %v", out, err)
	}
	if err := ledger.Close(); err != nil {
		b.Error(err)
	}
	return at[verdict.Heal].Sub(at[verdict.Drive]), at[verdict.Clean].Sub(at[verdict.Judge]), out
}

func scenarioOf(where string) string {
	return fmt.Sprintf("- name: bench\n  required: {volumes: [{%s}]}\n  files: {count: %d, size: %d}\n  concurrency: %d\n"+
		"  tests: [write-files: {block: 128K, direct: true, queue-depth: 4, preallocate: true}]\n  checks: [check-files]\n", where, benchFiles, benchSize, benchFiles)
}

// fio writes and verifies in a directory, and tells how long each took.
func fio(b *testing.B, dir string) (write, verify time.Duration) {
	b.Helper()
	if _, err := exec.LookPath("fio"); err != nil {
		b.Skip("fio is not installed (Debian package fio)")
	}
	job := func(more ...string) time.Duration {
		args := append([]string{"--name=j", "--directory=" + dir, fmt.Sprint("--numjobs=", benchFiles), fmt.Sprint("--size=", benchSize), "--bs=128k",
			"--iodepth=4", "--ioengine=libaio", "--direct=1", "--end_fsync=1", "--group_reporting", "--output-format=json",
			"--verify=pattern", "--verify_state_save=0", "--verify_pattern=0x0123456789abcdef"}, more...)
		began := time.Now()
		out, err := exec.CommandContext(b.Context(), "fio", args...).Output()
		if err != nil {
			b.Fatalf("fio: %v: %s", err, out)
		}
		whole := time.Since(began)
		var report struct {
			Jobs []struct {
				Read, Write struct {
					Runtime int64 `json:"runtime"` // milliseconds
				}
			}
		}
		if err := json.Unmarshal(out, &report); err != nil || len(report.Jobs) == 0 {
			b.Fatalf("fio said %.200s: %v, after %v", out, err, whole)
		}
		return time.Duration(max(report.Jobs[0].Read.Runtime, report.Jobs[0].Write.Runtime)) * time.Millisecond
	}
	write = job("--rw=write", "--do_verify=0")
	return write, job("--rw=read")
}

// onSoftDisk gives a directory on a fresh soft disk with ext4.
func onSoftDisk(b *testing.B) (dir string, done func()) {
	b.Helper()
	top := b.TempDir()
	ledger, err := machine.OpenLedger(top)
	if err != nil {
		b.Fatal(err)
	}
	d, err := flakey.Open(b.Context(), flakey.Options{Name: "bench", Size: 1 << 30, Ledger: ledger}, soft.Driver{})
	if err != nil {
		b.Fatal(err)
	}
	dir = filepath.Join(top, "mnt")
	if err := os.Mkdir(dir, 0o700); err != nil {
		b.Fatal(err)
	}
	if err := machine.Mkfs(b.Context(), d.Path(), "ext4"); err != nil {
		b.Fatal(err)
	}
	m, err := machine.Mount(b.Context(), ledger, d.Path(), dir, "ext4", "")
	if err != nil {
		b.Fatal(err)
	}
	return dir, func() {
		ctx := context.Background()
		for _, err := range []error{m.Unmount(ctx, machine.UnmountOptions{}), d.Close(ctx), ledger.Close()} {
			if err != nil {
				b.Error(err)
			}
		}
	}
}

// BenchmarkWriteFiles is write-files and check-files against fio that writes
// and verifies a pattern, in turn, on fresh soft disks and in a directory.
func BenchmarkWriteFiles(b *testing.B) {
	needDisk(b)
	for _, c := range []struct {
		name  string
		mine  func(b *testing.B) string
		other func(b *testing.B) (string, func())
	}{
		{"soft", func(*testing.B) string { return "device: soft, filesystem: ext4, size: 1G" }, onSoftDisk},
		{"directory", func(b *testing.B) string { return "path: " + b.TempDir() }, func(b *testing.B) (string, func()) {
			dir, err := os.MkdirTemp(b.TempDir(), "fio")
			if err != nil {
				b.Fatal(err)
			}
			return dir, func() { os.RemoveAll(dir) }
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var mine, other [2][]float64
			const bytes = benchFiles * benchSize
			for b.Loop() {
				drive, judge, _ := timed(b, b.TempDir(), scenarioOf(c.mine(b)))
				dir, done := c.other(b)
				write, verify := fio(b, dir)
				done()
				for i, d := range []time.Duration{drive, drive + judge} {
					mine[i] = append(mine[i], bytes/d.Seconds())
				}
				for i, d := range []time.Duration{write, write + verify} {
					other[i] = append(other[i], bytes/d.Seconds())
				}
			}
			for i, name := range []string{"write", "write+verify"} {
				m, o := median(mine[i]), median(other[i])
				b.ReportMetric(m/1e9, name+"-GB/s")
				b.ReportMetric(o/1e9, "fio-"+name+"-GB/s")
				b.ReportMetric(m/o, name+"-ratio")
			}
		})
	}
}

func median(x []float64) float64 {
	slices.Sort(x)
	return x[len(x)/2]
}

// BenchmarkRounds is the time from a power cut to the first operation of the
// next round: the mount of what survived, and the check of eight files.
func BenchmarkRounds(b *testing.B) {
	needDisk(b)
	var gaps []float64
	for b.Loop() {
		dir := b.TempDir()
		_, _, out := timed(b, dir, "- name: rounds\n  required: {volumes: [{device: soft, filesystem: ext4, size: 256M}]}\n  files: {count: 8, size: 64K}\n"+
			"  concurrency: 4\n  tests: [write-files]\n  faults: [power-cut: {every: 100ms, times: 20}]\n  checks: [check-files]\n")
		var cut time.Duration
		for r, err := range history.ReadDir(filepath.Join(out.Dir, "history")) {
			if err != nil {
				b.Fatal(err)
			}
			switch {
			case r.Phase == history.Round:
				cut = r.At
			case r.Phase == history.Issued && cut != 0:
				gaps = append(gaps, float64((r.At-cut).Microseconds())/1000)
				cut = 0
			}
		}
	}
	b.ReportMetric(median(gaps), "ms-median")
}
