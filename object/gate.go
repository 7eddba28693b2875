package object

import (
	"context"
	"errors"
	"sync"
	"time"
)

// gate is what the operations of tests pass. An operation is never repeated:
// what became of it is in the history. So while the store is away, operations
// are held back: one at a time is let through, to see whether it has come back,
// and the others wait. The zero value lacks its channel: see newStanding.
type gate struct {
	mu       sync.Mutex
	failures int           // of those let through one by one; 0: the gate is open
	trying   bool          // one is under way
	changed  chan struct{} // closed, and replaced, when one of these has changed
}

// leave is that of one operation to begin, which ends with passed or pardoned.
type leave struct {
	alone bool // it is the one that sees whether the store is back
	began time.Time
}

// pass waits until an operation may begin.
func (s *standing) pass(ctx context.Context) (leave, error) {
	s.enter()
	g := &s.gate
	g.mu.Lock()
	for g.failures > 0 && g.trying {
		changed := g.changed
		g.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			s.exit()
			return leave{}, context.Cause(ctx)
		}
		g.mu.Lock()
	}
	failures := g.failures
	g.trying = failures > 0
	g.mu.Unlock()
	if failures == 0 {
		return leave{began: time.Now()}, nil
	}
	if err := s.pause(ctx, failures); err != nil {
		g.set(func() { g.trying = false })
		s.exit()
		return leave{}, err
	}
	return leave{alone: true, began: time.Now()}, nil
}

// passed ends an operation that pass let through. The error is the end of
// patience, with which the test ends.
func (s *standing) passed(ctx context.Context, l leave, failure error) error {
	defer s.exit()
	g := &s.gate
	kind := answerOf(failure)
	if failure == nil || ctx.Err() == nil { // else it says nothing of the store
		s.answered(failure, l.began)
	}
	g.set(func() {
		switch {
		case kind == telling:
			g.failures = 0
		case l.alone:
			g.failures++
		default: // many may fail at once, and that is one reason to wait
			g.failures = max(g.failures, 1)
		}
		if l.alone {
			g.trying = false
		}
	})
	if kind == telling {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := s.dead(); err != nil {
		return err
	}
	if after := s.away(); after >= s.bound(kind) || s.inVain() {
		s.spend(time.Now())
		return &errAway{s.place, kind, after, failure}
	}
	return nil
}

// pardoned ends an operation while a fault is on, under which the store may
// fail as it likes.
func (s *standing) pardoned(l leave) {
	defer s.exit()
	s.forgive()
	s.gate.set(func() {
		s.gate.failures = 0
		if l.alone {
			s.gate.trying = false
		}
	})
}

func (g *gate) set(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
	close(g.changed)
	g.changed = make(chan struct{})
}

// isAway reports whether patience with a store has ended.
func isAway(err error) bool {
	var away *errAway
	return errors.As(err, &away)
}
