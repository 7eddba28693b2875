package scenario

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/verdict"
)

// Meter counts what a run does, for its ticks, and lets faults that wait for
// a count act at exactly that count: the operation that reaches it, and every
// one that ends after it, waits until the fault is on. So many may be under way
// then as the test does at once, and no other begins. Its methods may be called
// by several goroutines at once.
type Meter struct {
	mu       sync.Mutex
	tick     verdict.Tick
	promises int64
	counts   map[string]int64
	waiting  []*waiter
	refusals []verdict.Refusal
	driving  time.Time // since when the state is Drive; zero: it is not
}

type waiter struct {
	of    string
	at    int64
	due   bool          // the count is reached
	ready chan struct{} // closed when it is
	on    chan struct{} // closed when the operations that wait may go on
}

// Operation counts one finished operation: how it ended, the bytes it moved
// and how long it took.
func (m *Meter) Operation(ctx context.Context, ended history.Phase, bytes int64, took time.Duration) {
	m.mu.Lock()
	switch ended {
	case history.Acknowledged, history.Synced:
		m.tick.Acknowledged++
		m.promises++
	case history.Observed:
		m.tick.Acknowledged++
	case history.Refused:
		m.tick.Refused++
	default:
		m.tick.Unknown++
	}
	m.tick.Bytes += bytes
	m.tick.Latency.Add(took)
	on := m.count("operations", 1)
	m.mu.Unlock()
	await(ctx, on)
}

const maxRefusals = 16 // different ones that are kept of a run; the rest counts as one

// Refused counts a request that the target did not do, or left without an
// answer: what was asked and answered, in words that are equal for equal
// answers, and the target's own words, of which the first are kept.
func (m *Meter) Refused(what, message string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.IndexFunc(m.refusals, func(r verdict.Refusal) bool { return r.What == what }); i >= 0 {
		m.refusals[i].Count++
		return
	}
	if len(m.refusals) == maxRefusals {
		m.refusals[maxRefusals-1].Count++
		return
	}
	if len(m.refusals) == maxRefusals-1 {
		what, message = "others", ""
	}
	m.refusals = append(m.refusals, verdict.Refusal{What: what, Message: message, Count: 1})
}

// Refusals are what Refused has counted, in the order in which they came first.
func (m *Meter) Refusals() []verdict.Refusal {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.refusals)
}

// Count adds n to what is counted under a name, such as writes or flushes.
func (m *Meter) Count(ctx context.Context, of string, n int64) {
	m.mu.Lock()
	on := m.count(of, n)
	m.mu.Unlock()
	await(ctx, on)
}

// count is Count with the lock held; it returns what to wait for.
func (m *Meter) count(of string, n int64) (on []chan struct{}) {
	if m.counts == nil {
		m.counts = map[string]int64{}
	}
	m.counts[of] += n
	for _, w := range m.waiting {
		if w.of != of || m.counts[of] < w.at {
			continue
		}
		if !w.due {
			w.due = true
			close(w.ready)
		}
		on = append(on, w.on)
	}
	return on
}

func await(ctx context.Context, all []chan struct{}) {
	for _, on := range all {
		select {
		case <-on:
		case <-ctx.Done():
			return
		}
	}
}

// At asks to be told when so many more of something were counted. What is
// counted from then on waits until on is called.
func (m *Meter) At(of string, more int64) (ready <-chan struct{}, on func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	w := &waiter{of: of, at: m.counts[of] + max(more, 1), ready: make(chan struct{}), on: make(chan struct{})}
	m.waiting = append(m.waiting, w)
	return w.ready, sync.OnceFunc(func() { close(w.on); m.forget(w) })
}

func (m *Meter) forget(w *waiter) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, o := range m.waiting {
		if o == w {
			m.waiting = append(m.waiting[:i:i], m.waiting[i+1:]...)
			return
		}
	}
}

// Enter begins a state, or a stage of one, with so many items to do. Drive
// entered again, for tests that repeat until a fault has come, has no known
// total: what a second pass has done is no share of the whole.
func (m *Meter) Enter(s verdict.State, total int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s == verdict.Drive && m.tick.State == s {
		m.tick.Total = 0
		return
	}
	if s != m.tick.State {
		m.tick.Stage = ""
	}
	m.drove()
	if s == verdict.Drive {
		m.driving = time.Now()
	}
	m.tick.State, m.tick.Total, m.tick.Done = s, total, 0
}

// Stage names what is done in the state from here on, such as the check that
// judges. How much there is to do Enter says, once that is known.
func (m *Meter) Stage(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tick.Stage, m.tick.Total, m.tick.Done = name, 0, 0
}

// drove adds the time since the state was last known to be Drive. It is called
// with the lock held.
func (m *Meter) drove() {
	if !m.driving.IsZero() {
		m.tick.Driving += time.Since(m.driving)
		m.driving = time.Time{}
	}
}

// Done counts items of the state that are done.
func (m *Meter) Done(n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tick.Done += n
}

// Promises is how many operations the target has acknowledged that it must
// answer for: reads are not among them.
func (m *Meter) Promises() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.promises
}

// operations is how many there were, however they ended.
func (m *Meter) operations() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tick.Acknowledged + m.tick.Refused + m.tick.Unknown
}

// Tick is a copy of the counters.
func (m *Meter) Tick() verdict.Tick {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.tick
	if !m.driving.IsZero() {
		t.Driving += time.Since(m.driving)
	}
	return t
}
