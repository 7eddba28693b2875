package pressure

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-1b600011/assay/machine"
)

// Load is CPU time to use.
type Load struct {
	// Cores is how many; parts of one are fine. 0: all that this process may
	// use, which is the smallest quota of its cgroups, or else every core.
	Cores float64
	// Percent is how much of each, above 0 and at most 100. 0: 100.
	Percent float64
	// For is how long; 0: until it is released.
	For time.Duration
	// work is what is done; nil: arithmetic without end.
	work func() work
}

// CPU uses CPU time. The zero value is ready.
type CPU struct {
	mu     sync.Mutex
	closed bool
	load   Load
	asked  float64 // cores
	since  time.Time
	timer  *time.Timer
	number int // of the last load
	crew   *crew
	used   []used // of the last seconds, once somebody has asked for them
	spent  time.Duration
}

// CPUState is what a CPU does. Its numbers are in cores: 1 is the whole time of one.
type CPUState struct {
	Asked float64 `json:"asked"`
	// Held is what was used, on average of the last seconds.
	Held  float64 `json:"held"`
	Limit float64 `json:"limit"` // what there is
	Bound string  `json:"bound"`
	// Seconds is CPU time that the process has used while there was a load.
	Seconds float64    `json:"seconds"`
	Until   *time.Time `json:"until,omitempty"` // when it ends by itself
	Reason  string     `json:"reason,omitempty"`
}

// crew are the threads that share a load.
type crew struct {
	pace    atomic.Pointer[pace]
	stop    chan struct{}
	threads []*thread
	running sync.WaitGroup
	base    time.Duration // that the process had used before
}

// available is how many cores this process may use, and why not more.
func available() (cores float64, bound string) {
	cores, bound = float64(runtime.NumCPU()), "the cores that this process may run on"
	if quota, ok := machine.CPUQuota(); ok && quota < cores {
		cores, bound = quota, "the CPU quota of the cgroup"
	}
	return cores, bound
}

// Total is how many cores' time a load uses, and an error if it makes no sense.
func (l Load) Total() (float64, error) {
	if math.IsNaN(l.Cores) || math.IsNaN(l.Percent) || l.Cores < 0 || l.Percent < 0 || l.Percent > 100 || l.For < 0 {
		return 0, fmt.Errorf("pressure: a load of %v cores at %v %% for %v: want cores from 0 on, 0 to 100 %% and no less than no time", l.Cores, l.Percent, l.For)
	}
	if l.Cores == 0 {
		l.Cores, _ = available()
	}
	if l.Percent == 0 {
		l.Percent = 100
	}
	return l.Cores * l.Percent / 100, nil
}

// OverloadError refuses a load that no machine of this size can have.
type OverloadError struct{ Asked, Limit float64 }

func (e *OverloadError) Error() string {
	return fmt.Sprintf("%.2f cores are over the limit of %.2f cores (the cores that this process may run on)", e.Asked, e.Limit)
}

// Set begins to use CPU time, in place of what was used before, and returns at
// once. More cores than there are is an *OverloadError and changes nothing;
// more than a quota is allowed, and shows what a quota does.
func (c *CPU) Set(l Load) error {
	_, err := c.set(l)
	return err
}

// set is Set, and gives the load a number of its own.
func (c *CPU) set(l Load) (number int, err error) {
	total, err := l.Total()
	if err != nil {
		return 0, err
	}
	if err := c.fits(total); err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, ErrClosed
	}
	c.number++
	if c.timer != nil {
		c.timer.Stop()
	}
	c.load, c.asked, c.since, c.timer = l, total, time.Now(), nil
	c.run(total, l.work)
	c.used = []used{{c.since, c.spentNow()}} // what is used is averaged from here on
	if l.For > 0 {
		n := c.number
		c.timer = time.AfterFunc(l.For, func() { c.over(n) })
	}
	return c.number, nil
}

// fits refuses more cores than there are.
func (c *CPU) fits(cores float64) error {
	if limit := float64(runtime.NumCPU()); cores > limit+1e-9 {
		return &OverloadError{cores, limit}
	}
	return nil
}

// over ends the load with this number, if it is the one that is on.
func (c *CPU) over(number int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil && c.number == number {
		c.end()
	}
}

// run has a crew use so many cores. One of the right size is given another pace.
func (c *CPU) run(total float64, work func() work) {
	threads := int(math.Ceil(total - 1e-9))
	if c.crew != nil && (len(c.crew.threads) != threads || work != nil || c.crew.special()) {
		c.dismiss()
	}
	if threads == 0 {
		return
	}
	next := newPace(total)
	if c.crew != nil {
		c.crew.pace.Store(next)
		return
	}
	c.crew = &crew{stop: make(chan struct{}), base: next.base}
	c.crew.pace.Store(next)
	for range threads {
		t := &thread{crew: c.crew, special: work != nil}
		if work != nil {
			t.work = work()
		} else {
			t.work = new(arithmetic)
		}
		c.crew.threads = append(c.crew.threads, t)
	}
	for _, t := range c.crew.threads {
		c.crew.running.Go(t.run)
	}
}

func (w *crew) special() bool { return w.threads[0].special }

func (c *CPU) dismiss() {
	if c.crew == nil {
		return
	}
	close(c.crew.stop)
	c.crew.running.Wait()
	c.spent += processTime() - c.crew.base
	c.crew = nil
}

func (c *CPU) end() {
	if c.timer != nil {
		c.timer.Stop()
	}
	c.load, c.asked, c.timer = Load{}, 0, nil
	c.dismiss()
}

// Release ends the load. The threads have ended when it returns.
func (c *CPU) Release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end()
	return nil
}

// Close is Release for good.
func (c *CPU) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.end()
	return nil
}

// holds is whether the load with this number is on and its work not done. 0
// stands for any load.
func (c *CPU) holds(number int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.crew == nil || number != 0 && number != c.number {
		return false
	}
	for _, t := range c.crew.threads {
		if !t.finished.Load() {
			return true
		}
	}
	return false
}

// used is CPU time used up to a moment.
type used struct {
	at    time.Time
	spent time.Duration
}

// window is the time over which Held is an average.
const window = 5 * time.Second

func (c *CPU) spentNow() time.Duration {
	if c.crew == nil {
		return c.spent
	}
	return c.spent + processTime() - c.crew.base
}

// Current is what is used, and what could be.
func (c *CPU) Current() CPUState {
	limit, bound := available()
	c.mu.Lock()
	defer c.mu.Unlock()
	now := used{time.Now(), c.spentNow()}
	s := CPUState{Asked: c.asked, Limit: limit, Bound: bound, Seconds: now.spent.Seconds()}
	if c.timer != nil {
		until := c.since.Add(c.load.For)
		s.Until = &until
	}
	for len(c.used) > 1 && now.at.Sub(c.used[1].at) >= window {
		c.used = c.used[1:]
	}
	if len(c.used) > 0 && now.at.After(c.used[0].at) {
		s.Held = (now.spent - c.used[0].spent).Seconds() / now.at.Sub(c.used[0].at).Seconds()
	}
	if n := len(c.used); n == 0 || now.at.Sub(c.used[n-1].at) >= window/20 {
		c.used = append(c.used, now)
	}
	if c.asked > 0 && now.at.Sub(c.since) > window && s.Held < c.asked-0.02 {
		s.Reason = "other work, the hypervisor or a quota has the rest of the time"
	}
	return s
}
