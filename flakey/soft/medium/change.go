package medium

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/seed-1b600011/assay/flakey/recording"
)

// change is what is to be done to the content: a write, or zeros.
type change struct {
	off, n  int64
	data    []byte // nil: zeros
	discard bool   // of zeros: what to record them as
	flags   recording.Flags
}

// apply does a change, and records it.
func (m *Medium) apply(c change) syscall.Errno {
	errno, err := m.applyOnce(&c)
	if errors.Is(err, errNoMemory) && !m.exact {
		// A disk whose cache is full writes back, which frees what was overwritten.
		for _, target := range []int64{m.dirtyBytes.Load() / 2, 0} {
			m.evictTo(target)
			if errno, err = m.applyOnce(&c); !errors.Is(err, errNoMemory) {
				break
			}
		}
	}
	if err != nil {
		return m.breaks("write", err)
	}
	m.bound()
	return errno
}

// applyOnce does the change, or where memory ends a part of it: c is then what
// is left.
func (m *Medium) applyOnce(c *change) (syscall.Errno, error) {
	if m.o.Recorder == nil {
		m.gate.RLock()
		defer m.gate.RUnlock()
		return m.put(c, 0)
	}
	m.gate.Lock()
	defer m.gate.Unlock()
	if m.dead.Load() {
		return syscall.EIO, nil
	}
	if c.data != nil && !m.arena.hasRoom(int(c.n/pageSize)+2) {
		return 0, errNoMemory // before it is in the recording
	}
	number, err := m.record(c)
	if err != nil {
		return 0, err
	}
	if c.flags&recording.Dropped != 0 {
		return 0, nil
	}
	errno, err := m.put(c, uint64(number)+1)
	if err != nil {
		return 0, fmt.Errorf("record %d was not done: %v", number, err) // it cannot be tried again
	}
	return errno, nil
}

func (m *Medium) record(c *change) (number int, err error) {
	switch r := m.o.Recorder; {
	case c.data != nil:
		return r.Write(c.off, c.data, c.flags)
	case c.discard:
		return r.Discard(c.off, c.n, c.flags)
	default:
		return r.Zero(c.off, c.n, c.flags)
	}
}

// put changes the content, leaf by leaf. Seq is when; 0: each leaf draws its
// own, so that versions stand in order within a leaf. That order agrees with
// the order of completion of any two writes of which one began after the other
// had completed.
func (m *Medium) put(c *change, seq uint64) (syscall.Errno, error) {
	if c.data == nil {
		return m.putZeros(c, seq)
	}
	for c.n > 0 {
		in := c.off % leafSize
		n := min(c.n, leafSize-in)
		l := m.tree.ensure(c.off / leafSize)
		l.mu.Lock()
		if m.dead.Load() {
			l.mu.Unlock()
			return syscall.EIO, nil
		}
		err := m.putLeaf(l, in, c.data[:n], n, m.turn(seq))
		l.mu.Unlock()
		if err != nil {
			return 0, err
		}
		c.off, c.n, c.data = c.off+n, c.n-n, c.data[n:]
	}
	return 0, nil
}

func (m *Medium) turn(seq uint64) uint64 {
	if seq == 0 {
		return m.seq.Add(1)
	}
	return seq
}

// putZeros visits only leaves that are there: all else is zero.
func (m *Medium) putZeros(c *change, seq uint64) (syscall.Errno, error) {
	to := c.off + c.n
	if m.dead.Load() {
		return syscall.EIO, nil
	}
	for l := range m.tree.all(c.off/leafSize, (to+leafSize-1)/leafSize) {
		start := l.number * leafSize
		from := max(c.off, start)
		l.mu.Lock()
		if m.dead.Load() {
			l.mu.Unlock()
			return syscall.EIO, nil
		}
		n := min(to, start+leafSize) - from
		err := m.putLeaf(l, from-start, nil, n, m.turn(seq))
		l.mu.Unlock()
		if err != nil {
			return 0, err
		}
		c.off = from + n
		c.n = to - c.off
	}
	return 0, nil
}

// place is what becomes of one page of a leaf in a change.
type place uint8

