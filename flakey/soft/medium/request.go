package medium

import (
	"syscall"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/flakey/recording"
)

// within says whether a range is on the disk and made of whole blocks.
func (m *Medium) within(off, n int64) bool {
	bs := int64(m.o.BlockSize)
	return off >= 0 && n >= 0 && off <= m.o.Size && n <= m.o.Size-off && off%bs == 0 && n%bs == 0
}

// ReadAt reads len(p) bytes at off, which need not be whole blocks. No block
// is ever seen half written. It fails with EINVAL outside of the disk, and
// with EIO after Close or Cut or where a fault says so; what is in p is then
// undefined.
func (m *Medium) ReadAt(p []byte, off int64) syscall.Errno {
	n := int64(len(p))
	if off < 0 || off > m.o.Size || n > m.o.Size-off {
		return syscall.EINVAL
	}
	m.n.reads.Add(1)
	m.n.readBytes.Add(n)
	if m.faults.Load() != nil && n > 0 {
		return m.readFaulty(p, off)
	}
	_, errno := m.read(p, off, false)
	return errno
}

// WriteAt writes whole blocks at off. It is in the volatile cache when it
// returns 0. It fails with EINVAL where the range is not whole blocks of the
// disk, and with EIO after Close or Cut, where a fault says so, and where
// Broken says why; none, some or all blocks are then written. With a recorder
// at most recording.MaxData bytes can be written at once.
func (m *Medium) WriteAt(p []byte, off int64) syscall.Errno {
	n := int64(len(p))
	if !m.within(off, n) || m.o.Recorder != nil && n > recording.MaxData {
		return syscall.EINVAL
	}
	m.n.writes.Add(1)
	m.n.writtenBytes.Add(n)
	return m.change(change{off: off, n: n, data: p})
}

// Discard gives n bytes at off up: they read as zeros. Like a write it is in
// the volatile cache only, and a power cut may bring back what was there. It
// fails like WriteAt. Where there are zeros already nothing is at stake.
func (m *Medium) Discard(off, n int64) syscall.Errno {
	if !m.within(off, n) {
		return syscall.EINVAL
	}
	m.n.discards.Add(1)
	return m.change(change{off: off, n: n, discard: true})
}

// Zero makes n bytes at off zero; in all else it is like Discard.
func (m *Medium) Zero(off, n int64) syscall.Errno {
	if !m.within(off, n) {
		return syscall.EINVAL
	}
	m.n.zeroes.Add(1)
	return m.change(change{off: off, n: n})
}

func (m *Medium) change(c change) syscall.Errno {
	if c.n == 0 {
		if m.dead.Load() {
			return syscall.EIO
		}
		return 0
	}
	if m.faults.Load() != nil {
		return m.changeFaulty(c)
	}
	return m.apply(c)
}

// Flush makes durable what was written before it was called: every change
// that had completed by then, and of those under way what it meets. It fails
// with EIO after Close or Cut or where a fault says so, and makes nothing
// durable then.
func (m *Medium) Flush() syscall.Errno {
	m.n.flushes.Add(1)
	if m.faults.Load() != nil {
		if dropped, errno := m.flushFaulty(); errno != 0 || dropped {
			return errno
		}
	}
	return m.flush(0)
}

func (m *Medium) flush(flags recording.Flags) syscall.Errno {
	m.gate.Lock()
	defer m.gate.Unlock()
	if m.dead.Load() {
		return syscall.EIO
	}
	if r := m.o.Recorder; r != nil {
		if _, err := r.Flush(flags); err != nil {
			return m.breaks("record", err)
		}
	}
	if flags&recording.Dropped == 0 {
		m.commit(everything)
	}
	return 0
}

// read copies what a reader sees now or, where stale, what a power cut that
// keeps nothing would leave; differs says whether that could be anything else.
func (m *Medium) read(p []byte, off int64, stale bool) (differs bool, _ syscall.Errno) {
	for len(p) > 0 {
		in := off % leafSize
		n := min(int64(len(p)), leafSize-in)
		l := m.tree.find(off / leafSize)
		if l == nil {
			if m.dead.Load() {
				return false, syscall.EIO
			}
			clear(p[:n])
		} else {
			l.mu.RLock()
			if m.dead.Load() {
				l.mu.RUnlock()
				return false, syscall.EIO
			}
			if stale {
				differs = m.readDurable(l, p[:n], in) || differs
			} else {
				m.readNow(l, p[:n], in)
			}
			l.mu.RUnlock()
		}
		p, off = p[n:], off+n
	}
	return differs, 0
}

func (m *Medium) readNow(l *leaf, p []byte, in int64) {
	for slot := int(in / pageSize); len(p) > 0; slot++ {
		from := int(in % pageSize)
		n := min(len(p), pageSize-from)
		if page := l.now(slot); page == 0 {
			clear(p[:n])
		} else {
			copy(p[:n], m.arena.page(page)[from:])
		}
		p, in = p[n:], in+int64(n)
	}
}

func (m *Medium) readDurable(l *leaf, p []byte, in int64) (differs bool) {
	for slot := int(in / pageSize); len(p) > 0; slot++ {
		from := int(in % pageSize)
		n := min(len(p), pageSize-from)
		if page := l.durable[slot]; page == 0 {
			clear(p[:n])
		} else {
			copy(p[:n], m.arena.page(page)[from:])
		}
		for at := l.last[slot]; at != 0; at = l.versions[at-1].before {
			// Reads need not be whole blocks: round outwards.
			bs := m.o.BlockSize
			lo, hi := from/bs*bs, (from+n+bs-1)/bs*bs
			differs = differs || l.versions[at-1].blocks&m.mask(lo, hi-lo) != 0
		}
		p, in = p[n:], in+int64(n)
	}
	return differs
}

// kinds is how many faults there are.
const kinds = 12

// indexOf is the place of a kind in flakey.Kinds, or -1.
func indexOf(k flakey.Kind) int {
	for i, other := range flakey.Kinds() {
		if other == k {
			return i
		}
	}
	return -1
}
