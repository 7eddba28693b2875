package object

import (
	"sync"

	"github.com/seed-1b600011/assay/content"
)

// present is the set of object indexes that this run has put.
type present struct {
	mu   sync.RWMutex
	bits []uint64
}

func (p *present) put(i int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for int64(len(p.bits)) <= i/64 {
		p.bits = append(p.bits, 0)
	}
	p.bits[i/64] |= 1 << (i % 64)
}

func (p *present) drop(i int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i/64 < int64(len(p.bits)) {
		p.bits[i/64] &^= 1 << (i % 64)
	}
}

func (p *present) has(i int64) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return i/64 < int64(len(p.bits)) && p.bits[i/64]>>(i%64)&1 != 0
}

// shortTags has, for every object that was put with a body too short to name
// itself, all the contents that were put.
type shortTags struct {
	mu    sync.Mutex
	byKey map[string][]content.Tag
}

func (s *shortTags) add(key string, t content.Tag) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byKey == nil {
		s.byKey = map[string][]content.Tag{}
	}
	s.byKey[key] = append(s.byKey[key], t)
}

func (s *shortTags) of(key string) []content.Tag {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byKey[key][:len(s.byKey[key]):len(s.byKey[key])]
}

// deletes knows which deletes of an object may take effect at any time: those
// under way, and those that were left without an outcome.
type deletes struct {
	mu   sync.Mutex
	next uint64
	open map[int64]openDeletes
}

type openDeletes struct {
	n     int    // how many
	last  uint64 // the number of the one that began last
	alone uint64 // the number of one that began when no other was open
}

// begin notes that a delete of object i begins, and gives its number.
func (d *deletes) begin(i int64) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open == nil {
		d.open = map[int64]openDeletes{}
	}
	d.next++
	o := d.open[i]
	if o.n++; o.n == 1 {
		o.alone = d.next
	}
	o.last = d.next
	d.open[i] = o
	return d.next
}

// end notes that it has ended, left: without an outcome. only reports whether
// no other delete of the object can have taken effect while it was under way.
func (d *deletes) end(i int64, number uint64, left bool) (only bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	o := d.open[i]
	only = o.alone == number && o.last == number
	if left {
		return only
	}
	if o.n--; o.n == 0 {
		delete(d.open, i)
		return only
	}
	d.open[i] = o
	return only
}
