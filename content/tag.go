package content

import (
	"fmt"

	"github.com/seed-1b600011/assay/seed"
)

// SectorSize is the grain of the format in bytes: every sector of an object,
// counted from offset 0 of the object, names itself.
const SectorSize = 512

// MinPiece is the number of bytes of one sector from which on they name
// themselves. Fewer are only equal to what was asked for, or different.
const MinPiece = copySize

// MaxSize is one more than the greatest offset that an object has bytes at:
// 128 PiB, the reach of a 48-bit number of a sector.
const MaxSize = 1 << 57

// Tag says which bytes: those of one generation of one object under one seed.
// With an offset it determines every byte. Every value is valid, the zero
// value too.
type Tag struct {
	Seed       uint64
	Object     uint64 // see ObjectID
	Generation uint32 // greater is newer
}

// String is for people.
func (t Tag) String() string {
	return fmt.Sprintf("generation %d of object %016x (seed %d)", t.Generation, t.Object, t.Seed)
}

// ObjectID is the id of the object called name: seed.Seed(0).For(name), the
// same in every run and on every machine. Among n objects two have the same id
// with a probability of about n²/2^65.
func ObjectID(name string) uint64 { return uint64(seed.Seed(0).For(name)) }

// mustHold panics if [off, off+n) is not inside an object. No offset that a
// caller computes from real sizes comes near the limit, so this is a defect in
// the caller and no condition to handle.
func mustHold(off int64, n int) {
	if off < 0 || off > MaxSize-int64(n) {
		panic(fmt.Sprintf("content: %d bytes at offset %d: objects have bytes at 0 to %d only", n, off, int64(MaxSize)-1))
	}
}
