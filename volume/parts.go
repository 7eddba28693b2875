package volume

import (
	"math/bits"

	"github.com/seed-1b600011/assay/seed"
)

// part is [from, to) of a file.
type part struct{ from, to int64 }

// parts are what a test writes of a file, one by one: n of them, each computed
// when its turn comes. A test of a billion writes needs no more memory than one
// of ten.
type parts struct {
	n          int64
	at         func(i int64) part
	contiguous bool // each begins where the one before it ends
}

// blocks are the parts of [from, to) that are written one by one.
func (w writing) blocks(from, to int64) parts {
	block := w.block()
	return parts{
		n:          max(0, (to-from+block-1)/block),
		at:         func(i int64) part { return part{from + i*block, min(from+(i+1)*block, to)} },
		contiguous: true,
	}
}

// ordered are the parts in the order of writing.Order.
func (p parts) ordered(order string, draw seed.Seed) parts {
	switch order {
	case "reverse":
		return parts{n: p.n, at: func(i int64) part { return p.at(p.n - 1 - i) }}
	case "random":
		return parts{n: p.n, at: func(i int64) part { return p.at(permuted(draw, i, p.n)) }}
	}
	return p
}

// slice are the parts with the numbers [from, to).
func (p parts) slice(from, to int64) parts {
	return parts{n: to - from, at: func(i int64) part { return p.at(from + i) }, contiguous: p.contiguous}
}

// all gives the parts in order.
func (p parts) all(yield func(part) bool) {
	for i := range p.n {
		if !yield(p.at(i)) {
			return
		}
	}
}

// runs joins parts that follow one another, up to what File.Write asks for at
// once: it parts them again, with fewer messages.
func (p parts) runs(yield func(part) bool) {
	var run part // empty: none
	for next := range p.all {
		if next.from == run.to && run.to > run.from && next.to-run.from <= runBytes {
			run.to = next.to
			continue
		}
		if run.to > run.from && !yield(run) {
			return
		}
		run = next
	}
	if run.to > run.from {
		yield(run)
	}
}

// permuted is where i of [0, n) goes in a permutation that draw chooses. It is a
// Feistel network over the next power of four, walked until it is below n: a
// bijection without a table (Black and Rogaway, "Ciphers with Arbitrary Finite
// Domains", 2002).
func permuted(draw seed.Seed, i, n int64) int64 {
	const rounds = 4
	half := (bits.Len64(uint64(max(n-1, 1))) + 1) / 2
	mask := uint64(1)<<half - 1
	for x := uint64(i); ; {
		left, right := x>>half, x&mask
		for round := range uint64(rounds) {
			left, right = right, left^(draw.Index(round).At(right)&mask)
		}
		if x = left<<half | right; x < uint64(n) {
			return int64(x)
		}
	}
}
