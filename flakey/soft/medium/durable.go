package medium

import (
	"math"
	"math/bits"
)

// everything is later than every version.
const everything = math.MaxUint64

// commit makes every group durable that has no version later than upTo, and
// returns how many blocks that were. Gate is held alone.
func (m *Medium) commit(upTo uint64) (blocks int64) {
	still := m.dirty[:0]
	var freed []uint32
	gone := int64(0)
	for _, l := range m.dirty {
		l.mu.Lock()
		n, before := int64(0), len(freed)
		n, freed = l.commit(upTo, freed)
		blocks += n
		gone += int64(len(freed) - before)
		if len(l.versions) > 0 {
			still = append(still, l)
		} else {
			l.listed = false
		}
		l.mu.Unlock()
		if len(freed) > 4096 { // memory of a long list would outlive its use
			m.arena.release(freed)
			freed = freed[:0]
		}
	}
	m.arena.release(freed)
	m.older.Add(-gone)
	clear(m.dirty[len(still):])
	m.dirty = still
	m.dirtyBytes.Add(-blocks * int64(m.o.BlockSize))
	return blocks
}

// commit is that of one leaf. A page of memory that is durable no more is
// appended to freed.
func (l *leaf) commit(upTo uint64, freed []uint32) (blocks int64, _ []uint32) {
	left := l.versions[:0]
	l.last = [leafPages]uint32{}
	for _, v := range l.versions { // in order, so the last of each page stays
		if v.newest > upTo {
			v.before = l.last[v.slot]
			left = append(left, v)
			l.last[v.slot] = uint32(len(left))
			continue
		}
		blocks += int64(bits.OnesCount8(v.blocks))
		if old := l.durable[v.slot]; old != v.page {
			if old != 0 {
				freed = append(freed, old)
			}
			l.durable[v.slot] = v.page
		}
	}
	l.versions = left
	if len(left) == 0 && cap(left) > 4*leafPages {
		l.versions = nil // a leaf that was overwritten often would keep room for all of that
	}
	return blocks, freed
}
