package medium

import (
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/flakey/recording"
	"github.com/seed-1b600011/assay/seed"
)

// Options say which medium is wanted.
type Options struct {
	Size      int64 // bytes, a multiple of 4096, up to flakey.MaxSize
	BlockSize int   // bytes of the logical block: 512 or 4096; 0 is 512
	Cache     int64 // bytes that may be written and not flushed; 0: no limit but 64 MiB of older versions
	Memory    int64 // bytes for content, of this medium and all that come from it; 0: three quarters of what the machine has left
	Ready     int64 // bytes of it to take at once, in the background: a first pass over them is then as fast as a second. What is not used within 30 s is given back
	Seed      seed.Seed
	Recorder  *recording.Writer // of everything that is done; nil: none. The caller closes it after the medium.
}

func (o Options) withDefaults() (Options, error) {
	if o.BlockSize == 0 {
		o.BlockSize = 512
	}
	switch {
	case o.Size <= 0 || o.Size > flakey.MaxSize || o.Size%pageSize != 0:
		return o, fmt.Errorf("medium: %d bytes: want a multiple of %d up to %d", o.Size, pageSize, int64(flakey.MaxSize))
	case o.BlockSize != 512 && o.BlockSize != pageSize:
		return o, fmt.Errorf("medium: blocks of %d bytes: want 512 or %d", o.BlockSize, pageSize)
	case o.Cache < 0 || o.Memory < 0 || o.Ready < 0:
		return o, errors.New("medium: a limit below 0")
	}
	if r := o.Recorder; r != nil && (r.Header().Size != o.Size || r.Header().BlockSize != o.BlockSize) {
		return o, fmt.Errorf("medium: the recording is of a disk of %d bytes with blocks of %d, not of %d with %d",
			r.Header().Size, r.Header().BlockSize, o.Size, o.BlockSize)
	}
	return o, nil
}

// Medium is what a disk holds. All its methods may be called by several
// goroutines at once.
//
// Locks are taken in this order: gate, a leaf's, then dirtyMu or the arena's.
type Medium struct {
	o      Options
	arena  *arena
	tree   *tree
	leaves int64
	exact  bool // nothing becomes durable but by a flush, not even when memory ends: a replay

	// gate is held shared by whatever changes content, and alone by whatever
	// must see none change: a flush, a cut, a clone; and by every change where
	// there is a recording, whose order is then the truth.
	gate sync.RWMutex
	seq  atomic.Uint64 // of the last version
	dead atomic.Bool   // set under gate; whoever has a leaf's lock looks at it before he touches memory
	gone chan struct{} // closed with dead

	dirtyMu    sync.Mutex
	dirty      []*leaf      // that have versions
	dirtyBytes atomic.Int64 // of versions
	older      atomic.Int64 // pages of memory that are held and that no reader sees

	setMu  sync.Mutex
	faults atomic.Pointer[faultSet] // nil: none
	broken *atomic.Pointer[error]   // of the disk: a power cut goes on with it
	cuts   uint64                   // so far; under gate
	n      *counters
}

// counters go on through power cuts: they are of the disk.
type counters struct {
	reads, writes, flushes, discards, zeroes atomic.Int64
	readBytes, writtenBytes                  atomic.Int64
	evicted                                  atomic.Int64
	touched                                  [kinds]atomic.Int64 // in the order of flakey.Kinds

	mu   sync.Mutex
	byID map[string]*atomic.Int64 // touched, of the faults that have an ID
}

// of is the counter of the faults with that ID.
func (c *counters) of(id string) *atomic.Int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byID == nil {
		c.byID = map[string]*atomic.Int64{}
	}
	if c.byID[id] == nil {
		c.byID[id] = new(atomic.Int64)
	}
	return c.byID[id]
}

// each is what the counters of all IDs show.
func (c *counters) each() map[string]int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]int64{}
	for id, n := range c.byID {
		if id != "" {
			all[id] = n.Load()
		}
	}
	return all
}

