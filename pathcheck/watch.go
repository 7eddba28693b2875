package pathcheck

import (
	"math"
	"sort"
	"sync"
	"syscall"
	"time"
)

// Watch remembers what became of each path. Its methods may be called by several
// goroutines at once.
type Watch struct {
	mu    sync.Mutex
	paths map[string]*watched
	order []string // as they were started
}

// NewWatch gives one that has seen nothing. Its Event is for Options.Events.
func NewWatch() *Watch { return &Watch{paths: map[string]*watched{}} }

const (
	recent  = 30  // delays for a sparkline
	classes = 160 // of delays, of a fifth more each: 1 µs to weeks
)

// watched is what is known of one path.
type watched struct {
	well      uint64 // checks that went well
	seconds   float64
	class     [classes]uint32
	bucket    [len(buckets)]uint64 // for Prometheus, each without those below
	max       time.Duration
	last      time.Duration
	lastWell  time.Time
	recent    [recent]time.Duration // a ring; below 0: an error or no answer
	seen      int                   // of recent
	errors    map[syscall.Errno]uint64
	err       syscall.Errno // of the last check
	missed    uint64
	hungSince time.Time // zero: it answers
}

func classOf(d time.Duration) int {
	n := math.Log(max(d.Seconds(), 1e-6)/1e-6) / math.Log(1.2)
	return min(int(n), classes-1)
}

// top is the longest delay of a class.
func top(class int) time.Duration {
	return time.Duration(1e-6 * math.Pow(1.2, float64(class+1)) * float64(time.Second))
}

// Event takes note of an event.
func (w *Watch) Event(e Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.paths[e.Path]
	switch {
	case e.Kind == Started && e.Err == 0:
		w.paths[e.Path] = &watched{errors: map[syscall.Errno]uint64{}}
		w.order = append(w.order, e.Path)
	case p == nil:
	case e.Kind == Stopped && e.Err == 0:
		delete(w.paths, e.Path)
		for i, path := range w.order {
			if path == e.Path {
				w.order = append(w.order[:i], w.order[i+1:]...)
				break
			}
		}
	case e.Kind == Missed:
		p.missed++
		p.hungSince = e.Began
		p.note(-1)
	case e.Kind == Checked:
		p.checked(e)
	}
}

func (p *watched) checked(e Event) {
	p.err, p.hungSince, p.last = e.Err, time.Time{}, e.Delay
	if e.Err != 0 {
		p.errors[e.Err]++
		p.note(-1)
		return
	}
	p.well++
	p.seconds += e.Delay.Seconds()
	p.class[classOf(e.Delay)]++
	if i := sort.SearchFloat64s(buckets[:], e.Delay.Seconds()); i < len(buckets) {
		p.bucket[i]++
	}
	p.max = max(p.max, e.Delay)
	p.lastWell = e.Began.Add(e.Delay)
	p.note(e.Delay)
}

func (p *watched) note(d time.Duration) {
	p.recent[p.seen%recent] = d
	p.seen++
}

// quantile is a delay that this share of the checks that went well did not
// exceed, a fifth too much at most.
func (p *watched) quantile(share float64) time.Duration {
	want, sum := uint64(math.Ceil(share*float64(p.well))), uint64(0)
	for i, n := range p.class {
		if sum += uint64(n); n > 0 && sum >= want {
			return min(top(i), p.max)
		}
	}
	return 0
}

// Row is what is known of a path.
type Row struct {
	Path           string
	Checks, Missed uint64        // checks that went well; intervals without one
	Errors         uint64        // checks that did not
	Last           time.Duration // of the last check
	P50, P99, Max  time.Duration // of those that went well; the first two may be a fifth too much
	Err            syscall.Errno // of the last check
	Hung           time.Duration // how long its check has not ended; 0: it has, or is not late
	Recent         []time.Duration
}

// State says in a word or two how the path is.
func (r Row) State() string {
	switch {
	case r.Hung > 0:
		return "no answer for " + r.Hung.Round(time.Second).String()
	case r.Err != 0:
		return r.Err.Error()
	case r.Checks == 0:
		return "waiting"
	}
	return "ok"
}

// Rows are all paths, in the order in which they were started.
func (w *Watch) Rows(now time.Time) []Row {
	w.mu.Lock()
	defer w.mu.Unlock()
	rows := make([]Row, 0, len(w.order))
	for _, path := range w.order {
		p := w.paths[path]
		r := Row{Path: path, Checks: p.well, Missed: p.missed, Last: p.last, P50: p.quantile(0.5), P99: p.quantile(0.99), Max: p.max, Err: p.err}
		for _, n := range p.errors {
			r.Errors += n
		}
		if !p.hungSince.IsZero() {
			r.Hung = now.Sub(p.hungSince)
		}
		for i := max(0, p.seen-recent); i < p.seen; i++ {
			r.Recent = append(r.Recent, p.recent[i%recent])
		}
		rows = append(rows, r)
	}
	return rows
}
