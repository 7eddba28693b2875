// Package seed draws every random choice of assay by name and index, never by
// turn: the choice called "required/buckets/0/clouds" is the same whether or
// not another choice was made before it. Leaving a scenario, a test or an
// object out therefore changes no other.
//
// A Seed is a number. For gives the seed of a named part, At the value of an
// indexed draw. Both are pure functions of their arguments and are safe for
// concurrent use. The mixing function is the 64-bit finalizer of MurmurHash3
// in the variant that Stafford measured ("Mix13", also used by SplitMix64); it
// is a bijection with full avalanche, and it is not cryptographic.
package seed

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math/bits"
	"strconv"
)

// Seed is the root of a tree of choices. Zero is a valid seed like any other.
type Seed uint64

const (
	golden = 0x9e3779b97f4a7c15 // 2^64 / the golden ratio, odd: steps of it visit every value
	odd    = 0xd1342543de82ef95 // a multiplier of good spectral quality (Steele, Vigna 2021)
)

func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}

// New returns a seed that nobody chose, from the system's random source.
func New() Seed {
	var b [8]byte
	rand.Read(b[:]) // never fails: crypto/rand aborts the process instead
	return Seed(binary.LittleEndian.Uint64(b[:]))
}

// Parse reads a seed as String prints it; 0x, 0o and 0b are accepted too.
func Parse(s string) (Seed, error) {
	v, err := strconv.ParseUint(s, 0, 64)
	if err != nil {
		return 0, fmt.Errorf("seed %q: want a whole number from 0 to 18446744073709551615", s)
	}
	return Seed(v), nil
}

// String is the seed in decimal.
func (s Seed) String() string { return strconv.FormatUint(uint64(s), 10) }

// For is the seed of the part of s that path names. For("a", "b") equals
// For("a").For("b") and differs from For("ab").
func (s Seed) For(path ...string) Seed {
	h := uint64(s)
	for _, name := range path {
		h = mix(h + golden*uint64(len(name)+1))
		for len(name) >= 8 {
			h = mix(h ^ odd*binary.LittleEndian.Uint64([]byte(name[:8])))
			name = name[8:]
		}
		var tail [8]byte
		copy(tail[:], name)
		h = mix(h ^ odd*binary.LittleEndian.Uint64(tail[:]))
	}
	return Seed(h)
}

// At is draw number i of s, uniform over all 64-bit values.
func (s Seed) At(i uint64) uint64 { return mix(mix(uint64(s)+golden) + golden*(i+1)) }

// Index is the seed of part number i of s.
func (s Seed) Index(i uint64) Seed { return Seed(s.At(i) ^ odd) }

// Below is draw number i of s, uniform in [0, n) to within n/2^64. It panics
// if n is 0.
func (s Seed) Below(i, n uint64) uint64 {
	if n == 0 {
		panic("seed: Below(_, 0)")
	}
	hi, _ := bits.Mul64(s.At(i), n)
	return hi
}

// Between is draw number i of s, uniform in [lo, hi], both ends included. It
// panics if hi is less than lo.
func (s Seed) Between(i uint64, lo, hi int64) int64 {
	if hi < lo {
		panic("seed: Between with its ends exchanged")
	}
	n := uint64(hi-lo) + 1
	if n == 0 { // the whole range of int64
		return int64(s.At(i))
	}
	return lo + int64(s.Below(i, n))
}

// Float is draw number i of s, uniform in [0, 1).
func (s Seed) Float(i uint64) float64 { return float64(s.At(i)>>11) / (1 << 53) }

// Chance is true with probability p; p of 0 or less never is, of 1 or more always.
func (s Seed) Chance(i uint64, p float64) bool { return s.Float(i) < p }
