package pressure

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/content"
	"golang.org/x/sys/unix"
)

// Every benchmark runs its peer in turn with itself, and prints ratios: the
// machine's own figures waver.

// BenchmarkMemory takes 2 GiB and gives them back, in turn with plainly
// touching as much in huge pages, with one thread and with as many as we have.
// Before each the memory is touched once: a hypervisor may have taken back what
// was free, and to get that again is its time, not ours. Medians are told.
func BenchmarkMemory(b *testing.B) {
	const size = 2 << 30
	m := newMemory(b, MemoryOptions{})
	if m.Current().Limit < size+size/2 {
		b.Skip("needs 3 GiB of memory")
	}
	threads := runtime.GOMAXPROCS(0)
	var took, released, one, many, cost, peerCost []float64
	for range b.N {
		touch(b, size, threads)
		one = append(one, touch(b, size, 1))
		touch(b, size, threads)
		before := ownTime(b)
		many = append(many, touch(b, size, threads))
		peerCost = append(peerCost, ownTime(b)-before)
		touch(b, size, threads)
		before = ownTime(b)
		began := time.Now()
		if err := m.Set(b.Context(), size); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began).Seconds())
		cost = append(cost, ownTime(b)-before)
		began = time.Now()
		if err := m.Release(); err != nil {
			b.Fatal(err)
		}
		released = append(released, time.Since(began).Seconds())
	}
	b.ReportMetric(median(took), "s/2GiB")
	b.ReportMetric(median(released), "s-release")
	b.ReportMetric(median(one), "s-touch-1-thread")
	b.ReportMetric(median(many), "s-touch-same-threads")
	b.ReportMetric(median(one)/median(took), "ratio-to-touch-1-thread")
	b.ReportMetric(median(many)/median(took), "ratio-to-touch-same-threads")
	b.ReportMetric(median(cost), "cpu-s/2GiB")
	b.ReportMetric(median(peerCost)/median(cost), "ratio-of-cpu-s")
}

