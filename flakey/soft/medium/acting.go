package medium

import (
	"bytes"
	"slices"
	"syscall"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/flakey/recording"
)

// wait holds a request up for the hangs and delays that touch it, and gives
// the other faults that are on. It holds no lock.
func (m *Medium) wait(sort flakey.Sort, off, n int64) (faultSet, syscall.Errno) {
	faults, errno := m.hang(sort, off, n)
	for i, f := range faults {
		if f.Kind != flakey.Delay {
			return faults[i:], errno
		}
		if !f.concerns(sort) {
			continue
		}
		if _, ok := f.take(m, off, n); ok && !m.pause(f) {
			return nil, syscall.EIO
		}
	}
	return nil, errno
}

// hang waits until no hang that touches the request is on, and gives the
// faults that are on then, without hangs.
func (m *Medium) hang(sort flakey.Sort, off, n int64) (faultSet, syscall.Errno) {
	var asked faultSet // before: each counts a request once
again:
	p := m.faults.Load()
	if m.dead.Load() {
		return nil, syscall.EIO
	}
	if p == nil {
		return nil, 0
	}
	for i, f := range *p {
		if f.Kind != flakey.Hang {
			return (*p)[i:], 0
		}
		if !f.concerns(sort) || slices.Contains(asked, f) {
			continue
		}
		if _, ok := f.take(m, off, n); !ok {
			continue
		}
		select {
		case <-f.gone:
			asked = append(asked, (*p)[:i]...)
			goto again // others may be on by now
		case <-m.gone:
			return nil, syscall.EIO
		}
	}
	return nil, 0
}

// pause waits for a delay, or until it is taken away; false: the disk is gone.
func (m *Medium) pause(f *fault) bool {
	t := time.NewTimer(f.Delay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-f.gone:
	case <-m.gone:
		return false
	}
	return true
}

func (m *Medium) readFaulty(p []byte, off int64) syscall.Errno {
	n := int64(len(p))
	faults, errno := m.wait(flakey.Reads, off, n)
	if errno != 0 {
		return errno
	}
	var stale *fault
	for _, f := range faults {
		switch f.Kind {
		case flakey.ErrorReads:
			if _, ok := f.take(m, off, n); ok {
				return syscall.EIO
			}
		case flakey.StaleReads:
			if stale != nil {
				continue
			}
			if _, ok := f.take(m, off, n); ok {
				stale = f
			}
		}
	}
	differs, errno := m.read(p, off, stale != nil)
	if errno != 0 {
		return errno
	}
	if stale != nil && !differs {
		stale.giveBack(m)
	}
	for _, f := range faults {
		if f.Kind != flakey.CorruptReads || int64(f.Nth) > n {
			continue
		}
		if i, ok := f.take(m, off, n); ok && !f.corrupt(p, i) {
			f.giveBack(m)
		}
	}
	return 0
}

// corrupt alters data; false: it was like that already.
func (f *fault) corrupt(p []byte, i uint64) bool {
	if f.Nth == 0 {
		bit := f.what.Below(i, uint64(len(p))*8)
		p[bit/8] ^= 1 << (bit % 8)
		return true
	}
	was := p[f.Nth-1]
	p[f.Nth-1] = f.Value
	return was != f.Value
}

func (m *Medium) changeFaulty(c change) syscall.Errno {
	faults, errno := m.wait(flakey.Writes, c.off, c.n)
	if errno != 0 {
		return errno
	}
	asked := c // faults choose by what was asked, not by what others have made of it
	for _, f := range faults {
		switch f.Kind {
		case flakey.ErrorWrites:
			if _, ok := f.take(m, asked.off, asked.n); ok {
				return syscall.EIO
			}
		case flakey.DropWrites:
			if _, ok := f.take(m, asked.off, asked.n); ok {
				return m.drop(asked)
			}
		case flakey.CorruptWrites:
			m.corruptWrite(f, asked, &c)
		case flakey.TearWrites:
			m.tear(f, asked, &c)
		case flakey.MisdirectWrites:
			m.misdirect(f, asked, &c)
		}
	}
	return m.apply(c)
}

func (m *Medium) drop(c change) syscall.Errno {
	c.flags |= recording.Dropped
	if m.o.Recorder != nil {
		return m.apply(c)
	}
	if m.dead.Load() {
		return syscall.EIO
	}
	return 0
}

func (m *Medium) corruptWrite(f *fault, asked change, c *change) {
	if asked.data == nil || int64(f.Nth) > c.n {
		return
	}
	i, ok := f.take(m, asked.off, asked.n)
	if !ok {
		return
	}
	if &c.data[0] == &asked.data[0] {
		c.data = bytes.Clone(c.data) // the caller's own stays as it is
	}
	if !f.corrupt(c.data, i) {
		f.giveBack(m)
		return
	}
	c.flags |= recording.Altered
}

// tear leaves out the end of a write of several blocks, from one block to all
// but one. A single block is written or not: it has no part.
func (m *Medium) tear(f *fault, asked change, c *change) {
	bs := int64(m.o.BlockSize)
	if asked.data == nil || c.n <= bs {
		return
	}
	i, ok := f.take(m, asked.off, asked.n)
	if !ok {
		return
	}
	c.n = bs * (1 + int64(f.what.Below(i, uint64(c.n/bs-1))))
	c.data = c.data[:c.n]
	c.flags |= recording.Altered
}

// misdirect moves a write to another place in the range, of those that have no
// block in common with the right one.
func (m *Medium) misdirect(f *fault, asked change, c *change) {
	bs := int64(m.o.BlockSize)
	lo, last := (f.lo+bs-1)/bs*bs, f.hi/bs*bs-c.n
	first := max(lo, c.off+c.n)
	before := max(0, (min(last, c.off-c.n)-lo)/bs+1)
	after := max(0, (last-first)/bs+1)
	if asked.data == nil || before+after == 0 {
		return
	}
	i, ok := f.take(m, asked.off, asked.n)
	if !ok {
		return
	}
	if at := int64(f.what.Below(i, uint64(before+after))); at < before {
		c.off = lo + at*bs
	} else {
		c.off = first + (at-before)*bs
	}
	c.flags |= recording.Altered
}

func (m *Medium) flushFaulty() (dropped bool, _ syscall.Errno) {
	faults, errno := m.wait(flakey.Flushes, 0, m.o.Size)
	if errno != 0 {
		return false, errno
	}
	for _, f := range faults {
		switch f.Kind {
		case flakey.ErrorFlushes:
			if _, ok := f.take(m, 0, m.o.Size); ok {
				return false, syscall.EIO
			}
		case flakey.DropFlushes:
			if _, ok := f.take(m, 0, m.o.Size); ok {
				return true, m.flush(recording.Dropped)
			}
		}
	}
	return false, 0
}
