package pressure

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-1b600011/assay/content"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/seed"
)

// MemoryOptions say how memory is taken. The zero value is safe.
type MemoryOptions struct {
	// Limit is the most that is held, in bytes, beside what the machine and its
	// cgroups allow; 0: no other limit.
	Limit int64
	// Margin is how many bytes are left of every bound. 0: a sixteenth of it, at
	// least 16 MiB and at most 512 MiB.
	Margin int64
	// Stalled is the share of time, in percent, in which tasks may wait for
	// memory (PSI, "some avg10"): above it no more is taken, and what is held is
	// given back bit by bit. 0: 60. Below 0: it is not looked at.
	Stalled float64
	// Locked memory is never swapped out (mlock(2); RLIMIT_MEMLOCK bounds it).
	Locked bool
}

// Memory holds memory. Make one with NewMemory.
type Memory struct {
	o      MemoryOptions
	turn   turn
	seed   seed.Seed
	noise  []byte // of which all pages are made
	arena  *arena // used by whose turn it is
	stop   context.CancelFunc
	gone   chan struct{} // closed once the watch has ended
	locked bool

	mu    sync.Mutex
	state State
}

// NewMemory reserves addresses for as much memory as there is. Close gives
// everything back.
func NewMemory(o MemoryOptions) (*Memory, error) {
	if o.Stalled == 0 {
		o.Stalled = 60
	}
	all, err := machine.FindMemoryBounds().Read()
	if err != nil {
		return nil, err
	}
	a, err := newArena(all[0].Size)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &Memory{o: o, seed: seed.New(), noise: make([]byte, 256<<10), arena: a, stop: stop, gone: make(chan struct{})}
	content.Fill(m.noise, content.Tag{Seed: uint64(m.seed)}, 0)
	go m.watch(ctx)
	return m, nil
}

// Set holds so many bytes, rounded up to whole pages, and returns when it does.
// More than the limit is a *LimitError and changes nothing; if less is to be
// had than there seemed to be, what there is is held, with a *ShortError.
func (m *Memory) Set(ctx context.Context, bytes int64) error {
	return m.SetLocked(ctx, bytes, m.o.Locked)
}

// SetLocked is Set, and says whether what is held is locked in memory.
func (m *Memory) SetLocked(ctx context.Context, bytes int64, locked bool) error {
	return m.set(ctx, bytes, locked, false)
}

// set is SetLocked. Where most is enough, what there is is what was asked for.
func (m *Memory) set(ctx context.Context, bytes int64, locked, most bool) error {
	if bytes < 0 {
		return fmt.Errorf("pressure: %d bytes of memory", bytes)
	}
	ctx, done, err := m.turn.take(ctx)
	if err != nil {
		return err
	}
	defer done()
	bounds := machine.FindMemoryBounds()
	limit, bound, err := m.limit(bounds)
	if err != nil {
		return err
	}
	if bytes > limit && bytes > m.arena.end {
		return &LimitError{Asked: bytes, Limit: limit, Bound: bound}
	}
	want := up(bytes, pageSize())
	m.asked(bytes)
	if err := m.relock(locked); err != nil {
		return m.short(bytes, err.Error(), err)
	}
	if want < m.arena.end {
		if err := m.arena.shrink(want); err != nil {
			return err
		}
		m.held()
	}
	return m.grow(ctx, bounds, want, bytes, most)
}

// Fill holds as much as there is. That some of what there seemed to be is gone
// meanwhile, this process having needed it itself, is no error.
func (m *Memory) Fill(ctx context.Context, locked bool) error {
	for {
		limit, _, err := m.limit(machine.FindMemoryBounds())
		if err != nil {
			return err
		}
		err = m.set(ctx, down(limit, pageSize()), locked, true)
		var over *LimitError
		if !errors.As(err, &over) {
			return err // the limit has not shrunk in between
		}
	}
}

// limit is how much could be held.
func (m *Memory) limit(b machine.MemoryBounds) (int64, string, error) {
	more, bound, err := room(b, m.o.Margin)
	if err != nil {
		return 0, "", err
	}
	m.mu.Lock()
	limit := max(m.state.Held+more, 0)
	m.mu.Unlock()
	if limit > m.arena.room {
		limit, bound = m.arena.room, "the machine's memory"
	}
	if m.o.Limit > 0 && limit > m.o.Limit {
		limit, bound = m.o.Limit, "the limit set"
	}
	return limit, bound, nil
}

// step is how much is taken between two looks at the bounds: the less, the
// nearer they are, and half of the smallest margin at the end.
func step(more int64) int64 { return min(max(down(more/8, hugePage), 8<<20), 256<<20) }

