package medium

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"slices"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/flakey/recording"
	"github.com/seed-1b600011/assay/seed"
)

// Cut is a power cut: whatever waits or comes fails with EIO from now on, and
// the medium that is returned holds what survived. It has no faults; its
// counts go on, and so does its recording. Path of the Cut is left empty.
//
// A Seed of 0 stands for one drawn from the medium's and the number of cuts
// before. The error is of a Keep that makes no sense, or of a medium that is
// gone; nothing is changed then.
func (m *Medium) Cut(k flakey.Keep) (*Medium, flakey.Cut, error) {
	if err := checkKeep(k); err != nil {
		return nil, flakey.Cut{}, err
	}
	m.gate.Lock()
	defer m.gate.Unlock()
	if m.dead.Swap(true) {
		return nil, flakey.Cut{}, errors.New("medium: power cut: the disk is gone")
	}
	close(m.gone)
	if k.Seed == 0 {
		k.Seed = m.o.Seed.For("cut").Index(m.cuts)
	}
	after := &Medium{
		o: m.o, arena: m.arena, tree: m.tree, leaves: m.leaves, exact: m.exact,
		gone: make(chan struct{}), n: m.n, broken: m.broken, cuts: m.cuts + 1,
	}
	after.seq.Store(m.seq.Load())
	c, err := m.lose(k)
	if err != nil {
		after.breaks("power cut", err)
	}
	m.dirty = nil
	m.dirtyBytes.Store(0)
	m.older.Store(0)
	if r := m.o.Recorder; r != nil {
		if _, err := r.Cut(recording.Cut{Keep: k, Cut: c}); err != nil {
			after.breaks("record", err)
		}
	}
	return after, c, nil
}

func checkKeep(k flakey.Keep) error {
	switch k.Mode {
	case "", flakey.KeepNone, flakey.KeepAll, flakey.KeepPrefix, flakey.KeepRandom:
	default:
		return fmt.Errorf("medium: power cut: keep %q: want %s, %s, %s or %s",
			k.Mode, flakey.KeepNone, flakey.KeepAll, flakey.KeepPrefix, flakey.KeepRandom)
	}
	if !(k.Probability >= 0 && k.Probability <= 1) || k.Probability != 0 && k.Mode != flakey.KeepRandom {
		return fmt.Errorf("medium: power cut: keep %q with probability %v: want 0 (which is 0.5) to 1, and of %s only", k.Mode, k.Probability, flakey.KeepRandom)
	}
	return nil
}

// lose makes every leaf what survives of it. Gate is held alone, and no
// request gets to a leaf any more.
func (m *Medium) lose(k flakey.Keep) (c flakey.Cut, err error) {
	choose := m.chooser(k)
	var freed []uint32
	for _, l := range m.dirty {
		l.mu.Lock()
		freed, err = m.loseLeaf(l, choose, &c, freed, err)
		l.mu.Unlock()
	}
	m.arena.release(freed)
	return c, err
}

// choice is which of n versions of a block, from the oldest, survives; -1:
// none of them, but what was there at the last flush.
type choice func(block int64, versions []*version) int

// chooser draws each block's fate by its number on the disk.
func (m *Medium) chooser(k flakey.Keep) choice {
	switch k.Mode {
	case flakey.KeepAll:
		return func(_ int64, versions []*version) int { return len(versions) - 1 }
	case flakey.KeepRandom:
		p := k.Probability
		if p == 0 {
			p = 0.5
		}
		survives, which := k.Seed.For("survives"), k.Seed.For("which")
		return func(block int64, versions []*version) int {
			if !survives.Chance(uint64(block), p) {
				return -1
			}
			return int(which.Below(uint64(block), uint64(len(versions))))
		}
	case flakey.KeepPrefix:
		return m.prefix(k.Seed)
	}
	return func(int64, []*version) int { return -1 }
}

