package pathcheck

import (
	"time"

	"golang.org/x/sys/unix"
)

// clock translates between time.Time and CLOCK_MONOTONIC, which all processes
// of a machine share and which the former has within.
type clock struct {
	at        time.Time
	monotonic int64 // ns
}

func newClock() (clock, error) {
	var t unix.Timespec
	err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return clock{time.Now(), t.Nano()}, err
}

func (c clock) shared(t time.Time) int64 { return c.monotonic + int64(t.Sub(c.at)) }
func (c clock) time(ns int64) time.Time  { return c.at.Add(time.Duration(ns - c.monotonic)) }