// grow takes memory until want bytes are held, looking before each step whether
// it is still to be had.
func (m *Memory) grow(ctx context.Context, b machine.MemoryBounds, want, asked int64, most bool) error {
	for m.arena.end < want {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		more, bound, err := room(b, m.o.Margin)
		if err != nil {
			return m.short(asked, err.Error(), err)
		}
		end := min(down(m.arena.end, hugePage)+step(more), want)
		if end > m.arena.end+more {
			end = down(m.arena.end+max(more, 0), pageSize())
		}
		if end <= m.arena.end && most && m.arena.end > 0 {
			m.asked(m.arena.end)
			return nil
		}
		if end <= m.arena.end {
			return m.short(asked, "there is no more: "+bound, nil)
		}
		if err := m.calm(ctx, b); err != nil {
			return m.short(asked, err.Error(), nil)
		}
		if err := m.take(end); err != nil {
			return m.short(asked, err.Error(), err)
		}
	}
	return nil
}

// take touches and fills the memory up to end.
func (m *Memory) take(end int64) error {
	from := m.arena.end
	if err := m.arena.grow(end); err != nil {
		return fmt.Errorf("take memory: %w", err)
	}
	m.fill(from, end)
	if m.locked {
		if err := m.arena.lock(from, end); err != nil {
			_ = m.arena.shrink(from)
			m.held()
			return fmt.Errorf("lock memory (RLIMIT_MEMLOCK bounds it): %w", err)
		}
	}
	m.held()
	return nil
}

// fill makes every page one that no compressor makes smaller and no other page
// is like: a piece of noise, which stays in the processor's cache, and in it the
// number of the page. The kernel clears a page when it is first touched, which
// is most of the work, so it is shared among as many threads as run Go.
func (m *Memory) fill(from, to int64) {
	var next atomic.Int64
	next.Store(from)
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), 8) {
		wg.Go(func() {
			for {
				at := next.Add(hugePage) - hugePage
				if at >= to {
					return
				}
				m.pages(m.arena.bytes(at, min(at+hugePage, to)), at)
			}
		})
	}
	wg.Wait()
}

// pages sets b to what is held from an offset on, which is at the border of a page.
func (m *Memory) pages(b []byte, offset int64) {
	for len(b) > 0 {
		n := copy(b, m.noise[offset%int64(len(m.noise)):])
		for i := 0; i+8 <= n; i += int(pageSize()) {
			binary.LittleEndian.PutUint64(b[i:], uint64(m.seed)+uint64(offset)+uint64(i))
		}
		b, offset = b[n:], offset+int64(n)
	}
}

// patience is how long a fill waits for others to get their memory before it
// stops.
const patience = 5 * time.Second

// calm waits while tasks stand still for memory.
func (m *Memory) calm(ctx context.Context, b machine.MemoryBounds) error {
	if m.o.Stalled < 0 {
		return nil
	}
	var over <-chan time.Time
	for {
		p, ok := b.Stalled()
		if !ok || p <= m.o.Stalled {
			return nil
		}
		if over == nil {
			over = time.After(patience)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-over:
			return fmt.Errorf("tasks wait for memory %.0f %% of the time (PSI), more than %.0f", p, m.o.Stalled)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// relock makes what is held locked or not.
func (m *Memory) relock(locked bool) error {
	if locked == m.locked {
		return nil
	}
	var err error
	if locked {
		err = m.arena.lock(0, m.arena.end)
	} else {
		err = m.arena.unlock()
	}
	if err != nil {
		return fmt.Errorf("lock memory (RLIMIT_MEMLOCK bounds it): %w", err)
	}
	m.locked = locked
	return nil
}

func (m *Memory) asked(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.Asked, m.state.Reason = bytes, ""
}

func (m *Memory) held() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.Held = m.arena.end
}

func (m *Memory) short(asked int64, reason string, err error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.Reason = reason
	return &ShortError{Asked: asked, Held: m.state.Held, Reason: reason, Err: err}
}

// Current is what is held, and what could be.
func (m *Memory) Current() State {
	limit, bound, err := m.limit(machine.FindMemoryBounds())
	if err != nil {
		bound = err.Error()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.state
	s.Limit, s.Bound, s.Working = limit, bound, m.turn.busy()
	return s
}

// Release gives all back, and ends a Set that is under way.
func (m *Memory) Release() error { return m.Set(context.Background(), 0) }

// Close is Release for good.
func (m *Memory) Close() error {
	m.stop()
	<-m.gone
	return m.turn.close(func() error {
		m.mu.Lock()
		m.state.Held = 0
		m.mu.Unlock()
		return m.arena.close()
	})
}

// Sample is what the first n bytes that are held look like, fewer if there are
// fewer.
func (m *Memory) Sample(n int64) []byte {
	m.mu.Lock()
	held := m.state.Held
	m.mu.Unlock()
	b := make([]byte, min(n, held))
	m.pages(b, 0)
	return b
}
