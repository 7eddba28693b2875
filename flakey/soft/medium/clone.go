package medium

import (
	"errors"
	"slices"
)

// Clone makes a medium of its own that holds what a reader sees now, all of
// it durable. The two share memory until one of them is written to, and the
// limit on memory. A clone has no faults, no recording and no limit on its
// cache; its counts begin at 0. Writes wait while it is made.
func (m *Medium) Clone() (*Medium, error) {
	return m.fork(func(from *leaf) *leaf {
		to := &leaf{number: from.number}
		for slot := range from.durable {
			to.durable[slot] = from.now(slot)
		}
		return to
	})
}

// twin makes a medium that has also the unflushed versions of this one, and
// therefore the same power cuts ahead.
func (m *Medium) twin() (*Medium, error) {
	t, err := m.fork(func(from *leaf) *leaf {
		return &leaf{number: from.number, versions: slices.Clone(from.versions), last: from.last, durable: from.durable}
	})
	if err != nil {
		return nil, err
	}
	for l := range t.tree.all(0, t.leaves) {
		if len(l.versions) > 0 {
			l.listed = true
			t.dirty = append(t.dirty, l)
		}
	}
	t.dirtyBytes.Store(m.dirtyBytes.Load())
	t.older.Store(m.older.Load())
	t.seq.Store(m.seq.Load())
	t.cuts = m.cuts
	return t, nil
}

func (m *Medium) fork(copyLeaf func(*leaf) *leaf) (*Medium, error) {
	m.gate.Lock()
	defer m.gate.Unlock()
	if m.dead.Load() {
		return nil, errors.New("medium: clone: the disk is gone")
	}
	o := m.o
	o.Recorder, o.Cache = nil, 0
	c := on(m.arena, o)
	m.arena.join()
	var ids []uint32
	for from := range m.tree.all(0, m.leaves) {
		from.mu.RLock()
		to := copyLeaf(from)
		ids = to.holds(ids[:0])
		for _, id := range ids {
			m.arena.share(id)
		}
		from.mu.RUnlock()
		if len(ids) > 0 || len(to.versions) > 0 {
			c.tree.slot(to.number).Store(to)
		}
	}
	return c, nil
}
