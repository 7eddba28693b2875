package worker

import (
	"fmt"
	"sync"
	"unsafe"
)

// buffers are memory for reads and writes, aligned for O_DIRECT, used again.
type buffers struct {
	mu   sync.Mutex
	free map[int][][]byte
}

// get gives at least n bytes.
func (b *buffers) get(n int) []byte {
	size := (max(n, 1) + alignment - 1) / alignment * alignment
	b.mu.Lock()
	if list := b.free[size]; len(list) > 0 {
		p := list[len(list)-1]
		b.free[size] = list[:len(list)-1]
		b.mu.Unlock()
		return p
	}
	b.mu.Unlock()
	p := make([]byte, size+alignment)
	skip := -int(uintptr(unsafe.Pointer(&p[0]))) & (alignment - 1)
	return p[skip : skip+size : skip+size]
}

func (b *buffers) put(p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.free == nil {
		b.free = map[int][][]byte{}
	}
	if list := b.free[len(p)]; len(list) < keptBuffers {
		b.free[len(p)] = append(list, p)
	}
}

const keptBuffers = 64 // of one size

func procPath(fd int) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }
