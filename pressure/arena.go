package pressure

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// arena is a range of addresses of which the beginning has memory behind it.
// The rest is reserved and costs nothing (PROT_NONE, MAP_NORESERVE).
type arena struct {
	all  unsafe.Pointer // as it was mapped
	size uintptr
	base unsafe.Pointer // at the border of a huge page
	room int64          // from base on
	end  int64          // of what has memory
}

// hugePage is the size of the huge pages of x86-64 and arm64 with pages of
// 4 KiB. Elsewhere it is only the grain in which memory grows.
const hugePage = 2 << 20

func pageSize() int64 { return int64(os.Getpagesize()) }

func up(n, to int64) int64   { return (n + to - 1) / to * to }
func down(n, to int64) int64 { return n / to * to }

func newArena(room int64) (*arena, error) {
	room = up(room, hugePage)
	size := uintptr(room + hugePage)
	p, err := unix.MmapPtr(-1, 0, nil, size, unix.PROT_NONE, reserved)
	if err != nil {
		return nil, fmt.Errorf("pressure: reserve %d bytes of addresses: %w", room, err)
	}
	skip := uintptr(up(int64(uintptr(p)), hugePage)) - uintptr(p)
	return &arena{all: p, size: size, base: unsafe.Add(p, skip), room: room}, nil
}

const reserved = unix.MAP_PRIVATE | unix.MAP_ANON | unix.MAP_NORESERVE

// bytes are those from one offset to another, which must have memory.
func (a *arena) bytes(from, to int64) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(a.base, from)), to-from)
}

func (a *arena) advise(from, to int64, advice uintptr) error {
	if from >= to {
		return nil
	}
	_, _, errno := unix.Syscall(unix.SYS_MADVISE, uintptr(unsafe.Add(a.base, from)), uintptr(to-from), advice)
	if errno != 0 {
		return errno
	}
	return nil
}

// grow makes what is below end usable; it is touched by who fills it. Only
// whole huge pages are asked for as such: a part of one would take all of it.
func (a *arena) grow(end int64) error {
	from := a.end
	_, _, errno := unix.Syscall(unix.SYS_MPROTECT, uintptr(unsafe.Add(a.base, from)), uintptr(end-from), unix.PROT_READ|unix.PROT_WRITE)
	if errno != 0 {
		return errno // under strict overcommit: ENOMEM
	}
	first, last := min(up(from, hugePage), end), max(down(end, hugePage), from)
	// A kernel without huge pages refuses the advice, and there is nothing to advise.
	_ = a.advise(first, last, unix.MADV_HUGEPAGE)
	_ = a.advise(from, first, unix.MADV_NOHUGEPAGE)
	_ = a.advise(max(last, first), end, unix.MADV_NOHUGEPAGE)
	a.end = end
	return nil
}

// shrink gives the memory from end on back to the kernel, at once: new,
// empty addresses are mapped over it. A huge page that is cut in the middle
// would keep all of its memory until the kernel comes to split it, so it goes
// whole, and end is then below what was asked for: the caller grows it again.
func (a *arena) shrink(end int64) error {
	end = down(end, hugePage)
	if end >= a.end {
		return nil
	}
	_, err := unix.MmapPtr(-1, 0, unsafe.Add(a.base, end), uintptr(a.end-end), unix.PROT_NONE, reserved|unix.MAP_FIXED)
	if err != nil {
		return fmt.Errorf("pressure: give back %d bytes: %w", a.end-end, err)
	}
	a.end = end
	return nil
}

func (a *arena) lock(from, to int64) error {
	if from >= to {
		return nil
	}
	_, _, errno := unix.Syscall(unix.SYS_MLOCK, uintptr(unsafe.Add(a.base, from)), uintptr(to-from), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func (a *arena) unlock() error {
	if a.end == 0 {
		return nil
	}
	_, _, errno := unix.Syscall(unix.SYS_MUNLOCK, uintptr(a.base), uintptr(a.end), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func (a *arena) close() error { return unix.MunmapPtr(a.all, a.size) }
