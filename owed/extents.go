package owed

import (
	"iter"
	"math"
	"slices"
	"sort"
)

// extent is a run of bytes that the same operations concern: one register.
type extent struct {
	from, to int64
	ops      []*op
}

// chunkMax bounds the extents that one insertion moves.
const chunkMax = 256

// extents are the registers of a file, in order and without a gap from 0 to
// the end of numbers. They lie in chunks, so that a random write to a file of
// a million extents moves a few kilobytes and not all of them.
type extents struct{ chunks [][]extent }

func newExtents() extents {
	return extents{chunks: [][]extent{{{to: math.MaxInt64, ops: []*op{original()}}}}}
}

// find is the chunk and the index in it of the extent that holds at.
func (e *extents) find(at int64) (c, i int) {
	c = sort.Search(len(e.chunks), func(c int) bool { return e.chunks[c][0].from > at }) - 1
	chunk := e.chunks[c]
	return c, sort.Search(len(chunk), func(i int) bool { return chunk[i].from > at }) - 1
}

// split makes at a border.
func (e *extents) split(at int64) {
	c, i := e.find(at)
	x := &e.chunks[c][i]
	if x.from == at || at == math.MaxInt64 {
		return
	}
	right := extent{from: at, to: x.to, ops: slices.Clone(x.ops)}
	x.to = at
	chunk := slices.Insert(e.chunks[c], i+1, right)
	e.chunks[c] = chunk
	if len(chunk) > chunkMax {
		half := len(chunk) / 2
		e.chunks = slices.Insert(e.chunks, c+1, slices.Clone(chunk[half:]))
		clear(chunk[half:])
		e.chunks[c] = chunk[:half]
	}
}

// within gives the extents that make up [from, to), which it splits off first.
func (e *extents) within(from, to int64) iter.Seq[*extent] {
	return func(yield func(*extent) bool) {
		if from >= to {
			return
		}
		e.split(from)
		e.split(to)
		for x := range e.touching(from, to) {
			if !yield(x) {
				return
			}
		}
	}
}

// touching gives the extents that [from, to) has bytes of, as they are.
func (e *extents) touching(from, to int64) iter.Seq[*extent] {
	return func(yield func(*extent) bool) {
		if from >= to {
			return
		}
		c, i := e.find(from)
		for ; c < len(e.chunks); c, i = c+1, 0 {
			for ; i < len(e.chunks[c]); i++ {
				x := &e.chunks[c][i]
				if x.from >= to || !yield(x) {
					return
				}
			}
		}
	}
}

// add makes w one of the operations on its range.
func (e *extents) add(w *op) {
	for x := range e.within(w.from, w.to) {
		x.ops = prune(append(x.ops, w))
	}
}

// settle drops what w, now durable, has made impossible.
func (e *extents) settle(w *op) {
	for x := range e.touching(w.from, w.to) {
		x.ops = prune(x.ops)
	}
}
