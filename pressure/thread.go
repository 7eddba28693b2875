package pressure

import (
	"math/big"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// pace is the CPU time that this process is to use: so many cores' worth from a
// moment on, at which it had used so much. The whole process counts, Go's
// runtime and what else assay does included, as that is what is seen from outside.
type pace struct {
	total float64
	began time.Time
	base  time.Duration
}

func newPace(total float64) *pace { return &pace{total, time.Now(), processTime()} }

// owed is how much CPU time is missing by now.
func (p *pace) owed() time.Duration {
	return time.Duration(p.total*float64(time.Since(p.began))) - (processTime() - p.base)
}

// thread works while the process has used less than it should have by now:
// errors of sleeping and of being interrupted even out by themselves.
type thread struct {
	crew     *crew
	work     work
	special  bool // the work is not the endless one
	finished atomic.Bool
}

const (
	period = 20 * time.Millisecond // of working and sleeping
	// owedMost is how much is made up for where others have had the processor:
	// more would be a burst, long after.
	owedMost = time.Second
)

func (t *thread) run() {
	runtime.LockOSThread() // and never unlocks: the thread ends with its work
	n := len(t.crew.threads)
	for {
		select {
		case <-t.crew.stop:
			return
		default:
		}
		p := t.crew.pace.Load()
		owed := p.owed()
		if most := owedMost * time.Duration(n); owed > most {
			t.crew.pace.CompareAndSwap(p, &pace{p.total, p.began, p.base - (owed - most)})
			owed = most
		}
		if owed <= 0 {
			rest := time.Duration(float64(period) * (1 - p.total/float64(n)))
			time.Sleep(max(min(rest, period), period/20))
			continue
		}
		if !t.burn(min(owed/time.Duration(n), period)) {
			t.finished.Store(true)
			return
		}
	}
}

// burn works for so much CPU time; false if the work has come to its end.
func (t *thread) burn(d time.Duration) bool {
	for end := threadTime() + d; threadTime() < end; {
		if !t.work.some() {
			return false
		}
	}
	return true
}

// processTime is the CPU time of this process (CLOCK_PROCESS_CPUTIME_ID).
func processTime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts) // every Linux has it
	return time.Duration(ts.Nano())
}

// threadTime is the CPU time of this thread (CLOCK_THREAD_CPUTIME_ID, clock_gettime(2)).
func threadTime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) // every Linux has it
	return time.Duration(ts.Nano())
}

// work is done bit by bit, each of some microseconds; false when there is no more.
type work interface{ some() bool }

// arithmetic never ends and touches no memory.
type arithmetic struct{ x uint64 }

func (a *arithmetic) some() bool {
	x := a.x | 1
	for range 20_000 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	a.x = x
	return true
}

// factoring divides a number by all that may divide it, and ends when it is
// known to be taken apart.
type factoring struct {
	rest, try, quotient, remainder *big.Int
	factors                        []*big.Int
}

func newFactoring(n *big.Int) *factoring {
	return &factoring{rest: new(big.Int).Set(n), try: big.NewInt(2), quotient: new(big.Int), remainder: new(big.Int)}
}

func (f *factoring) some() bool {
	for range 100 {
		f.quotient.DivMod(f.rest, f.try, f.remainder)
		if f.remainder.Sign() == 0 && f.rest.Cmp(f.try) > 0 {
			f.factors = append(f.factors, new(big.Int).Set(f.try))
			f.rest.Set(f.quotient)
			continue
		}
		if f.quotient.Cmp(f.try) < 0 { // the square of what was tried is above the rest
			if f.rest.Cmp(big.NewInt(1)) > 0 {
				f.factors = append(f.factors, f.rest)
			}
			return false
		}
		step := int64(2)
		if f.try.Bit(0) == 0 {
			step = 1
		}
		f.try.Add(f.try, big.NewInt(step))
	}
	return true
}
