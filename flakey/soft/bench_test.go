package soft

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/machine"
)

// fio runs one job on a device and gives bytes and operations a second.
func fio(b *testing.B, device, rw, bs string, depth int, size string) (bytes, iops float64) {
	b.Helper()
	if _, err := exec.LookPath("fio"); err != nil {
		b.Skip("fio is not installed (Debian package fio)")
	}
	out, err := exec.CommandContext(b.Context(), "fio", "--name=j", "--filename="+device, "--rw="+rw, "--bs="+bs, fmt.Sprint("--iodepth=", depth),
		"--ioengine=libaio", "--direct=1", "--size="+size, "--runtime=8", "--output-format=json", "--refill_buffers=0").Output()
	if err != nil {
		b.Fatalf("fio on %s: %v: %s", device, err, out)
	}
	var report struct {
		Jobs []struct {
			Read, Write struct{ Bw_bytes, Iops float64 }
		}
	}
	if err := json.Unmarshal(out, &report); err != nil || len(report.Jobs) != 1 {
		b.Fatalf("fio said %s: %v", out, err)
	}
	j := report.Jobs[0]
	return j.Read.Bw_bytes + j.Write.Bw_bytes, j.Read.Iops + j.Write.Iops
}

const benchSize = 1 << 30

// peer is a loop device with direct I/O on a preallocated file: what a disk
// image costs without a disk in user space.
func (l *lab) peer(b *testing.B) string {
	b.Helper()
	f, err := os.Create(filepath.Join(b.TempDir(), "image"))
	if err != nil {
		b.Fatal(err)
	}
	chunk := make([]byte, 1<<20)
	for range benchSize >> 20 {
		if _, err := f.Write(chunk); err != nil {
			b.Fatal(err)
		}
	}
	f.Sync()
	loop, err := machine.Attach(b.Context(), l.ledger, f, machine.LoopOptions{})
	if err != nil {
		b.Fatal(err)
	}
	f.Close()
	b.Cleanup(func() {
		if err := loop.Detach(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return loop.Path()
}

// BenchmarkDisk compares the soft disk with its peer by fio, in one run, in
// the second pass over each.
func BenchmarkDisk(b *testing.B) {
	l := newLab(b)
	disk := l.open(b, flakey.Options{Size: benchSize})
	peer := l.peer(b)
	for _, device := range []string{disk.Path(), peer} {
		fio(b, device, "write", "128k", 4, "1g")
	}
	for _, c := range []struct {
		name, rw, bs string
		depth        int
		ops          bool
	}{
		{"write-128k", "write", "128k", 4, false},
		{"read-128k", "read", "128k", 4, false},
		{"randwrite-4k", "randwrite", "4k", 16, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			var mine, other []float64
			for b.Loop() {
				for _, d := range []struct {
					path string
					to   *[]float64
				}{{disk.Path(), &mine}, {peer, &other}} {
					bytes, iops := fio(b, d.path, c.rw, c.bs, c.depth, "1g")
					if c.ops {
						bytes = iops
					}
					*d.to = append(*d.to, bytes)
				}
			}
			m, o := median(mine), median(other)
			unit, scale := "GB/s", 1e9
			if c.ops {
				unit, scale = "kIOPS", 1e3
			}
			b.ReportMetric(m/scale, unit)
			b.ReportMetric(o/scale, "loop-"+unit)
			b.ReportMetric(m/o, "ratio")
			st, err := disk.Stats(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(st.Memory)/benchSize, "memory/live")
		})
	}
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// BenchmarkFresh is the first pass over a disk, as soon as it is there. How long
// it takes to make one depends on whether the host of a virtual machine has the
// memory at hand.
func BenchmarkFresh(b *testing.B) {
	l := newLab(b)
	var rates, opening []float64
	for b.Loop() {
		from := time.Now()
		d := l.open(b, flakey.Options{Size: benchSize})
		opening = append(opening, time.Since(from).Seconds())
		rate, _ := fio(b, d.Path(), "write", "128k", 4, "1g")
		rates = append(rates, rate)
		if err := d.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(median(rates)/1e9, "GB/s")
	b.ReportMetric(median(opening), "s-to-open")
}

// BenchmarkCut is a power cut with the new mount of ext4, the writer killed.
func BenchmarkCut(b *testing.B) {
	l := newLab(b)
	d := l.open(b, flakey.Options{Size: 256 << 20})
	dir := filepath.Join(l.dir, "mnt")
	if err := os.Mkdir(dir, 0o700); err != nil {
		b.Fatal(err)
	}
	if err := machine.Mkfs(b.Context(), d.Path(), "ext4"); err != nil {
		b.Fatal(err)
	}
	mount := func(device string) *machine.MountPoint {
		p, err := machine.Mount(b.Context(), l.ledger, device, dir, "ext4", "")
		if err != nil {
			b.Fatal(err)
		}
		return p
	}
	var took []float64
	point := mount(d.Path())
	for b.Loop() {
		writer := exec.Command("sh", "-c", "while :; do dd if=/dev/zero of=\"$0\" bs=4k count=64 conv=fsync 2>/dev/null; done", filepath.Join(dir, "f"))
		writer.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := writer.Start(); err != nil {
			b.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		from := time.Now()
		cut, err := d.PowerCut(b.Context(), flakey.Keep{Mode: flakey.KeepRandom})
		if err != nil {
			b.Fatal(err)
		}
		syscall.Kill(-writer.Process.Pid, syscall.SIGKILL)
		writer.Wait()
		if err := point.Unmount(b.Context(), machine.UnmountOptions{Dead: true}); err != nil {
			b.Fatal(err)
		}
		point = mount(cut.Path)
		took = append(took, float64(time.Since(from).Microseconds())/1000)
	}
	if err := point.Unmount(b.Context(), machine.UnmountOptions{Force: true}); err != nil {
		b.Error(err)
	}
	b.ReportMetric(median(took), "ms-median")
}
