package pressure

import (
	"context"
	"sync"
)

// turn lets one Set at a time work, the latest. The zero turn is ready.
type turn struct {
	mu     sync.Mutex
	cancel context.CancelCauseFunc // of who works or waits to
	work   sync.Mutex
	ended  bool
	last   int64 // numbers who has asked
}

// take ends whoever is at work and waits for that. done must follow.
func (t *turn) take(ctx context.Context) (mine context.Context, done func(), err error) {
	mine, cancel := context.WithCancelCause(ctx)
	t.mu.Lock()
	if err = context.Cause(ctx); err == nil && t.ended {
		err = ErrClosed
	}
	if err != nil { // who has been told to stop ends nobody else
		t.mu.Unlock()
		cancel(nil)
		return nil, nil, err
	}
	if t.cancel != nil {
		t.cancel(ErrSuperseded)
	}
	t.cancel = cancel
	t.last++
	number := t.last
	t.mu.Unlock()

	t.work.Lock()
	done = func() {
		t.work.Unlock()
		t.mu.Lock()
		if t.last == number {
			t.cancel = nil
		}
		t.mu.Unlock()
		cancel(nil)
	}
	if err := context.Cause(mine); err != nil {
		done()
		return nil, nil, err
	}
	return mine, done, nil
}

// busy is whether anybody works or waits to.
func (t *turn) busy() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.cancel != nil
}

// close ends whoever is at work, waits for that, lets nobody begin again, and
// then does what is to be done last.
func (t *turn) close(last func() error) error {
	t.mu.Lock()
	t.ended = true
	if t.cancel != nil {
		t.cancel(ErrClosed)
	}
	t.mu.Unlock()
	t.work.Lock()
	defer t.work.Unlock()
	return last()
}
