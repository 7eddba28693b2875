package pathcheck

import (
	"container/heap"
	"container/list"
	"errors"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Kind is what an Event tells.
type Kind int

const (
	Started Kind = iota // the answer to Start
	Checked             // a check has ended, well or with an error
	Missed              // it was time for a check while the one before had not ended; Delay is how long that is
	Stopped             // the answer to Stop, and once more after EINPROGRESS
)

// Event is what a Checker tells. Of one path they come in the order in which
// they happened.
type Event struct {
	Kind  Kind
	Path  string
	Err   syscall.Errno // 0: it went well
	Due   time.Time     // Checked and Missed: when it was due
	Began time.Time     // Checked and Missed: when the check began; zero: it has not
	Delay time.Duration // Checked: how long it took
}

// Options are the options of a Checker.
type Options struct {
	// Events gets every event, one at a time, from the one goroutine that all
	// paths share: it must not block.
	Events func(Event)
	// Log gets what is worth a warning and is of no path. It may be nil.
	Log func(format string, a ...any)
}

// Checker checks paths. Its methods may be called by several goroutines at once,
// and never wait for a path.
type Checker struct {
	o     Options
	clock clock
	do    chan command
	over  chan struct{} // the goroutine has ended
	stop  sync.Once
	quit  chan struct{}

	// The rest is the goroutine's.
	targets map[string]*target
	due     schedule
	queue   list.List // targets whose check waits for a thread
	young   list.List // targets whose check has begun, in that order, until they are slow
	slow    int       // checks that have not ended for slowAfter
	last    uint64    // number of a request
	pool    pool
	buf     []byte
	swept   time.Time
}

type command struct {
	call  func() // if not nil, this is all
	stop  bool
	path  string
	every time.Duration
	check Check
	first time.Duration // from now to the first check
}

type state int

const (
	resting state = iota
	queued        // it waits for a thread
	running       // it is with a helper
)

// target is a path that is checked.
type target struct {
	path     string
	every    time.Duration
	check    Check
	next     time.Time // when the next check is due
	index    int       // in the schedule
	state    state
	due      time.Time // of the check that waits or runs
	since    time.Time // since when it waits, or runs
	place    *list.Element
	slow     bool
	stopping bool
	tries    int
}

// New starts a checker, which has no paths yet.
func New(o Options) (*Checker, error) {
	k, err := newClock()
	if err != nil {
		return nil, fmt.Errorf("pathcheck: %w", err)
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	c := &Checker{
		o: o, clock: k, do: make(chan command, 64), over: make(chan struct{}), quit: make(chan struct{}),
		targets: map[string]*target{},
		pool:    pool{size: mostThreads, tell: make(chan news, 64), over: make(chan struct{}), gone: make(chan struct{})},
	}
	// What this process needs later it has now: see help.
	spareThreads(8)
	go c.run()
	return c, nil
}

// Start checks a path every so long, the first time at once. It is answered by
// an event: EEXIST if the path is checked already, EINVAL for an interval of
// nothing.
func (c *Checker) Start(path string, every time.Duration, check Check) {
	c.StartIn(0, path, every, check)
}

// StartIn is Start with a first check that is due after a while.
func (c *Checker) StartIn(first time.Duration, path string, every time.Duration, check Check) {
	c.tell(command{path: path, every: every, check: check, first: first})
}

// Stop checks a path no longer. It is answered by an event: 0, after which there
// are no others of this path; EINPROGRESS if a check is in the kernel, and a
// second one when that has returned; ENOENT if the path is not checked.
func (c *Checker) Stop(path string) { c.tell(command{stop: true, path: path}) }

// Do calls f where Events is called, after the answers to what was told before.
func (c *Checker) Do(f func()) { c.tell(command{call: f}) }

func (c *Checker) tell(d command) {
	select {
	case c.do <- d:
	case <-c.over:
	}
}

// Flight is a check that is under way.
type Flight struct {
	Path  string
	Since time.Time
}

// Flights are the checks that are with the kernel now.
func (c *Checker) Flights() (all []Flight) {
	done := make(chan struct{})
	c.Do(func() {
		for _, t := range c.targets {
			if t.state == running {
				all = append(all, Flight{t.path, t.since})
			}
		}
		close(done)
	})
	select {
	case <-done:
	case <-c.over:
	}
	return all
}

// Close ends all checks. It waits for none: a helper that hangs in the kernel
// stays until that returns. After it there are no events.
func (c *Checker) Close() {
	c.stop.Do(func() { close(c.quit) })
	<-c.over
}

// Gone is closed when, after Close, nothing of the helpers is left: what hung in
// the kernel has returned.
func (c *Checker) Gone() <-chan struct{} { return c.pool.gone }

func (c *Checker) run() {
	defer close(c.over)
	defer c.pool.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	c.pool.grow(0, time.Now())
	for {
		select {
		case <-c.quit:
			for more := true; more; { // what was told before is answered
				select {
				case d := <-c.do:
					c.command(d)
				default:
					more = false
				}
			}
			return
		case d := <-c.do:
			for more := true; more; { // a parent starts many at once
				c.command(d)
				select {
				case d = <-c.do:
				default:
					more = false
				}
			}
		case n := <-c.pool.tell:
			c.hear(n)
		case <-timer.C:
		}
		timer.Reset(c.pass(time.Now()))
	}
}

func (c *Checker) command(d command) {
	t := c.targets[d.path]
	switch {
	case d.call != nil:
		d.call()
	case d.stop && t == nil:
		c.o.Events(Event{Kind: Stopped, Path: d.path, Err: unix.ENOENT})
	case d.stop && t.state == running:
		t.stopping = true
		c.o.Events(Event{Kind: Stopped, Path: d.path, Err: unix.EINPROGRESS})
	case d.stop:
		c.forget(t)
	case t != nil:
		c.o.Events(Event{Kind: Started, Path: d.path, Err: unix.EEXIST})
	case d.every <= 0:
		c.o.Events(Event{Kind: Started, Path: d.path, Err: unix.EINVAL})
	default:
		t = &target{path: d.path, every: d.every, check: d.check, next: time.Now().Add(d.first)}
		c.targets[d.path] = t
		heap.Push(&c.due, t)
		c.o.Events(Event{Kind: Started, Path: d.path})
	}
}

func (c *Checker) forget(t *target) {
	c.rest(t)
	heap.Remove(&c.due, t.index)
	delete(c.targets, t.path)
	c.o.Events(Event{Kind: Stopped, Path: t.path})
}

// rest takes a target out of whatever it was in.
func (c *Checker) rest(t *target) {
	switch {
	case t.state == queued:
		c.queue.Remove(t.place)
	case t.slow:
		c.slow--
	case t.state == running:
		c.young.Remove(t.place)
	}
	t.state, t.slow, t.place = resting, false, nil
}

// hear takes a helper's news.
func (c *Checker) hear(n news) {
	now := time.Now()
	for _, a := range n.answers {
		if a.n == 0 {
			c.pool.isReady(n.from, now)
			continue
		}
		t := n.from.doing[a.n]
		delete(n.from.doing, a.n)
		n.from.idle = now
		if t != nil {
			c.done(t, Event{Err: a.errno, Began: c.clock.time(a.began), Delay: a.took})
		}
	}
	if !n.ended {
		return
	}
	if !n.from.ready { // Go has ended it: it may not have so many threads
		c.pool.cannot(unix.EAGAIN, now)
		c.o.Log("a helper of %d threads could not be started: the limit of tasks of this machine, user or cgroup is reached", n.from.threads)
	}
	c.pool.remove(n.from)
	for _, t := range n.from.doing {
		c.rest(t)
		if t.tries++; t.tries >= attempts || t.stopping {
			c.done(t, Event{Err: unix.EIO, Began: t.since, Delay: now.Sub(t.since)})
		} else {
			c.wait(t, now)
		}
	}
}

// done ends a check.
func (c *Checker) done(t *target, e Event) {
	c.rest(t)
	t.tries = 0
	if t.stopping {
		c.forget(t)
		return
	}
	e.Kind, e.Path, e.Due = Checked, t.path, t.due
	c.o.Events(e)
}

// wait queues a target whose check is due.
func (c *Checker) wait(t *target, now time.Time) {
	t.state, t.since, t.place = queued, now, c.queue.PushBack(t)
}

// pass does what it is time for, and says how long nothing will be.
func (c *Checker) pass(now time.Time) time.Duration {
	for len(c.due) > 0 && !c.due[0].next.After(now) {
		c.isDue(c.due[0], now)
	}
	full := c.dispatch(now)
	for e := c.young.Front(); e != nil && now.Sub(e.Value.(*target).since) >= slowAfter; e = c.young.Front() {
		t := e.Value.(*target)
		c.young.Remove(e)
		t.slow, t.place = true, nil
		c.slow++
	}
	c.size(now)
	sleep := time.Second
	until := func(t time.Time) { sleep = max(0, min(sleep, t.Sub(now))) }
	if len(c.due) > 0 {
		until(c.due[0].next)
	}
	if e := c.young.Front(); e != nil {
		until(e.Value.(*target).since.Add(slowAfter))
	}
	if full {
		until(now.Add(time.Millisecond))
	}
	return sleep
}

// size lets the pool grow or shrink.
func (c *Checker) size(now time.Time) {
	waiting := 0
	if e := c.queue.Front(); e != nil && now.Sub(e.Value.(*target).since) >= slowAfter {
		waiting = min(c.queue.Len(), leastThreads) // most will soon be done
	}
	c.pool.grow(c.slow+waiting, now)
	if c.pool.starting == nil && c.pool.next() == nil && c.queue.Len() > 0 && !c.pool.failed.IsZero() {
		c.refuse(now)
	}
	if now.Sub(c.swept) > time.Second {
		c.swept = now
		c.pool.shrink(c.slow, now)
	}
}

// refuse ends the checks that have waited in vain for a thread.
func (c *Checker) refuse(now time.Time) {
	for e := c.queue.Front(); e != nil && now.Sub(e.Value.(*target).since) >= startAgain; e = c.queue.Front() {
		c.done(e.Value.(*target), Event{Err: c.pool.why})
	}
}

// isDue begins a check, unless the one before has not ended, and sets the time
// of the next: the schedule is fixed, and what is missed is not made up for.
func (c *Checker) isDue(t *target, now time.Time) {
	due := t.next
	late := now.Sub(due) / t.every
	t.next = due.Add((late + 1) * t.every)
	heap.Fix(&c.due, t.index)
	if late > 0 || t.state != resting {
		e := Event{Kind: Missed, Path: t.path, Due: due, Delay: now.Sub(t.due)}
		if t.state == running {
			e.Began = t.since
		} else if t.state == resting { // we were held up, the whole machine perhaps
			e.Delay = now.Sub(due)
		}
		c.o.Events(e)
	}
	if t.state != resting {
		return
	}
	t.due = due
	switch {
	case strings.IndexByte(t.path, 0) >= 0:
		c.done(t, Event{Err: unix.EINVAL, Began: now})
	case len(t.path) >= maxPath:
		c.done(t, Event{Err: unix.ENAMETOOLONG, Began: now})
	default:
		c.wait(t, now)
	}
}

// dispatch hands out what waits. full: it is to be tried again soon.
func (c *Checker) dispatch(now time.Time) (full bool) {
	for e := c.queue.Front(); e != nil; e = c.queue.Front() {
		h := c.pool.next()
		if h == nil {
			return false
		}
		t := e.Value.(*target)
		c.last++
		if cap(c.buf) == 0 {
			c.buf = make([]byte, 0, headSize+maxPath)
		}
		sent, err := h.send(c.last, t, c.buf)
		if err != nil {
			h.retired = true // its end will be news
			continue
		}
		if !sent {
			return true
		}
		c.queue.Remove(e)
		h.doing[c.last] = t
		t.state, t.since, t.place = running, now, c.young.PushBack(t)
	}
	return false
}

func errnoOf(err error) syscall.Errno {
	var e syscall.Errno
	if errors.As(err, &e) {
		return e
	}
	return unix.EIO
}