// ownTime is the CPU time of this process, in seconds.
func ownTime(b *testing.B) float64 {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// touch maps memory, advises huge pages, and writes to every page of 4 KiB; it
// returns the seconds that takes.
func touch(b *testing.B, size, threads int) float64 {
	b.Helper()
	mem, err := unix.Mmap(-1, 0, size+hugePage, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = unix.Munmap(mem) }()
	_ = unix.Madvise(mem, unix.MADV_HUGEPAGE)
	began := time.Now()
	var wg sync.WaitGroup
	share := size / threads
	for i := range threads {
		wg.Go(func() {
			for at := i * share; at < (i+1)*share; at += 4096 {
				mem[at] = 1
			}
		})
	}
	wg.Wait()
	return time.Since(began).Seconds()
}

// BenchmarkDisk writes 1 GiB, in turn with fio writing as much: direct, in
// sequence, four blocks of 1 MiB at a time, synced at the end.
func BenchmarkDisk(b *testing.B) {
	if _, err := exec.LookPath("fio"); err != nil {
		b.Skip("needs fio")
	}
	const size = 1 << 30
	dir := b.TempDir()
	d := newDisk(b, DiskOptions{Dir: dir, Margin: 1})
	var ours, peer time.Duration
	for range b.N {
		c := exec.Command("fio", "--name=x", "--filename="+filepath.Join(dir, "fio"), "--rw=write", "--bs=1M", "--size=1G", "--direct=1", "--ioengine=libaio", "--iodepth=4", "--end_fsync=1", "--output-format=json")
		out, err := c.Output()
		if err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		var report struct {
			Jobs []struct {
				Runtime int64 `json:"job_runtime"` // milliseconds, the sync included; starting fio is not
			} `json:"jobs"`
		}
		if err := json.Unmarshal(out, &report); err != nil || len(report.Jobs) != 1 {
			b.Fatalf("%v: %s", err, out)
		}
		peer += time.Duration(report.Jobs[0].Runtime) * time.Millisecond
		if err := os.Remove(filepath.Join(dir, "fio")); err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		if err := d.Set(b.Context(), size); err != nil {
			b.Fatal(err)
		}
		ours += time.Since(began)
		if !d.Current().Direct {
			b.Fatal("it went through the page cache")
		}
		if err := d.Release(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*1024/ours.Seconds(), "MiB/s")
	b.ReportMetric(float64(b.N)*1024/peer.Seconds(), "MiB/s-fio")
	b.ReportMetric(peer.Seconds()/ours.Seconds(), "ratio-to-fio")
	b.ReportMetric(making(), "cpu-s/GiB-of-data")
}

// making is the CPU time that a GiB of data costs, as the disk's blocks are made.
func making() float64 {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	buffer := make([]byte, block)
	began := threadTime()
	for at := int64(0); at < 1<<30; at += block {
		content.Fill(buffer, content.Tag{Seed: 1, Object: 2}, at)
	}
	return (threadTime() - began).Seconds()
}

// BenchmarkCPU uses from 10 to 200 % for a time, in turn with stress-ng, and
// tells by how many points both were off: over the whole, and at most over 5 s. What the
// others and the hypervisor took is told beside it.
func BenchmarkCPU(b *testing.B) {
	if _, err := exec.LookPath("stress-ng"); err != nil {
		b.Skip("needs stress-ng")
	}
	length := 20 * time.Second
	if os.Getenv("ASSAY_FULL") != "" {
		length = time.Minute
	}
	for _, percent := range []int{10, 50, 90, 150, 200} {
		if percent > 100*runtime.NumCPU() {
			continue
		}
		threads := (percent + 99) / 100
		b.Run(fmt.Sprintf("%d%%", percent), func(b *testing.B) {
			c, err := childProcess("cpu", fmt.Sprintf("CPU_LOAD=%d", percent))
			if err != nil {
				b.Fatal(err)
			}
			ours := watchLoad(b, c, percent, length)
			peer := watchLoad(b, exec.Command("stress-ng", "--quiet", "--cpu", strconv.Itoa(threads), "--cpu-load", strconv.Itoa(percent/threads)), percent, length)
			for i, name := range []string{"", "-stress-ng"} {
				r := []observed{ours, peer}[i]
				b.ReportMetric(r.whole, "points-off"+name)
				b.ReportMetric(r.worst, "points-off-in-5s"+name)
				b.ReportMetric(r.room, "points-others-left"+name)
				b.ReportMetric(r.steal, "points-stolen"+name)
			}
		})
	}
}

// cpuChild is the child of BenchmarkCPU.
func cpuChild() int {
	percent, err := strconv.ParseFloat(os.Getenv("CPU_LOAD"), 64)
	var c CPU
	if err == nil {
		err = c.Set(Load{Cores: percent / 100})
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	time.Sleep(10 * time.Minute) // it is killed
	return 0
}

// observed is what a load looked like from outside, in percent of one core.
type observed struct{ whole, worst, room, steal float64 }

// watchLoad runs a command in a process group of its own and looks at the CPU
// time of that group every 5 s, after 2 s to start in.
func watchLoad(b *testing.B, c *exec.Cmd, percent int, length time.Duration) observed {
	b.Helper()
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = unix.Kill(-c.Process.Pid, unix.SIGKILL); _ = c.Wait() }()
	// Ahead of whatever else this machine does, if we may: what is to be seen is how exact
	// the loop is, not how busy the machine.
	_ = unix.Setpriority(unix.PRIO_PGRP, c.Process.Pid, -20)
	time.Sleep(2 * time.Second)
	_ = unix.Setpriority(unix.PRIO_PGRP, c.Process.Pid, -20) // those that were started meanwhile
	var o observed
	began, base, machine := time.Now(), groupTime(b, c.Process.Pid), machineTime(b)
	last, at := base, began
	for time.Since(began) < length {
		time.Sleep(time.Until(at.Add(5 * time.Second)))
		now, used := time.Now(), groupTime(b, c.Process.Pid)
		off := 100*(used-last).Seconds()/now.Sub(at).Seconds() - float64(percent)
		if math.Abs(off) > math.Abs(o.worst) {
			o.worst = off
		}
		last, at = used, now
	}
	wall := at.Sub(began).Seconds()
	used := (last - base).Seconds()
	o.whole = 100*used/wall - float64(percent)
	after := machineTime(b)
	o.steal = 100 * (after.steal - machine.steal) / wall
	o.room = 100*(after.idle-machine.idle)/wall + 100*used/wall
	return o
}

// groupTime is the CPU time of all threads of a process group (schedstat, in
// nanoseconds; Documentation/scheduler/sched-stats.rst).
func groupTime(b *testing.B, group int) (sum time.Duration) {
	b.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
	}
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if f[2] != strconv.Itoa(group) {
			continue
		}
		tasks, _ := filepath.Glob(filepath.Join(filepath.Dir(path), "task/*/schedstat"))
		for _, t := range tasks {
			text, err := os.ReadFile(t)
			if err != nil {
				continue
			}
			ns, _ := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
			sum += time.Duration(ns)
		}
	}
	return sum
}

// times are those of all processors, in seconds.
type times struct{ idle, steal float64 }

func machineTime(b *testing.B) times {
	b.Helper()
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		b.Fatal(err)
	}
	f := strings.Fields(strings.SplitN(string(text), "\n", 2)[0])
	number := func(i int) float64 { n, _ := strconv.ParseFloat(f[i], 64); return n / 100 }
	return times{idle: number(4) + number(5), steal: number(8)}
}
