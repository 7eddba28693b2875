package pathcheck

import (
	"strconv"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
)

// buckets are the bounds of the histogram, in seconds: from what a cache gives to
// what a daemon gives up.
var buckets = [...]float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

// Collector gives what a Watch knows to Prometheus:
//
//	assay_pathcheck_delay_seconds{path}               histogram of the checks that went well
//	assay_pathcheck_errors_total{path,errno}          checks that did not
//	assay_pathcheck_missed_total{path}                intervals without a check, because the one before had not ended
//	assay_pathcheck_last_success_timestamp_seconds{path}
//	assay_pathcheck_in_flight_seconds{path}           how long its check has been under way; 0: none is
//	assay_pathcheck_paths                             how many there are
//
// A path that is stopped is not there any more.
type Collector struct {
	w       *Watch
	flights func() []Flight

	delay, errors, missed, success, flight, paths *prometheus.Desc
}

// NewCollector gives one; flights is Checker.Flights.
func NewCollector(w *Watch, flights func() []Flight) *Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("assay_pathcheck_"+name, help, labels, nil)
	}
	return &Collector{w: w, flights: flights,
		delay:   desc("delay_seconds", "How long the checks took that went well.", "path"),
		errors:  desc("errors_total", "Checks that did not go well.", "path", "errno"),
		missed:  desc("missed_total", "Intervals without a check, because the one before had not ended.", "path"),
		success: desc("last_success_timestamp_seconds", "When a check last went well.", "path"),
		flight:  desc("in_flight_seconds", "How long the check has been under way.", "path"),
		paths:   desc("paths", "How many paths are checked."),
	}
}

// Describe is of prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.delay, c.errors, c.missed, c.success, c.flight, c.paths} {
		out <- d
	}
}

// Collect is of prometheus.Collector.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	now := time.Now()
	under := map[string]float64{}
	for _, f := range c.flights() {
		under[f.Path] = now.Sub(f.Since).Seconds()
	}
	for _, s := range c.w.samples() {
		gauge := func(d *prometheus.Desc, v float64) {
			out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, s.label)
		}
		out <- prometheus.MustNewConstHistogram(c.delay, s.well, s.seconds, s.below, s.label)
		for errno, n := range s.errors {
			out <- prometheus.MustNewConstMetric(c.errors, prometheus.CounterValue, float64(n), s.label, strconv.Itoa(int(errno)))
		}
		out <- prometheus.MustNewConstMetric(c.missed, prometheus.CounterValue, float64(s.missed), s.label)
		if !s.lastWell.IsZero() {
			gauge(c.success, float64(s.lastWell.UnixNano())/1e9)
		}
		gauge(c.flight, under[s.path])
	}
	out <- prometheus.MustNewConstMetric(c.paths, prometheus.GaugeValue, float64(c.w.len()))
}

// sample is a copy of what Prometheus gets of one path.
type sample struct {
	path         string // as it is
	label        string // in UTF-8, which labels must be
	well, missed uint64
	seconds      float64
	lastWell     time.Time
	below        map[float64]uint64 // checks that took no longer than a bucket's bound
	errors       map[syscall.Errno]uint64
}

func label(path string) string {
	if utf8.ValidString(path) {
		return path
	}
	return strconv.Quote(path)
}

func (w *Watch) len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.paths)
}

func (w *Watch) samples() []sample {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]sample, 0, len(w.order))
	for _, path := range w.order {
		p := w.paths[path]
		s := sample{path: path, label: label(path), well: p.well, missed: p.missed, seconds: p.seconds, lastWell: p.lastWell,
			below: map[float64]uint64{}, errors: map[syscall.Errno]uint64{}}
		sum := uint64(0)
		for i, n := range p.bucket {
			sum += n
			s.below[buckets[i]] = sum
		}
		for errno, n := range p.errors {
			s.errors[errno] = n
		}
		all = append(all, s)
	}
	return all
}
