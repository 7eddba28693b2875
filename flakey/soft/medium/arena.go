package medium

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	pageSize    = 4096
	hugeSize    = 2 << 20
	minFree     = 8 << 20 / pageSize  // pages: given back to the kernel only above that
	minAhead    = 4 << 20 / pageSize  // pages: backed ahead of need at least, once it is worth it
	maxAhead    = 64 << 20 / pageSize // and at most
	growStep    = 16 << 20 / pageSize // pages: how often the host is asked whether it has more
	readyTime   = 30 * time.Second    // how long memory that was made ready waits to be used
	smallMemory = 64 << 20            // bytes: up to that huge pages are not worth it
	reserve     = 64 << 20            // bytes that are left to the host
	maxTransit  = 16 << 20 / pageSize // pages: on their way back to the kernel at once
	maxPages    = 1<<32 - 2 - maxTransit
)

// errNoMemory says that the memory which was allowed is used up.
var errNoMemory = errors.New("the memory for content is used up")

// arena hands out pages of 4 KiB by number. Page 0 is a hole: it reads as
// zeros and has no memory. All of it is one mapping outside of Go's heap, so
// that the collector never looks at it and a page has no header.
//
// Pages are shared between media by a count. Who holds a page whose count is
// 0 holds it alone, and nobody else can come to hold it but through him.
type arena struct {
	mapping []byte // as mapped
	mem     []byte // of it, from the first multiple of a huge page
	counts  []byte // mapping of a uint32 a page: holders beyond the first
	limit   int    // pages

	mu        sync.Mutex
	users     int      // media
	used      int      // pages handed out
	next      uint32   // the first page that was never handed out
	populated uint32   // the first page that the kernel has not been asked to back
	ready     int      // pages that are to be backed before anybody needs them
	populates int      // keepers that do so now
	warm      []uint32 // free pages that are backed by memory
	cold      []uint32 // free pages that were given back
	keepsAll  bool     // the kernel takes nothing back
	grown     int      // pages that got memory since the host was asked
	available func() (int64, error)

	prepared chan struct{} // closed when what is to be ready is, or cannot be
	enough   *time.Timer   // ends what was made ready and is not used
	wake     chan struct{} // to the keeper: there may be something to do
	quit     chan struct{}
	done     sync.WaitGroup // the keepers have ended
}

// newArena allows so many bytes of memory, 0 being three quarters of what is
// available, and makes so many of them ready at once.
func newArena(memory, ready int64, available func() (int64, error)) (*arena, error) {
	if memory == 0 {
		free, err := available()
		if err != nil {
			return nil, err
		}
		memory = free / 4 * 3
	}
	limit := min(memory/pageSize, maxPages)
	if limit < 1 {
		return nil, fmt.Errorf("%d bytes of memory are less than a page", memory)
	}
	numbers := int(limit) + 1 + maxTransit // pages on their way back have no other use meanwhile
	mapping, err := reserveMemory(numbers*pageSize + hugeSize)
	if err != nil {
		return nil, err
	}
	counts, err := reserveMemory(numbers * 4)
	if err != nil {
		return nil, errors.Join(err, unix.Munmap(mapping))
	}
	a := &arena{
		mapping: mapping, counts: counts, limit: int(limit), users: 1, next: 1, populated: 1, available: available,
		ready:    int(min((ready+pageSize-1)/pageSize, limit)),
		prepared: make(chan struct{}), wake: make(chan struct{}, 1), quit: make(chan struct{}),
	}
	skip := -int(uintptr(unsafe.Pointer(&mapping[0]))) & (hugeSize - 1)
	a.mem = mapping[skip:]
	if memory > smallMemory {
		// Without huge pages the first touch of memory takes four times as long; a
		// kernel that has none is slower, not wrong.
		_ = unix.Madvise(a.mem, unix.MADV_HUGEPAGE)
	}
	for range 2 {
		a.done.Go(a.keep)
	}
	if a.ready == 0 {
		close(a.prepared)
	} else {
		a.enough = time.AfterFunc(readyTime, a.unready)
		a.nudge()
	}
	return a, nil
}

func reserveMemory(size int) ([]byte, error) {
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes: %w", size, err)
	}
	return b, nil
}

// page is the memory of page id, which is not 0.
func (a *arena) page(id uint32) []byte {
	o := int(id) * pageSize
	return a.mem[o : o+pageSize : o+pageSize]
}

func (a *arena) count(id uint32) *atomic.Uint32 {
	return (*atomic.Uint32)(unsafe.Pointer(&a.counts[int(id)*4]))
}

// alone says whether the caller, who holds id, is the only one.
func (a *arena) alone(id uint32) bool { return id != 0 && a.count(id).Load() == 0 }

// share makes one holder more of id. The caller holds it.
func (a *arena) share(id uint32) {
	if id != 0 {
		a.count(id).Add(1)
	}
}

// alloc fills ids with pages, whose content is anything, or does nothing.
func (a *arena) alloc(ids []uint32) error {
	if len(ids) == 0 {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.used+len(ids) > a.limit {
		return errNoMemory
	}
	if fresh := len(ids) - len(a.warm); fresh > 0 {
		if err := a.grow(fresh); err != nil {
			return err
		}
	}
	a.used += len(ids)
	for i := range ids {
		switch {
		case len(a.warm) > 0:
			ids[i] = pop(&a.warm)
		case len(a.cold) > 0:
			ids[i] = pop(&a.cold)
		default:
			ids[i] = a.next
			a.next++
		}
	}
	if a.wantsAhead() > 0 {
		a.nudge()
	}
	return nil
}

// hasRoom says whether so many pages more are allowed.
func (a *arena) hasRoom(pages int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.used+pages <= a.limit
}

func pop(s *[]uint32) uint32 {
	last := len(*s) - 1
	id := (*s)[last]
	*s = (*s)[:last]
	return id
}

// grow asks the host, every few MiB, whether it has memory left: touching
// more than it has would call the OOM killer.
func (a *arena) grow(pages int) error {
	if a.grown += pages; a.grown < growStep {
		return nil
	}
	free, err := a.available()
	if err != nil {
		return err
	}
	if free < reserve+growStep*pageSize {
		return fmt.Errorf("%w: the machine has %d bytes left", errNoMemory, free)
	}
	a.grown = 0
	return nil
}

// release gives up one hold of each of ids.
func (a *arena) release(ids []uint32) {
	if len(ids) == 0 {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range ids {
		if id == 0 {
			continue
		}
		// Whoever shares a page holds it meanwhile, so the count of a page that
		// its last holder releases cannot rise between these two.
		if c := a.count(id); c.Load() > 0 {
			c.Add(^uint32(0))
			continue
		}
		a.used--
		a.warm = append(a.warm, id)
	}
	if a.tooWarm() {
		a.nudge()
	}
}

// backed is the number of bytes that are, or will be once touched, taken from
// the host.
func (a *arena) backed() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.used + len(a.warm)
	if a.populated > a.next {
		n += int(a.populated - a.next)
	}
	return int64(n) * pageSize
}

func (a *arena) join() {
	a.mu.Lock()
	a.users++
	a.mu.Unlock()
}

// leave is called once by each user; with the last one the memory goes.
func (a *arena) leave() error {
	a.mu.Lock()
	a.users--
	last := a.users == 0
	a.mu.Unlock()
	if !last {
		return nil
	}
	if a.enough != nil {
		a.enough.Stop()
	}
	close(a.quit)
	a.done.Wait()
	return errors.Join(unix.Munmap(a.mapping), unix.Munmap(a.counts))
}
