package medium

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/seed"
)

// fault is a flakey.Fault that is on. Its choices are drawn by the number of
// the request among those that it could touch.
type fault struct {
	flakey.Fault
	kind    int   // in flakey.Kinds
	lo, hi  int64 // bytes of the disk
	chance  seed.Seed
	what    seed.Seed
	seen    atomic.Uint64 // requests that it could have touched
	touched atomic.Int64  // and has
	byID    *atomic.Int64 // where those are counted that have its ID
	gone    chan struct{} // closed when it is taken away
}

// faultSet is all that is on, in the order in which they act: hangs, delays,
// then as they were given. It never changes.
type faultSet []*fault

// Set makes these the faults that are on, and takes all others away. A fault
// that is on already, field by field, goes on: its requests are counted on.
// Requests that wait for one that is taken away go on under the new ones. What
// makes no sense is refused, and nothing is changed then.
//
// A fault's Seed of 0 stands for one drawn from the medium's.
func (m *Medium) Set(faults ...flakey.Fault) error {
	for i, f := range faults {
		if err := m.check(f); err != nil {
			return fmt.Errorf("medium: fault %d, %s: %w", i+1, f.Kind, err)
		}
	}
	m.setMu.Lock()
	defer m.setMu.Unlock()
	if m.dead.Load() {
		return errors.New("medium: set faults: the disk is gone")
	}
	if r := m.o.Recorder; r != nil {
		m.gate.Lock()
		_, err := r.Faults(faults)
		m.gate.Unlock()
		if err != nil {
			m.breaks("record", err)
			return err
		}
	}
	var old faultSet
	if p := m.faults.Load(); p != nil {
		old = slices.Clone(*p)
	}
	var next faultSet
	for i, f := range faults {
		if at := slices.IndexFunc(old, func(o *fault) bool { return o.Fault == f }); at >= 0 {
			next = append(next, old[at])
			old = slices.Delete(old, at, at+1)
			continue
		}
		next = append(next, m.arm(f, i))
	}
	slices.SortStableFunc(next, func(a, b *fault) int { return a.turn() - b.turn() })
	if len(next) == 0 {
		m.faults.Store(nil)
	} else {
		m.faults.Store(&next)
	}
	for _, f := range old {
		close(f.gone)
	}
	return nil
}

func (f *fault) turn() int {
	switch f.Kind {
	case flakey.Hang:
		return 0
	case flakey.Delay:
		return 1
	}
	return 2
}

func (m *Medium) arm(f flakey.Fault, i int) *fault {
	s := f.Seed
	if s == 0 {
		s = m.o.Seed.For("fault").Index(uint64(i))
	}
	s = s.For(string(f.Kind))
	armed := &fault{Fault: f, kind: indexOf(f.Kind), hi: m.o.Size, chance: s.For("whether"), what: s.For("what"), byID: m.n.of(f.ID), gone: make(chan struct{})}
	armed.lo = int64(f.Where.FromSector) * flakey.SectorSize
	if f.Where.ToSector != 0 {
		armed.hi = int64(f.Where.ToSector) * flakey.SectorSize
	}
	return armed
}

func (m *Medium) check(f flakey.Fault) error {
	w := f.Where
	sectors := uint64(m.o.Size / flakey.SectorSize)
	corrupts := f.Kind == flakey.CorruptReads || f.Kind == flakey.CorruptWrites
	switch {
	case indexOf(f.Kind) < 0:
		return fmt.Errorf("there is no such fault; want one of %v", flakey.Kinds())
	case w.FromSector >= sectors || w.ToSector > sectors:
		return fmt.Errorf("sectors %d to %d: the disk has %d", w.FromSector, w.ToSector, sectors)
	case w.ToSector != 0 && w.ToSector <= w.FromSector:
		return fmt.Errorf("sectors %d to %d: none", w.FromSector, w.ToSector)
	case !(w.Probability >= 0 && w.Probability <= 1):
		return fmt.Errorf("probability %v: want 0 (which is 1) to 1", w.Probability)
	case w.Count < 0 || w.Skip < 0:
		return fmt.Errorf("count %d, skip %d: want 0 or more", w.Count, w.Skip)
	case w.Only != "" && f.Kind != flakey.Delay && f.Kind != flakey.Hang:
		return fmt.Errorf("only %s: %s touches one sort of request as it is", w.Only, f.Kind)
	case w.Only != "" && w.Only != flakey.Reads && w.Only != flakey.Writes && w.Only != flakey.Flushes:
		return fmt.Errorf("only %q: want %s, %s or %s", w.Only, flakey.Reads, flakey.Writes, flakey.Flushes)
	case f.Flags != 0:
		return fmt.Errorf("flags %#x: dm-flakey compares them with those of a bio, which do not reach a disk in user space; leave them out, or use device-mapper", f.Flags)
	case !corrupts && (f.Nth != 0 || f.Value != 0):
		return errors.New("nth and value are of corrupt-reads and corrupt-writes")
	case f.Nth < 0:
		return fmt.Errorf("nth %d: bytes are counted from 1; 0 is a bit at random", f.Nth)
	case f.Nth == 0 && f.Value != 0:
		return errors.New("a value without nth, which says of which byte")
	case f.Kind == flakey.Delay && f.Delay <= 0:
		return fmt.Errorf("a delay of %v", f.Delay)
	case f.Kind != flakey.Delay && f.Delay != 0:
		return errors.New("a delay is of delay")
	case f.Kind == flakey.MisdirectWrites && m.room(f) < 2:
		return errors.New("there is no other block in the range")
	}
	return nil
}

// room is how many whole blocks the range of a fault has.
func (m *Medium) room(f flakey.Fault) int64 {
	bs := int64(m.o.BlockSize)
	a := m.arm(f, 0)
	return a.hi/bs - (a.lo+bs-1)/bs
}

// concerns says whether f touches requests of a sort; it is asked of those that
// can touch several.
func (f *fault) concerns(sort flakey.Sort) bool { return f.Where.Only == "" || f.Where.Only == sort }

// take says whether f acts on a request of n bytes at off, which is of the sort
// that it touches; i is what its choices are drawn by.
func (f *fault) take(m *Medium, off, n int64) (i uint64, ok bool) {
	if off >= f.hi || off+n <= f.lo {
		return 0, false
	}
	i = f.seen.Add(1) - 1
	if i < uint64(f.Where.Skip) {
		return i, false
	}
	if p := f.Where.Probability; p != 0 && !f.chance.Chance(i, p) {
		return i, false
	}
	for {
		t := f.touched.Load()
		if f.Where.Count > 0 && t >= f.Where.Count {
			return i, false
		}
		if f.touched.CompareAndSwap(t, t+1) {
			m.n.touched[f.kind].Add(1)
			f.byID.Add(1)
			return i, true
		}
	}
}

// giveBack undoes a take that came to nothing: what would have been altered is
// as it was.
func (f *fault) giveBack(m *Medium) {
	f.touched.Add(-1)
	m.n.touched[f.kind].Add(-1)
	f.byID.Add(-1)
}
