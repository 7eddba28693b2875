package pathcheck

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// files makes n files beside one another that can be read with O_DIRECT.
func files(tb testing.TB, n int) []string { return filesIn(tb, ".", n) }

func filesIn(tb testing.TB, dir string, n int) []string {
	tb.Helper()
	dir, err := os.MkdirTemp(dir, "testdata-")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	if dir, err = filepath.Abs(dir); err != nil {
		tb.Fatal(err)
	}
	all := make([]string, n)
	for i := range all {
		all[i] = filepath.Join(dir, strconv.Itoa(i))
		if err := os.WriteFile(all[i], make([]byte, 4096), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	return all
}

// unbounded is the design that is measured against: a goroutine for each check,
// which opens, reads and closes, and a queue of 128 events.
type unbounded struct{ events chan time.Duration } // from when it was due to the event

func (u *unbounded) check(path string, due time.Time) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err == nil {
		page, err := unix.Mmap(-1, 0, alignment, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
		if err == nil {
			_, _ = unix.Pread(fd, page, 0)
			_ = unix.Munmap(page)
		}
		unix.Close(fd)
	}
	u.events <- time.Since(due)
}

// BenchmarkAtOnce starts 128 paths at once and waits for their first answers, in
// turn with both designs.
func BenchmarkAtOnce(b *testing.B) {
	const paths = 128
	all := files(b, paths)
	got := make(chan time.Duration, paths)
	c, err := New(Options{Events: func(e Event) {
		if e.Kind == Checked {
			got <- time.Since(e.Due)
		}
	}})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	c.Start(all[0], time.Hour, Read)
	<-got // the helper is there
	c.Stop(all[0])
	gather := func(from chan time.Duration, began time.Time) (whole, average time.Duration) {
		var sum time.Duration
		for range paths {
			sum += <-from
		}
		return time.Since(began), sum / paths
	}
	var ours, theirs [2][]time.Duration // all answered, average
	for b.Loop() {
		u := &unbounded{make(chan time.Duration, 128)}
		began := time.Now()
		for _, path := range all {
			go u.check(path, began)
		}
		whole, average := gather(u.events, began)
		theirs[0], theirs[1] = append(theirs[0], whole), append(theirs[1], average)
		began = time.Now()
		for _, path := range all {
			c.Start(path, time.Hour, Read)
		}
		whole, average = gather(got, began)
		ours[0], ours[1] = append(ours[0], whole), append(ours[1], average)
		for _, path := range all {
			c.Stop(path)
		}
		c.Flights() // all are stopped
	}
	b.ReportMetric(0, "ns/op")
	for i, what := range []string{"all-answered", "average"} {
		o, t := median(ours[i]), median(theirs[i])
		b.ReportMetric(o.Seconds()*1000, "ms-"+what)
		b.ReportMetric(float64(o)/float64(t), "of-baseline-"+what)
	}
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
