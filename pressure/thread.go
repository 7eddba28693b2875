package pressure

import (
	"math/big"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// thread uses a share of one core's time. It counts on its own CPU clock what
// it has used, and works while that is less than it should be by now: errors of
// sleeping and of being interrupted even out by themselves.
type thread struct {
	crew     *crew
	work     work
	special  bool // the work is not the endless one
	spent    atomic.Int64
	finished atomic.Bool
}

const (
	period = 10 * time.Millisecond // of working and sleeping
	// owedMost is how much a thread makes up for that could not run: more
	// would be a burst, long after.
	owedMost = time.Second
)

func (t *thread) run() {
	runtime.LockOSThread() // and never unlocks: the thread ends with its work
	now, cpu := time.Now(), threadTime()
	p := t.crew.pace.Load()
	began, base, share := now, cpu, p.share
	first := cpu
	for {
		select {
		case <-t.crew.stop:
			return
		default:
		}
		if next := t.crew.pace.Load(); next != p {
			p, share = next, next.share
			began, base = now, cpu
		}
		owed := time.Duration(share*float64(now.Sub(began))) - (cpu - base)
		if owed > owedMost {
			base -= owed - owedMost
		}
		if owed > 0 {
			if !t.burn(min(owed, period)) {
				t.finished.Store(true)
				return
			}
		} else {
			rest := time.Duration(float64(period)*(1-share)) - owed
			time.Sleep(min(rest, period))
		}
		now, cpu = time.Now(), threadTime()
		t.spent.Store(int64(cpu - first))
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
