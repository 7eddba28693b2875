package medium

import (
	"cmp"
	"slices"

	"github.com/seed-1b600011/assay/machine"
	"golang.org/x/sys/unix"
)

// keep is what goroutines of the arena's own do. They back pages with memory
// before they are needed, which is most of what the first pass over a disk costs,
// and give memory back that is free in bulk. There are two of them: in a virtual
// machine it is the host that a first touch waits for, and it serves two at once.
func (a *arena) keep() {
	canPopulate := true
	for {
		select {
		case <-a.quit:
			return
		case <-a.wake:
		}
		for canPopulate && a.populate(&canPopulate) {
			select {
			case <-a.quit:
				return
			default:
				a.nudge() // the other, if it sleeps
			}
		}
		a.nowPrepared()
		a.withdraw()
		a.giveBack()
	}
}

func (a *arena) nowPrepared() {
	a.mu.Lock()
	defer a.mu.Unlock()
	select {
	case <-a.prepared:
	default:
		close(a.prepared)
	}
}

// unready ends the time for which memory was kept ready.
func (a *arena) unready() {
	a.mu.Lock()
	a.ready = 0
	a.mu.Unlock()
	a.nudge()
}

func (a *arena) nudge() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// wantsAhead is how many pages should be backed now, in whole huge pages. A
// disk that holds little gets none: a test may make hundreds of them.
func (a *arena) wantsAhead() int {
	if a.grown > growStep {
		return 0 // the host has nothing left
	}
	if from := int(max(a.next, a.populated)); from < a.ready {
		return a.ready - from
	}
	if int(a.next) < 2*minAhead || len(a.warm)+len(a.cold) > 0 {
		return 0
	}
	ahead := min(max(int(a.next)/32, minAhead), maxAhead)
	if int(a.populated) >= int(a.next)+ahead/2 {
		return 0
	}
	from := max(a.next, a.populated)
	const perHuge = hugeSize / pageSize
	to := (int(a.next) + ahead + perHuge - 1) / perHuge * perHuge
	return max(0, min(to, a.limit)-int(from))
}

// populate backs one huge page ahead; false: nothing more to do.
func (a *arena) populate(can *bool) bool {
	a.mu.Lock()
	n := min(a.wantsAhead(), hugeSize/pageSize)
	from := max(a.next, a.populated)
	if n == 0 || a.grow(n) != nil { // alloc will see the same, and tell
		a.mu.Unlock()
		return false
	}
	a.populated = from + uint32(n)
	a.populates++
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		a.populates--
		a.mu.Unlock()
	}()
	// It changes no content, so it does not matter if the pages are handed out
	// and written meanwhile.
	if unix.Madvise(a.mem[int(from)*pageSize:(int(from)+n)*pageSize], unix.MADV_POPULATE_WRITE) != nil {
		*can = false // before Linux 5.14
		a.mu.Lock()
		a.populated = min(a.populated, max(from, a.next))
		a.ready = 0
		a.mu.Unlock()
		return false
	}
	return true
}

// withdraw gives memory back that was made ready and not used. The lock keeps
// whoever allocates away from pages that are about to be empty again.
func (a *arena) withdraw() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.ready == 0 && a.populates == 0 && int(a.populated) > int(a.next)+maxAhead {
		n := min(int(a.populated)-int(a.next)-maxAhead, hugeSize/pageSize)
		from := int(a.populated) - n
		if discardMemory(a.mem[from*pageSize:int(a.populated)*pageSize]) != nil {
			return
		}
		a.populated = uint32(from)
		a.mu.Unlock() // let others in
		a.mu.Lock()
	}
}

// spare is how many free pages keep their memory, for the next writes: up to
// a sixth of what is used.
func (a *arena) spare() int { return max(minFree, a.used/6) }

func (a *arena) tooWarm() bool { return len(a.warm) > a.spare()+minFree/2 && !a.keepsAll }

// giveBack returns memory of free pages to the kernel where it is too much, in
// runs as long as possible: a part of a huge page is freed only when the kernel
// gets round to splitting it.
func (a *arena) giveBack() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.tooWarm() {
		return
	}
	// High ones first, so that low ones are handed out first: what is taken and
	// put meanwhile is at the end and leaves the beginning in order.
	slices.SortFunc(a.warm, func(x, y uint32) int { return cmp.Compare(y, x) })
	for len(a.warm) > a.spare() {
		out := slices.Clone(a.warm[:min(len(a.warm)-a.spare(), maxTransit)])
		a.warm = slices.Delete(a.warm, 0, len(out))
		a.mu.Unlock()
		err := a.forget(out)
		a.mu.Lock()
		if err != nil {
			a.warm = append(a.warm, out...)
			a.keepsAll = true
			return
		}
		a.cold = append(a.cold, out...)
	}
}

// forget gives the memory of pages back, which are in falling order.
func (a *arena) forget(ids []uint32) error {
	for i := 0; i < len(ids); {
		j := i + 1
		for j < len(ids) && ids[j] == ids[j-1]-1 {
			j++
		}
		if err := discardMemory(a.mem[int(ids[j-1])*pageSize : (int(ids[i])+1)*pageSize]); err != nil {
			return err
		}
		i = j
	}
	return nil
}

// discardMemory gives memory back to the kernel. Locked memory has a call of
// its own, since Linux 5.18; before that it stays.
func discardMemory(b []byte) error {
	if unix.Madvise(b, unix.MADV_DONTNEED) == nil {
		return nil
	}
	return unix.Madvise(b, unix.MADV_DONTNEED_LOCKED)
}

// hostMemory is how many bytes can be had where this process is.
func hostMemory() (int64, error) { return machine.AvailableMemory(false) }