const (
	fresh  place = iota // a page of memory is needed
	within              // the newest version's page takes the blocks too
	hole                // the whole page becomes zero
	same                // it is zero already
)

// putLeaf makes versions of n bytes at in of the leaf, whose lock is held. It
// takes all the memory that it needs first, so that it does all or nothing.
func (m *Medium) putLeaf(l *leaf, in int64, data []byte, n int64, seq uint64) error {
	var places [leafPages]place
	first, last := int(in/pageSize), int((in+n-1)/pageSize)
	need, older := 0, int64(0)
	for slot := first; slot <= last; slot++ {
		from, size := part(slot, in, n)
		p := m.placeOf(l, slot, m.mask(from, size), size, data == nil)
		places[slot] = p
		if p == fresh {
			need++
		}
		if (p == fresh || p == hole) && l.now(slot) != 0 {
			older++
		}
	}
	var ids [leafPages]uint32
	if err := m.arena.alloc(ids[:need]); err != nil {
		return err
	}
	used, added := 0, int64(0)
	for slot := first; slot <= last; slot++ {
		from, size := part(slot, in, n)
		var src []byte
		if data != nil {
			src, data = data[:size], data[size:]
		}
		v := version{seq: seq, slot: uint8(slot), blocks: m.mask(from, size), before: l.last[slot]}
		v.joined = l.joins(slot, v.blocks)
		switch places[slot] {
		case same:
			continue
		case within:
			v.page = l.now(slot)
			m.fill(v.page, from, size, src)
		case fresh:
			v.page = ids[used]
			used++
			if size < pageSize {
				m.load(m.arena.page(v.page), l.now(slot))
			}
			m.fill(v.page, from, size, src)
		}
		l.add(v)
		added += m.bytesOf(v.blocks)
	}
	if added > 0 {
		m.older.Add(older)
		m.dirtied(l, added)
	}
	return nil
}

// part is which bytes of a page of the leaf n bytes at in are.
func part(slot int, in, n int64) (from, size int) {
	start := int64(slot) * pageSize
	lo := max(in, start)
	hi := min(in+n, start+pageSize)
	return int(lo - start), int(hi - lo)
}

func (m *Medium) placeOf(l *leaf, slot int, blocks uint8, size int, zeros bool) place {
	now := l.now(slot)
	switch {
	case zeros && now == 0:
		return same
	case zeros && size == pageSize:
		return hole
	case m.arena.alone(now) && l.joins(slot, blocks):
		return within
	}
	return fresh
}

// joins says whether a version of these blocks belongs to the newest version's
// group: none of the group has any of them. It does not depend on who shares
// the memory, so that a replay has the same groups.
func (l *leaf) joins(slot int, blocks uint8) bool {
	for at := l.last[slot]; at != 0; {
		v := &l.versions[at-1]
		if v.blocks&blocks != 0 {
			return false
		}
		if !v.joined {
			return true
		}
		at = v.before
	}
	return false
}

// add makes v the newest version of its page.
func (l *leaf) add(v version) {
	v.newest = v.seq
	for at, joined := v.before, v.joined; joined; {
		older := &l.versions[at-1]
		older.newest = v.seq
		at, joined = older.before, older.joined
	}
	l.versions = append(l.versions, v)
	l.last[v.slot] = uint32(len(l.versions))
}

// fill writes src, or zeros, to a page of memory that is not 0.
func (m *Medium) fill(page uint32, from, size int, src []byte) {
	dst := m.arena.page(page)[from : from+size]
	if src == nil {
		clear(dst)
		return
	}
	copy(dst, src)
}

// load copies a page of memory, which may be a hole, from its byte 0 on.
func (m *Medium) load(dst []byte, page uint32) {
	if page == 0 {
		clear(dst)
		return
	}
	copy(dst, m.arena.page(page))
}

// dirtied notes that a leaf, whose lock is held, has versions of so many bytes more.
func (m *Medium) dirtied(l *leaf, bytes int64) {
	m.dirtyBytes.Add(bytes)
	if l.listed {
		return
	}
	l.listed = true
	m.dirtyMu.Lock()
	m.dirty = append(m.dirty, l)
	m.dirtyMu.Unlock()
}
