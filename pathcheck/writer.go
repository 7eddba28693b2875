package pathcheck

import (
	"errors"
	"io"
	"sync"
	"time"
)

// ErrUnread is the end of a service whose events nobody reads.
var ErrUnread = errors.New("pathcheck: the parent has not read an event for 2 s")

const (
	unreadFor = 2 * time.Second // before a reader that does not read is given up
	mostLines = 100_000         // that wait; of the log there may be as many
)

// writer writes line after line to someone who may not read, and holds up
// nobody meanwhile.
type writer struct {
	stuck  chan struct{} // closed when a write takes longer than unreadFor
	failed chan error    // gets the error of a write, once
	done   chan struct{} // closed when all is written, or will never be

	mu      sync.Mutex
	ready   sync.Cond // there is something to write, or there will be nothing more
	lines   []string
	bounded bool // lines beyond mostLines are dropped; otherwise unreadFor bounds them
	ended   bool
}

// newWriter gives one; w may be nil.
func newWriter(w io.Writer, bounded bool) *writer {
	if w == nil {
		w = io.Discard
	}
	o := &writer{stuck: make(chan struct{}), failed: make(chan error, 1), done: make(chan struct{}), bounded: bounded}
	o.ready.L = &o.mu
	go o.run(w)
	return o
}

func (o *writer) put(line string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ended && !(o.bounded && len(o.lines) >= mostLines) {
		o.lines = append(o.lines, line)
		o.ready.Signal()
	}
}

func (o *writer) run(w io.Writer) {
	defer close(o.done)
	late := time.AfterFunc(time.Hour, sync.OnceFunc(func() { close(o.stuck) }))
	defer late.Stop()
	for {
		late.Stop()
		lines := o.take()
		if len(lines) == 0 {
			return
		}
		for _, line := range lines { // each in a write of its own, so that a pipe never holds a part of one
			late.Reset(unreadFor)
			if _, err := io.WriteString(w, line); err != nil {
				o.failed <- err
				o.stop()
				return
			}
		}
	}
}

// take waits for lines; none: there will be no more.
func (o *writer) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.lines) == 0 && !o.ended {
		o.ready.Wait()
	}
	lines := o.lines
	o.lines = nil
	return lines
}

// stop takes no more lines.
func (o *writer) stop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended = true
	o.ready.Signal()
}

// flush ends when all that came is written, or nobody reads it.
func (o *writer) flush(patience time.Duration) error {
	o.stop()
	select {
	case <-o.done:
		select {
		case err := <-o.failed:
			return err
		default:
			return nil
		}
	case <-o.stuck:
	case <-time.After(patience):
	}
	return ErrUnread
}
