package pathcheck

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sys/unix"

	"net/http/httptest"
)

// story is what became of three paths: one answers, one has errors, one hangs.
func story(at time.Time) []Event {
	all := []Event{{Kind: Started, Path: "/fine"}, {Kind: Started, Path: "/bad"}, {Kind: Started, Path: "/hung"}, {Kind: Started, Path: "/fine", Err: unix.EEXIST}}
	for i := range 100 {
		due := at.Add(time.Duration(i) * time.Second)
		all = append(all, Event{Kind: Checked, Path: "/fine", Due: due, Began: due.Add(time.Millisecond), Delay: time.Duration(i+1) * time.Millisecond})
	}
	return append(all, Event{Kind: Checked, Path: "/bad", Err: unix.ESTALE, Due: at, Began: at},
		Event{Kind: Missed, Path: "/hung", Due: at.Add(time.Second), Began: at, Delay: time.Second})
}

func TestRows(t *testing.T) {
	at := time.Now()
	w := NewWatch()
	for _, e := range story(at) {
		w.Event(e)
	}
	rows := w.Rows(at.Add(5 * time.Second))
	if len(rows) != 3 {
		t.Fatal(rows)
	}
	fine, bad, hung := rows[0], rows[1], rows[2]
	if fine.Checks != 100 || fine.Max != 100*time.Millisecond || fine.Last != fine.Max || fine.State() != "ok" || len(fine.Recent) != recent {
		t.Errorf("%+v", fine)
	}
	for _, q := range []struct{ got, want time.Duration }{{fine.P50, 50 * time.Millisecond}, {fine.P99, 99 * time.Millisecond}} {
		if q.got < q.want || q.got > q.want*6/5 {
			t.Errorf("%v, want %v", q.got, q.want)
		}
	}
	if bad.Errors != 1 || bad.State() != "stale NFS file handle" && bad.State() != unix.ESTALE.Error() {
		t.Errorf("%+v %s", bad, bad.State())
	}
	if hung.Missed != 1 || hung.Hung != 5*time.Second || hung.State() != "no answer for 5s" {
		t.Errorf("%+v %s", hung, hung.State())
	}
	w.Event(Event{Kind: Checked, Path: "/hung", Began: at, Delay: 6 * time.Second})
	w.Event(Event{Kind: Stopped, Path: "/bad"})
	if rows := w.Rows(at); len(rows) != 2 || rows[1].State() != "ok" {
		t.Errorf("%+v", rows)
	}
}