// prefix draws a point in the order of all blocks that were written since the
// flush: those of one write in the order of the disk.
func (m *Medium) prefix(s seed.Seed) choice {
	type written struct {
		seq    uint64
		page   int64 // of the disk
		blocks uint8
	}
	var order []written
	total := 0
	for _, l := range m.dirty {
		l.mu.RLock()
		for i := range l.versions {
			v := &l.versions[i]
			order = append(order, written{v.seq, l.number*leafPages + int64(v.slot), v.blocks})
			total += bits.OnesCount8(v.blocks)
		}
		l.mu.RUnlock()
	}
	slices.SortFunc(order, func(a, b written) int {
		return cmp.Or(cmp.Compare(a.seq, b.seq), cmp.Compare(a.page, b.page))
	})
	in := int(s.For("prefix").Below(0, uint64(total)+1))
	var end written // the write that the point parts, or the last
	for _, end = range order {
		if n := bits.OnesCount8(end.blocks); n <= in {
			in -= n
			continue
		}
		for bits.OnesCount8(end.blocks) > in {
			end.blocks &^= 1 << (bits.Len8(end.blocks) - 1)
		}
		break
	}
	perPage := int64(pageSize / m.o.BlockSize)
	return func(block int64, versions []*version) int {
		page, bit := block/perPage, uint8(1)<<(block%perPage)
		for i := len(versions) - 1; i >= 0; i-- {
			v := versions[i]
			if d := cmp.Or(cmp.Compare(v.seq, end.seq), cmp.Compare(page, end.page)); d < 0 || d == 0 && end.blocks&bit != 0 {
				return i
			}
		}
		return -1
	}
}

// loseLeaf makes one leaf what survives of it, and appends the pages of memory
// that it holds no more to freed.
func (m *Medium) loseLeaf(l *leaf, choose choice, c *flakey.Cut, freed []uint32, bad error) ([]uint32, error) {
	var versions []*version
	for slot, at := range l.last {
		if at == 0 {
			continue
		}
		versions = versions[:0]
		for ; at != 0; at = l.versions[at-1].before {
			versions = append(versions, &l.versions[at-1])
		}
		slices.Reverse(versions)
		page, err := m.survivor(l, slot, versions, choose, c)
		if err != nil {
			bad = err
		}
		if old := l.durable[slot]; old != page && old != 0 {
			freed = append(freed, old)
		}
		for _, v := range versions {
			if v.page != 0 && v.page != page && l.firstOnPage(v) {
				freed = append(freed, v.page)
			}
		}
		l.durable[slot] = page
	}
	l.versions, l.last, l.listed = nil, [leafPages]uint32{}, false
	return freed, bad
}

// survivor gives the page of memory that holds what survives of a page.
func (m *Medium) survivor(l *leaf, slot int, versions []*version, choose choice, c *flakey.Cut) (uint32, error) {
	bs := m.o.BlockSize
	perPage := pageSize / bs
	first := (l.number*leafPages + int64(slot)) * int64(perPage)
	old, now := l.durable[slot], versions[len(versions)-1].page
	var content [pageSize]byte
	m.load(content[:], old)
	allOld, allNow := true, true
	of := make([]*version, 0, 16)
	var did flakey.Cut
	for b := range perPage {
		of = of[:0]
		for _, v := range versions {
			if v.blocks>>b&1 != 0 {
				of = append(of, v)
			}
		}
		if len(of) == 0 {
			continue // the same in all of them
		}
		did.AtStake++
		i := choose(first+int64(b), of)
		switch {
		case i < 0:
			did.Lost++
			allNow = false
			continue
		case i == len(of)-1:
			did.Kept++
		default:
			did.Older++
			allNow = false
		}
		allOld = false
		if page := of[i].page; page == 0 {
			clear(content[b*bs : (b+1)*bs])
		} else {
			copy(content[b*bs:(b+1)*bs], m.arena.page(page)[b*bs:])
		}
	}
	page, err := old, error(nil)
	switch {
	case allOld:
	case allNow:
		page = now
	default:
		page, err = m.mixed(versions, &content)
		if err != nil { // nothing survives: legal, but not what was drawn
			page, did.Lost, did.Kept, did.Older = old, did.AtStake, 0, 0
		}
	}
	c.AtStake += did.AtStake
	c.Kept += did.Kept
	c.Older += did.Older
	c.Lost += did.Lost
	return page, err
}

// mixed gives a page of memory with that content: one of the versions' own
// where no clone shares it, so that a cut needs no memory.
func (m *Medium) mixed(versions []*version, content *[pageSize]byte) (uint32, error) {
	for _, v := range versions {
		if m.arena.alone(v.page) {
			copy(m.arena.page(v.page), content[:])
			return v.page, nil
		}
	}
	var id [1]uint32
	if err := m.arena.alloc(id[:]); err != nil {
		return 0, err
	}
	copy(m.arena.page(id[0]), content[:])
	return id[0], nil
}
