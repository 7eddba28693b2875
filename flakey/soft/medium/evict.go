package medium

// A cache has an end: what is too much becomes durable, the oldest first, as
// the order of writes is what a prefix of them is a prefix of.

// olderMost is how many pages older versions may take where Options.Cache has
// no limit: the size of a cache that real disks have.
const olderMost = 64 << 20 / pageSize

// bound makes writes durable where more are not than may be.
func (m *Medium) bound() {
	switch limit := m.o.Cache; {
	case limit > 0 && m.dirtyBytes.Load() > limit:
		m.evictTo(limit - limit/8)
	case limit == 0 && m.older.Load() > olderMost:
		m.evict(func() int64 { return m.older.Load() - (olderMost - olderMost/4) }, (*leaf).frees)
	}
}

// frees is how many pages of memory it frees that a version becomes durable.
func (l *leaf) frees(v *version) int64 {
	under := l.durable[v.slot]
	if v.before != 0 {
		under = l.versions[v.before-1].page
	}
	if under == 0 || under == v.page {
		return 0
	}
	return 1
}

// evictTo makes the oldest writes durable until at most so many bytes are not.
func (m *Medium) evictTo(target int64) {
	m.evict(func() int64 { return m.dirtyBytes.Load() - target }, func(_ *leaf, v *version) int64 { return m.bytesOf(v.blocks) })
}

// evict makes the oldest writes durable until what is over, of what versions
// weigh together, is gone.
func (m *Medium) evict(over func() int64, weigh func(*leaf, *version) int64) {
	m.gate.Lock()
	defer m.gate.Unlock()
	n := over()
	if m.dead.Load() || n <= 0 || len(m.dirty) == 0 {
		return // somebody else has
	}
	upTo := m.oldest(n, weigh)
	if r := m.o.Recorder; r != nil {
		if _, err := r.Evict(int(upTo) - 1); err != nil {
			m.breaks("record", err)
			return
		}
	}
	m.n.evicted.Add(m.commit(upTo))
}

// oldest gives the write up to which versions weigh so much, or the last. It
// narrows the range in which that is: sorting all would take ten times as long.
func (m *Medium) oldest(weight int64, weigh func(*leaf, *version) int64) uint64 {
	lo, hi := uint64(everything), uint64(0)
	for _, v := range m.versions() {
		lo, hi = min(lo, v.newest), max(hi, v.newest)
	}
	var weights [1024]int64
	for lo < hi {
		width := (hi-lo)/uint64(len(weights)) + 1
		clear(weights[:])
		for l, v := range m.versions() {
			if v.newest >= lo && v.newest <= hi {
				weights[(v.newest-lo)/width] += weigh(l, v)
			}
		}
		i := 0
		for ; i < len(weights)-1 && weight > weights[i]; i++ {
			weight -= weights[i]
		}
		lo += uint64(i) * width
		hi = min(hi, lo+width-1)
	}
	return hi
}

// versions yields all. Gate is held alone, so that none changes.
func (m *Medium) versions() func(yield func(*leaf, *version) bool) {
	return func(yield func(*leaf, *version) bool) {
		for _, l := range m.dirty {
			for i := range l.versions {
				if !yield(l, &l.versions[i]) {
					return
				}
			}
		}
	}
}
