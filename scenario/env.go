package scenario

import (
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/owed"
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

	again    string // the run that is looked at again; empty: none
	records  func() iter.Seq2[history.Record, error]
	rule     func(target string) owed.Rule
	folding  folding
	round    atomic.Int64
	faultsOn atomic.Int64
	findings atomic.Int64
}

// Records are those of the history so far, from the beginning.
func (e *Env) Records() iter.Seq2[history.Record, error] { return e.records() }

// Book is what the history so far obliges the targets to hold. It is folded
// again only if the history has grown.
func (e *Env) Book() (*owed.Book, error) {
	e.folding.mu.Lock()
	defer e.folding.mu.Unlock()
	at := e.History.Records()
	if e.folding.book != nil && (e.folding.at == at || e.again != "") {
		return e.folding.book, nil
	}
	var read int
	book, err := owed.Fold(func(yield func(history.Record, error) bool) {
		for r, err := range e.records() {
			read++
			if !yield(r, err) {
				return
			}
		}
	}, e.rule)
	if err != nil {
		return nil, err
	}
	e.folding.book, e.folding.at, e.folding.read = book, at, read
	return book, nil
}

// BookLength is how many records the last Book was folded from.
func (e *Env) BookLength() int {
	e.folding.mu.Lock()
	defer e.folding.mu.Unlock()
	return e.folding.read
}

// folding is the last book.
type folding struct {
	mu   sync.Mutex
	book *owed.Book
	at   uint64 // records that the history had
	read int    // of them, those that a reader sees
}

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