// TestTableShows: what needs a look comes first, and what has no room is told of.
func TestTableShows(t *testing.T) {
	at := time.Now()
	w := NewWatch()
	for _, e := range story(at) {
		w.Event(e)
	}
	var b strings.Builder
	if err := Table(&b, w.Rows(at.Add(time.Minute)), 120, 24); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	for i, want := range []string{"PATH", "/hung", "/bad", "/fine"} {
		if !strings.HasPrefix(lines[i], want) {
			t.Errorf("line %d: %q", i, lines[i])
		}
	}
	b.Reset()
	if err := Table(&b, w.Rows(at), 60, 3); err != nil || !strings.HasSuffix(b.String(), "and 2 more paths, all of them faster\n") || strings.Count(b.String(), "\n") != 3 {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestSparkline(t *testing.T) {
	ms := time.Millisecond
	for want, delays := range map[string][]time.Duration{
		"":       {},
		"▁":      {ms},
		"▁▁▁":    {ms, ms, ms},
		"▁█×▁":   {ms, 100 * ms, -1, ms},
		"▁▃█":    {ms, 2 * ms, 10 * ms},
		"█▁":     {time.Second, 0},
		"▅▁▅▁▅▁": {4 * ms, ms, 4 * ms, ms, 4 * ms, ms},
	} {
		if got := Sparkline(delays, 10); got != want {
			t.Errorf("%v: %s, want %s", delays, got, want)
		}
	}
}

// TestCSVReadsBack: what is written is what is read, odd names included.
func TestCSVReadsBack(t *testing.T) {
	var b bytes.Buffer
	c := NewCSV(&b)
	at := time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC)
	names := []string{"/plain", "/with,comma", "/with \"quotes\"", "/ünï\xff"}
	for _, name := range names {
		c.Event(Event{Kind: Checked, Path: name, Due: at, Began: at, Delay: 1234 * time.Microsecond})
		c.Event(Event{Kind: Checked, Path: name, Due: at, Began: at, Err: unix.EIO})
		c.Event(Event{Kind: Missed, Path: name, Due: at, Delay: time.Second})
		c.Event(Event{Kind: Stopped, Path: name})
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	var want []Line
	for _, name := range names {
		want = append(want, Line{at, name, 0, 1234 * time.Microsecond}, Line{at, name, unix.EIO, 0}, Line{at, name, unix.EINPROGRESS, time.Second})
	}
	whole := b.String()
	got, err := ReadCSV(strings.NewReader(whole))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n%v\n%v", err, got, want)
	}
	if got, err := ReadCSV(strings.NewReader(whole[:strings.LastIndex(whole, ",")])); err != nil || len(got) != len(want)-1 {
		t.Errorf("without its end: %d lines, %v", len(got), err)
	}
	for _, bad := range []string{"a,b\n", "hello,a,b,c,d\n", "time,path,errno,delay_seconds,late_seconds\nx,/a,0,0,0\n/b\n/c,d\n"} {
		if _, err := ReadCSV(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// TestPlotShows: a line for each path and a mark where it began to fail.
func TestPlotShows(t *testing.T) {
	at := time.Now()
	var lines []Line
	for i := range 50 {
		e := Line{At: at.Add(time.Duration(i) * time.Second), Path: fmt.Sprintf("/p%d", i%12), Delay: time.Millisecond}
		if i >= 40 {
			e = Line{At: e.At, Path: "/bad", Err: unix.EIO}
		}
		lines = append(lines, e)
	}
	p := Plot(lines)
	if len(p.Series) != mostLinesDrawn || p.Series[0].Name != "/bad" || len(p.Marks) != 1 || p.Marks[0].Text != "/bad: input/output error" || !strings.Contains(p.Title, "13 paths") {
		t.Errorf("%d series, first %q, marks %v, %s", len(p.Series), p.Series[0].Name, p.Marks, p.Title)
	}
	var b strings.Builder
	if err := WriteHTML(&b, p); err != nil || !strings.Contains(b.String(), "/bad: input/output error") {
		t.Errorf("%v %s", err, b.String())
	}
}

func TestReadPaths(t *testing.T) {
	got, err := ReadPaths(strings.NewReader("# all\n\n/a\n/b 5\n/c\t7 write\n\"/with blank\" 3600 stat\r\n"), List)
	want := []Entry{{"/a", 10 * time.Second, List}, {"/b", 5 * time.Second, List}, {"/c", 7 * time.Second, Write}, {"/with blank", time.Hour, Stat}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range []string{"/a 0", "/a 3601", "/a x", "/a 1 smell", "/a 1 read more", "/a\n/a", "\"/a"} {
		if _, err := ReadPaths(strings.NewReader(bad), Read); err == nil || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// TestSpread: paths of a file do not all begin at once, those of commands do.
// When a check was due does not depend on when it was done.
func TestSpread(t *testing.T) {
	t.Parallel()
	checked := make(chan Event, 1024)
	c, err := New(Options{Events: func(e Event) {
		if e.Kind == Checked {
			checked <- e
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	dir, began := t.TempDir(), time.Now()
	var all []Entry
	for _, name := range []string{"a", "b", "c", "d"} {
		all = append(all, Entry{filepath.Join(dir, name), time.Second, Stat})
	}
	c.StartAll(all)
	due := map[string]time.Time{} // of each path's first check
	for len(due) < len(all) {
		if e := <-checked; due[e.Path].IsZero() {
			due[e.Path] = e.Due
		}
	}
	first := due[all[0].Path]
	if first.Before(began) {
		t.Errorf("the first check was due %v before it was asked for", began.Sub(first))
	}
	for i, e := range all {
		if gap := due[e.Path].Sub(first); gap < time.Duration(i)*250*time.Millisecond {
			t.Errorf("check %d was due %v after the first", i, gap)
		}
	}
}

// TestMetrics: what Prometheus sees of real paths.
func TestMetrics(t *testing.T) {
	t.Parallel()
	h, fine := newHung(t), file(t)
	w := NewWatch()
	c, err := New(Options{Events: w.Event})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	registry := prometheus.NewRegistry()
	registry.MustRegister(NewCollector(w, c.Flights))
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	defer server.Close()
	for _, path := range []string{fine, h.path, "/absent\xff"} {
		c.Start(path, 20*time.Millisecond, Read)
	}
	scrape := func() string {
		r, err := http.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, _ := io.ReadAll(r.Body)
		if r.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s", r.Status, b)
		}
		return string(b)
	}
	value := func(text, name string) (v float64) {
		for line := range strings.Lines(text) {
			if rest, ok := strings.CutPrefix(line, name+" "); ok {
				fmt.Sscan(rest, &v)
			}
		}
		return v
	}
	name := func(metric, path string) string { return "assay_pathcheck_" + metric + `{path="` + path + `"}` }
	eventually(t, "what is to be seen", func() bool {
		text := scrape()
		return value(text, name("delay_seconds_count", fine)) > 3 && value(text, name("missed_total", h.path)) > 3 &&
			value(text, name("in_flight_seconds", h.path)) > 0.1 && value(text, name("in_flight_seconds", fine)) < 0.1 &&
			value(text, name("last_success_timestamp_seconds", fine)) > float64(time.Now().Add(-time.Minute).Unix()) &&
			value(text, `assay_pathcheck_errors_total{errno="2",path="\"/absent\\xff\""}`) > 1 && value(text, "assay_pathcheck_paths") == 3
	})
	c.Stop(fine)
	eventually(t, "the stopped path to be gone", func() bool { return !strings.Contains(scrape(), fine) })
}

// TestNoGrowth: what has been checked leaves nothing.
func TestNoGrowth(t *testing.T) {
	checks := 50_000
	if os.Getenv("ASSAY_FULL") != "" {
		checks = 1_000_000
	}
	all := files(t, 50)
	done := make(chan struct{}, 1024)
	c, err := New(Options{Events: func(e Event) {
		if e.Kind == Checked {
			select {
			case done <- struct{}{}:
			default:
			}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	all = append(all, filepath.Join(t.TempDir(), "absent"))
	do := func(checks int) {
		for _, path := range all {
			c.Start(path, time.Millisecond, Read)
		}
		for range checks {
			<-done
		}
		for _, path := range all {
			c.Stop(path)
		}
		eventually(t, "no check to be under way", func() bool { return len(c.Flights()) == 0 })
	}
	state := func() (fds, threads int, memory int64) {
		for _, pid := range append(helpersOf(os.Getpid()), os.Getpid()) {
			f, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
			s, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
			fds, threads = fds+len(f), threads+len(s)
			b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
			var size, resident int64
			fmt.Sscan(string(b), &size, &resident)
			memory += resident * int64(os.Getpagesize())
		}
		return fds, threads, memory
	}
	do(checks / 10)
	// On a busy machine there may be a helper more, and the collector comes late. What
	// grows with the checks grows each time.
	for range 10 {
		fds, threads, memory := state()
		do(checks)
		fds2, threads2, memory2 := state()
		t.Logf("%d descriptors, %d threads, %d MiB; after %d more checks %d, %d, %d", fds, threads, memory>>20, checks, fds2, threads2, memory2>>20)
		if fds2 <= fds+8 && threads2 <= threads+600 && memory2 <= memory+64<<20 {
			return
		}
	}
	t.Error("there are more and more")
}
