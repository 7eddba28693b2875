package pressure

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-1b600011/assay/machine"
)

// watch gives memory back while others need it, until ctx ends.
func (m *Memory) watch(ctx context.Context) {
	defer close(m.gone)
	look := time.NewTicker(250 * time.Millisecond)
	defer look.Stop()
	bounds, eased := machine.FindMemoryBounds(), time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		m.mu.Lock()
		held := m.state.Held
		m.mu.Unlock()
		if held == 0 {
			continue
		}
		more, bound, err := room(bounds, m.o.Margin)
		switch p, ok := bounds.Stalled(); {
		case err != nil:
		case more < -m.slack():
			m.giveBack(-more, "others need it: "+bound)
		case ok && m.o.Stalled > 0 && p > m.o.Stalled && time.Since(eased) > time.Second:
			eased = time.Now()
			m.giveBack(max(held/8, hugePage), fmt.Sprintf("tasks wait for memory %.0f %% of the time (PSI), more than %.0f", p, m.o.Stalled))
		}
	}
}

// slack is how much of the margin others may take before anything is given
// back: the counters waver by less.
func (m *Memory) slack() int64 {
	if m.o.Margin > 0 {
		return m.o.Margin / 2
	}
	return 8 << 20
}

// giveBack lets go of so many bytes, unless a Set is under way, which looks for
// itself.
func (m *Memory) giveBack(bytes int64, why string) {
	if !m.turn.work.TryLock() {
		return
	}
	defer m.turn.work.Unlock()
	before := m.arena.end
	if m.arena.shrink(max(before-bytes, 0)) != nil || m.arena.end == before {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state.Held = m.arena.end
	m.state.Reason = fmt.Sprintf("gave back %d bytes: %s", before-m.arena.end, why)
}
