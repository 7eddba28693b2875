package pathcheck

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/machine"
	"golang.org/x/sys/unix"
)

const (
	settle   = 5 * time.Second  // before anything is measured
	measured = 10 * time.Second // after it
)

// figures are what the program tells of itself.
type figures struct {
	Checks   int
	P50, P99 time.Duration // of lateness
	Max      time.Duration
	CPU      float64 // cores, helpers included
}

// load is what a process of BenchmarkManyPaths does: it checks the paths of a
// file, and tells how late the checks were of those that answer.
func load(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	all, err := ReadPaths(f, Read)
	if err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	began := time.Now()
	late := make([]time.Duration, 0, 1<<20)
	s := Service{Out: null, Watch: func(e Event) {
		if e.Kind == Checked && e.Err == 0 && e.Due.Sub(began) > settle {
			late = append(late, e.Began.Sub(e.Due))
		}
	}}
	ctx, cancel := context.WithTimeout(context.Background(), settle+measured)
	defer cancel()
	before := make(chan float64, 1)
	go func() {
		time.Sleep(settle)
		before <- cpu(append(helpersOf(os.Getpid()), os.Getpid()))
	}()
	var used float64
	time.AfterFunc(settle+measured-100*time.Millisecond, func() {
		used = cpu(append(helpersOf(os.Getpid()), os.Getpid())) - <-before
	})
	if err := s.ServeAll(ctx, all); err != nil {
		return err
	}
	slices.Sort(late)
	at := func(share float64) time.Duration { return late[int(share*float64(len(late)-1))] }
	return json.NewEncoder(os.Stdout).Encode(figures{len(late), at(0.5), at(0.99), at(1), used / (measured - 100*time.Millisecond).Seconds()})
}

// cpu is the time that processes have used, in seconds: proc_pid_stat(5).
func cpu(pids []int) (seconds float64) {
	for _, pid := range pids {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		for _, i := range []int{11, 12} { // utime, stime
			n, _ := strconv.ParseFloat(f[i], 64)
			seconds += n / 100 // of USER_HZ
		}
	}
	return seconds
}

// BenchmarkManyPaths checks thousands of paths each second, some of which hang
// for ever, in a memory cgroup of its own.
func BenchmarkManyPaths(b *testing.B) {
	b.Run("10000", func(b *testing.B) { manyPaths(b, 10_000, 0) })
	b.Run("5000+5000hung", func(b *testing.B) { manyPaths(b, 5_000, 5_000) })
}

func manyPaths(b *testing.B, fine, hung int) {
	// In memory, or the figures would be the device's: tmpfs takes O_DIRECT since Linux 6.6.
	all := filesIn(b, "/dev/shm", fine)
	dir := b.TempDir()
	for i := range hung { // among one another
		path := filepath.Join(dir, strconv.Itoa(i))
		if err := unix.Mkfifo(path, 0o600); err != nil {
			b.Fatal(err)
		}
		all = slices.Insert(all, 2*i, path)
	}
	list := filepath.Join(dir, "paths")
	if err := os.WriteFile(list, []byte(strings.Join(all, " 1\n")+" 1\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	cgroup := filepath.Join(memoryCgroup(), "assay-bench-"+machine.Token())
	if err := os.Mkdir(cgroup, 0o755); err != nil {
		b.Skip(err)
	}
	defer func() {
		for range 100 { // the last process may still be leaving
			if os.Remove(cgroup) == nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	for b.Loop() {
		cmd := exec.Command("sh", "-c", "echo $$ > "+cgroup+"/cgroup.procs && exec "+os.Args[0])
		cmd.Env = append(os.Environ(), "PATHCHECK_TEST_LOAD="+list)
		cmd.Stderr = os.Stderr
		time.AfterFunc(settle+measured/2, func() {
			for _, file := range []string{"memory.usage_in_bytes", "memory.current"} {
				if s, err := os.ReadFile(filepath.Join(cgroup, file)); err == nil {
					n, _ := strconv.ParseFloat(strings.TrimSpace(string(s)), 64)
					b.ReportMetric(n/(1<<20), "MiB-cgroup")
				}
			}
		})
		out, err := cmd.Output()
		if err != nil {
			b.Fatal(err)
		}
		var f figures
		if err := json.Unmarshal(out, &f); err != nil {
			b.Fatal(err, string(out))
		}
		b.ReportMetric(float64(f.Checks)/measured.Seconds(), "checks/s")
		b.ReportMetric(f.P50.Seconds()*1000, "ms-late-p50")
		b.ReportMetric(f.P99.Seconds()*1000, "ms-late-p99")
		b.ReportMetric(f.Max.Seconds()*1000, "ms-late-max")
		b.ReportMetric(f.CPU, "cores")
		b.ReportMetric(0, "ns/op")
	}
}

// memoryCgroup is the directory of this process's own, of either version.
func memoryCgroup() string {
	b, _ := os.ReadFile("/proc/self/cgroup")
	dir := "/sys/fs/cgroup"
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case f[1] == "memory":
			return "/sys/fs/cgroup/memory" + f[2]
		case f[0] == "0":
			dir += f[2]
		}
	}
	return dir
}

// BenchmarkDelay compares what a check of a cached O_DIRECT read takes with what
// ioping -D says of the same file.
func BenchmarkDelay(b *testing.B) {
	ioping, err := exec.LookPath("ioping")
	if err != nil {
		b.Skip("needs ioping (Debian package ioping)")
	}
	file := files(b, 1)[0]
	got := make(chan time.Duration, 1)
	c, err := New(Options{Events: func(e Event) {
		if e.Kind == Checked {
			got <- e.Delay
		}
	}})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	var ours, theirs []time.Duration
	for b.Loop() {
		c.Start(file, 2*time.Millisecond, Read)
		for range 500 {
			ours = append(ours, <-got)
		}
		c.Stop(file)
		for len(got) > 0 {
			<-got
		}
		out, err := exec.Command(ioping, "-D", "-c", "500", "-i", "2ms", "-s", "4k", "-S", "4k", "-q", "-B", file).Output()
		if err != nil {
			b.Fatal(err)
		}
		f := strings.Fields(string(out)) // count, ns in all, iops, bytes/s, least, mean, ...
		ns, err := strconv.ParseFloat(f[5], 64)
		if err != nil {
			b.Fatal(err, string(out))
		}
		theirs = append(theirs, time.Duration(ns))
	}
	mean := time.Duration(0)
	for _, d := range ours {
		mean += d / time.Duration(len(ours))
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(mean)/1e3, "µs")
	b.ReportMetric(float64(mean)/float64(median(theirs)), "of-ioping")
}
