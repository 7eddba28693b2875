package medium

import (
	"sync"
	"sync/atomic"
)

const (
	leafPages = 64
	leafSize  = leafPages * pageSize // bytes of the disk: the reach of one lock
	nodeLeafs = 4096
)

// tree finds the leaf of a place on the disk. Parts of the disk that were
// never written have none. It only grows.
type tree struct {
	nodes []atomic.Pointer[node]
}

type node [nodeLeafs]atomic.Pointer[leaf]

func newTree(size int64) *tree {
	const reach = leafSize * nodeLeafs
	return &tree{nodes: make([]atomic.Pointer[node], (size+reach-1)/reach)}
}

// find gives leaf number n, or nil.
func (t *tree) find(n int64) *leaf {
	if nd := t.nodes[n/nodeLeafs].Load(); nd != nil {
		return nd[n%nodeLeafs].Load()
	}
	return nil
}

// slot is where leaf number n is, or belongs.
func (t *tree) slot(n int64) *atomic.Pointer[leaf] {
	at := &t.nodes[n/nodeLeafs]
	nd := at.Load()
	if nd == nil {
		nd = new(node)
		if !at.CompareAndSwap(nil, nd) {
			nd = at.Load()
		}
	}
	return &nd[n%nodeLeafs]
}

// ensure gives leaf number n.
func (t *tree) ensure(n int64) *leaf {
	slot := t.slot(n)
	l := slot.Load()
	if l == nil {
		l = &leaf{number: n}
		if !slot.CompareAndSwap(nil, l) {
			l = slot.Load()
		}
	}
	return l
}

// all yields the leaves in the order of the disk, from leaf number from to the
// one before to.
func (t *tree) all(from, to int64) func(yield func(*leaf) bool) {
	return func(yield func(*leaf) bool) {
		for n := from; n < to; {
			nd := t.nodes[n/nodeLeafs].Load()
			last := min(to, (n/nodeLeafs+1)*nodeLeafs)
			if nd == nil {
				n = last
				continue
			}
			for ; n < last; n++ {
				if l := nd[n%nodeLeafs].Load(); l != nil && !yield(l) {
					return
				}
			}
		}
	}
}

// version is a write of some blocks of a page that no flush has covered.
type version struct {
	seq    uint64 // when it was written
	newest uint64 // seq of the youngest version of its group
	page   uint32 // holds the blocks as written; the others as they were before
	before uint32 // 1 + index of the version of the same page of the disk before it; 0: none
	slot   uint8  // page of the leaf
	blocks uint8  // which blocks of the page were written, a bit each
	joined bool   // it is of the same group as the one before it
}

// leaf is 256 KiB of the disk. Versions stand in the order in which they were
// written. Those that follow one another on a page of the disk and wrote
// different blocks of it are a group: they share a page of memory where no clone
// needs it, so that a page of single-block writes costs no more than one write
// of it, and a full cache makes all of them durable together.
type leaf struct {
	mu       sync.RWMutex
	versions []version
	number   int64
	listed   bool              // among the dirty leaves of its medium
	last     [leafPages]uint32 // 1 + index of the newest version; 0: none since the flush
	durable  [leafPages]uint32 // page of memory as of the last flush
}

// now is the page of memory that a reader of a page of the leaf sees.
func (l *leaf) now(slot int) uint32 {
	if v := l.last[slot]; v != 0 {
		return l.versions[v-1].page
	}
	return l.durable[slot]
}

// holds appends every page of memory that the leaf holds, each once.
func (l *leaf) holds(ids []uint32) []uint32 {
	for _, id := range l.durable {
		if id != 0 {
			ids = append(ids, id)
		}
	}
	for i := range l.versions {
		if v := &l.versions[i]; v.page != 0 && l.firstOnPage(v) {
			ids = append(ids, v.page)
		}
	}
	return ids
}

// firstOnPage says whether v is the oldest of those that share its page of memory.
func (l *leaf) firstOnPage(v *version) bool {
	return v.before == 0 || l.versions[v.before-1].page != v.page
}
