package scenario

import (
	"iter"
	"sync/atomic"
	"time"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/verdict"
)

// Env is what a run gives to those who work in it. It is safe for concurrent
// use; its fields are not changed while the run goes on.
type Env struct {
	Plan    *Plan
	History *history.Writer
	Ledger  *machine.Ledger
	Events  verdict.Events
	Meter   *Meter
	Dir     string        // of this run, for files
	Keep    bool          // leave targets as they are, for a person to look at
	Began   time.Duration // CLOCK_BOOTTIME, for telling when something was

	records  func() iter.Seq2[history.Record, error]
	round    atomic.Int64
	faultsOn atomic.Int64
	findings atomic.Int64
}

// Records are those of the history so far, from the beginning.
func (e *Env) Records() iter.Seq2[history.Record, error] { return e.records() }

// Round is which round the run is in, from 0.
func (e *Env) Round() int { return int(e.round.Load()) }

// FaultsOn is how many faults are on at this moment. A target that stops
// answering while none is gets no patience.
func (e *Env) FaultsOn() int64 { return e.faultsOn.Load() }

// Findings is how many there are so far.
func (e *Env) Findings() int64 { return e.findings.Load() }

// Say tells the person something that is no state, finding or tick.
func (e *Env) Say(message string) { e.event(verdict.Event{Message: message}) }

func (e *Env) event(v verdict.Event) {
	v.At = time.Now()
	v.Scenario, v.Repeat, v.Round = e.Plan.Name, e.Plan.Repeat, e.Round()
	e.Events(v)
}
