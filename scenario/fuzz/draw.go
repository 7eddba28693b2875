package fuzz

import (
	"strconv"

	"github.com/seed-1b600011/assay/seed"
)

// Draw makes choices by name. Two choices of one name in the same place are the
// same choice. The zero value is a valid Draw.
type Draw struct{ seed seed.Seed }

// In is the place called name.
func (d Draw) In(name string) Draw { return Draw{d.seed.For(name)} }

// At is place number i.
func (d Draw) At(i int) Draw { return Draw{d.seed.Index(uint64(i))} }

// Between is a number from lo to hi, both included.
func (d Draw) Between(name string, lo, hi int64) int64 { return d.seed.For(name).Between(0, lo, hi) }

// Chance is true with probability p.
func (d Draw) Chance(name string, p float64) bool { return d.seed.For(name).Chance(0, p) }

// One is one of the list, which must not be empty.
func (d Draw) One(name string, of ...string) string {
	return of[d.seed.For(name).Below(0, uint64(len(of)))]
}

// Number is Between as text.
func (d Draw) Number(name string, lo, hi int64) string {
	return strconv.FormatInt(d.Between(name, lo, hi), 10)
}

// Milliseconds is a duration as text.
func (d Draw) Milliseconds(name string, lo, hi int64) string { return d.Number(name, lo, hi) + "ms" }