// New makes an empty medium: it reads as zeros.
func New(o Options) (*Medium, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	a, err := newArena(o.Memory, o.Ready, hostMemory)
	if err != nil {
		return nil, fmt.Errorf("medium: %w", err)
	}
	return on(a, o), nil
}

// on makes an empty medium on an arena that counts it already.
func on(a *arena, o Options) *Medium {
	return &Medium{
		o: o, arena: a, tree: newTree(o.Size), leaves: (o.Size + leafSize - 1) / leafSize,
		gone: make(chan struct{}), n: new(counters), broken: new(atomic.Pointer[error]),
	}
}

// Size is in bytes.
func (m *Medium) Size() int64 { return m.o.Size }

// BlockSize is the logical block in bytes.
func (m *Medium) BlockSize() int { return m.o.BlockSize }

// Stats may be asked at any time, also while requests hang and after Close.
func (m *Medium) Stats() flakey.Stats {
	s := flakey.Stats{
		Reads: m.n.reads.Load(), Writes: m.n.writes.Load(), Flushes: m.n.flushes.Load(),
		Discards: m.n.discards.Load(), Zeroes: m.n.zeroes.Load(),
		ReadBytes: m.n.readBytes.Load(), WrittenBytes: m.n.writtenBytes.Load(),
		Dirty: m.dirtyBytes.Load(), Memory: m.arena.backed(), Evicted: m.n.evicted.Load(),
		Touched: map[flakey.Kind]int64{}, TouchedBy: m.n.each(),
	}
	for i, k := range flakey.Kinds() {
		if n := m.n.touched[i].Load(); n > 0 {
			s.Touched[k] = n
		}
	}
	return s
}

// Broken tells what has gone wrong in the tool, not in the disk that it plays:
// memory that is used up, a recording that cannot be written. Requests have
// failed with EIO for it; whatever is concluded from them is void. It is nil
// as long as all is well, and stays what it was after a power cut.
func (m *Medium) Broken() error {
	if p := m.broken.Load(); p != nil {
		return *p
	}
	return nil
}

func (m *Medium) breaks(doing string, err error) syscall.Errno {
	err = fmt.Errorf("medium: %s: %w", doing, err)
	m.broken.CompareAndSwap(nil, &err)
	return syscall.EIO
}

// Ready is closed when the memory that Options.Ready asks for is there, or is
// not to be had.
func (m *Medium) Ready() <-chan struct{} { return m.arena.prepared }

// Mark writes a text into the recording; without one it does nothing.
func (m *Medium) Mark(text string) error {
	if m.o.Recorder == nil {
		return nil
	}
	m.gate.Lock()
	defer m.gate.Unlock()
	_, err := m.o.Recorder.Mark(text)
	return err
}

// Close unplugs the disk: whatever waits or comes fails with EIO. The memory
// goes with the last medium that shares it. To close it again, or after a
// Cut, does nothing.
func (m *Medium) Close() error {
	m.gate.Lock()
	defer m.gate.Unlock()
	if m.dead.Swap(true) {
		return nil
	}
	close(m.gone)
	var ids []uint32
	for l := range m.tree.all(0, m.leaves) {
		l.mu.Lock() // whoever reads it now has not seen that the medium is dead
		ids = l.holds(ids[:0])
		l.versions, l.last, l.durable = nil, [leafPages]uint32{}, [leafPages]uint32{}
		l.mu.Unlock()
		m.arena.release(ids)
	}
	m.dirty = nil
	m.dirtyBytes.Store(0)
	if err := m.arena.leave(); err != nil {
		return fmt.Errorf("medium: close: %w", err)
	}
	return nil
}

// mask is the blocks, a bit each, of n bytes from byte from of a page.
func (m *Medium) mask(from, n int) uint8 {
	bs := m.o.BlockSize
	return uint8((1<<((from+n)/bs) - 1) &^ (1<<(from/bs) - 1))
}

func (m *Medium) bytesOf(blocks uint8) int64 {
	return int64(bits.OnesCount8(blocks) * m.o.BlockSize)
}
