package worker

import (
	"io"
	"sync"
)

// pipe sends frames that several goroutines make, as many in one write as have
// come together, so that what is busy costs few system calls. A reader that
// does not read holds up the goroutine that writes and nobody else.
type pipe struct {
	w    io.Writer
	wake chan struct{}

	mu      sync.Mutex
	pending []byte
	closed  bool
}

func newPipe(w io.Writer) *pipe { return &pipe{w: w, wake: make(chan struct{}, 1)} }

// put adds a frame.
func (p *pipe) put(frame func(b []byte) []byte) {
	p.mu.Lock()
	if !p.closed {
		p.pending = frame(p.pending)
	}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run writes until close, or a write fails.
func (p *pipe) run() {
	var out []byte
	for range p.wake {
		p.mu.Lock()
		out, p.pending = p.pending, out[:0]
		closed := p.closed
		p.mu.Unlock()
		if len(out) > 0 {
			if _, err := p.w.Write(out); err != nil {
				p.close()
				return
			}
		}
		if closed {
			return
		}
	}
}

// close lets run end once it has written what was put before.
func (p *pipe) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
