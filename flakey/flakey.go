package flakey

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/seed"
)

// SectorSize is the unit of sector numbers in bytes, as in the kernel:
// whatever the device's logical block is.
const SectorSize = 512

// Kind names a fault.
type Kind string

// The faults that stay on until they are taken away. A power cut is no fault
// of this kind: it is PowerCut.
const (
	DropWrites      Kind = "drop-writes"
	DropFlushes     Kind = "drop-flushes"
	ErrorWrites     Kind = "error-writes"
	ErrorReads      Kind = "error-reads"
	ErrorFlushes    Kind = "error-flushes"
	CorruptReads    Kind = "corrupt-reads"
	CorruptWrites   Kind = "corrupt-writes"
	TearWrites      Kind = "tear-writes"
	MisdirectWrites Kind = "misdirect-writes"
	StaleReads      Kind = "stale-reads"
	Delay           Kind = "delay"
	Hang            Kind = "hang"
)

// Kinds are all faults, in the order in which reports show them.
func Kinds() []Kind {
	return []Kind{DropWrites, DropFlushes, ErrorWrites, ErrorReads, ErrorFlushes, CorruptReads, CorruptWrites,
		TearWrites, MisdirectWrites, StaleReads, Delay, Hang}
}

// Selector says which requests a fault touches. The zero value is all.
type Selector struct {
	FromSector  uint64  `json:"from_sector,omitempty"` // first sector concerned
	ToSector    uint64  `json:"to_sector,omitempty"`   // first sector after them; 0: the end of the disk
	Probability float64 `json:"probability,omitempty"` // of each request in the range; 0 is 1
	Count       int64   `json:"count,omitempty"`       // how many requests at most; 0: no limit
	Skip        int64   `json:"skip,omitempty"`        // how many are let by first
	Only        Sort    `json:"only,omitempty"`        // of which sort; empty: of all that the fault can touch
}

// Sort is a sort of request.
type Sort string

// The sorts. Discards and zeroings are writes.
const (
	Reads   Sort = "reads"
	Writes  Sort = "writes"
	Flushes Sort = "flushes"
)

// Fault is something that a disk does wrong. See the package comment for what
// each kind does and does not.
type Fault struct {
	Kind  Kind          `json:"kind"`
	ID    string        `json:"id,omitempty"` // by which Stats counts it apart; faults with one ID count together; empty: by its kind alone
	Where Selector      `json:"where,omitzero"`
	Nth   int           `json:"nth,omitempty"`   // corrupt: the byte of each request that is replaced, from 1; 0: one bit at random
	Value byte          `json:"value,omitempty"` // corrupt: by what, where Nth is given
	Flags uint32        `json:"flags,omitempty"` // corrupt: of dm-flakey, only requests with all these flags; see the driver
	Delay time.Duration `json:"delay,omitempty"` // delay: how long every request waits
	Seed  seed.Seed     `json:"seed,omitempty"`  // of what is drawn by request: whether, which bit, how much, where to
}

// Mode says which of the writes that no flush has covered survive a power cut.
type Mode string

// The modes. What a flush has covered survives in all of them.
const (
	KeepNone   Mode = "none"
	KeepAll    Mode = "all"
	KeepPrefix Mode = "prefix" // those before a point in the order in which they came
	KeepRandom Mode = "random" // each block on its own, in any of the versions written since the flush
)

// Keep is what survives a power cut. The zero value is KeepNone.
type Keep struct {
	Mode        Mode      `json:"mode,omitempty"`
	Probability float64   `json:"probability,omitempty"` // random: of each block to survive; 0 is 0.5
	Seed        seed.Seed `json:"seed,omitempty"`
}

// Cut is what a power cut did.
type Cut struct {
	AtStake int64  `json:"at_stake"` // blocks written and not flushed
	Kept    int64  `json:"kept"`     // of them, those that survived in their last version
	Older   int64  `json:"older"`    // those that survived in a version written before the last
	Lost    int64  `json:"lost"`     // those that are as they were at the last flush
	Path    string `json:"path"`     // the device that is plugged in afterwards
}

// Stats is what a disk has done and holds. Counts are of requests.
type Stats struct {
	Reads, Writes, Flushes, Discards, Zeroes int64
	ReadBytes, WrittenBytes                  int64
	Dirty                                    int64            // bytes written and not flushed
	Memory                                   int64            // bytes of memory in use for content
	Evicted                                  int64            // blocks made durable because the cache, or its memory, was full
	Touched                                  map[Kind]int64   // requests that faults have acted on
	TouchedBy                                map[string]int64 // the same, by Fault.ID
}

// Disk is a breakable disk that is plugged in. Its methods may be called by
// several goroutines at once.
type Disk interface {
	// Name is that of Options.
	Name() string
	// Path is the block device. A power cut changes it.
	Path() string
	// Set makes these the faults that are on, and takes all others away. A
	// request under way may still meet the old ones; releasing a Hang lets
	// the requests that hang go on. None: everything is allowed.
	Set(ctx context.Context, faults ...Fault) error
	// PowerCut ends the disk: whatever is asked of its device from now on
	// fails, and a new device holds what survived. Faults are taken away.
	PowerCut(ctx context.Context, k Keep) (Cut, error)
	// Stats may be asked at any time, also while the disk hangs.
	Stats(ctx context.Context) (Stats, error)
	// Intact returns an error if anything that the disk is made of has failed
	// by itself: its process was killed or stopped, its memory is used up, its
	// recording cannot be written. Nothing that the disk has done since it was
	// last intact says anything of those who use it. A fault that is on, or a
	// power cut, is no such failure. Once there is an error there always is one,
	// also after a power cut. A disk that is merely slow is waited for, as long
	// as a minute; that ctx ended before is an error that wraps its cause.
	Intact(ctx context.Context) error
	// Mark writes a mark into the recording; without one it does nothing.
	Mark(ctx context.Context, text string) error
	// Close unplugs the disk and forgets what it holds. Whatever still hangs
	// on it fails.
	Close(ctx context.Context) error
}

// Options say which disk is wanted.
type Options struct {
	Name      string // unique on this machine; letters, digits, . _ -; at most 64
	Size      int64  // bytes, a multiple of 4096
	BlockSize int    // the logical block, the atomic unit of a write: 512 or 4096; 0 is 512
	Cache     int64  // bytes that may be written and not flushed; the oldest become durable above it; 0: as the driver bounds it
	Memory    int64  // bytes of memory for content; 0: three quarters of what is available
	Record    string // file that every write, flush, discard, fault and mark is recorded to; empty: none
	Seed      seed.Seed
	Needs     []Kind // faults that will be wanted
	Ledger    *machine.Ledger
	Dir       string // for the driver's own files; not on the disk
}

// Driver makes disks of one sort.
type Driver interface {
	Name() string
	// Supports says whether disks of this driver can do the fault on this
	// machine: what is missing, and what would give it. The empty Kind asks
	// for a disk without faults.
	Supports(k Kind) error
	Open(ctx context.Context, o Options) (Disk, error)
}

// Open opens a disk of the first driver that supports all that is needed. The
// error of none says for each driver why.
func Open(ctx context.Context, o Options, drivers ...Driver) (Disk, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	var refusals []error
	for _, d := range drivers {
		if err := supports(d, o.Needs); err != nil {
			refusals = append(refusals, fmt.Errorf("%s: %w", d.Name(), err))
			continue
		}
		return d.Open(ctx, o)
	}
	return nil, fmt.Errorf("flakey: no driver can make disk %q: %w", o.Name, errors.Join(refusals...))
}

func supports(d Driver, needs []Kind) error {
	errs := []error{d.Supports("")}
	for _, k := range needs {
		errs = append(errs, d.Supports(k))
	}
	return errors.Join(errs...)
}

// Limits of a disk.
const (
	MinSize = 1 << 20
	MaxSize = 1 << 50
	nameMax = 64
)

// Check returns an error if no driver could make a disk of these options.
func (o Options) Check() error {
	switch {
	case !nameOK(o.Name):
		return fmt.Errorf("flakey: disk name %q: want 1 to %d letters, digits, dots, dashes and underscores, not beginning with a dot", o.Name, nameMax)
	case o.Size < MinSize || o.Size > MaxSize || o.Size%4096 != 0:
		return fmt.Errorf("flakey: disk %q of %d bytes: want a multiple of 4096 from 1 MiB to 1 PiB", o.Name, o.Size)
	case o.BlockSize != 0 && o.BlockSize != 512 && o.BlockSize != 4096:
		return fmt.Errorf("flakey: disk %q with blocks of %d bytes: want 512 or 4096", o.Name, o.BlockSize)
	case o.Cache < 0 || o.Memory < 0:
		return fmt.Errorf("flakey: disk %q: a limit below 0", o.Name)
	}
	return nil
}

func nameOK(s string) bool {
	if s == "" || len(s) > nameMax || s[0] == '.' {
		return false
	}
	for _, c := range s {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-') {
			return false
		}
	}
	return true
}
