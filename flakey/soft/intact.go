package soft

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"
)

// Whether a disk is intact is asked of three that know it: the kernel, which
// tells a parent what has become of its child; the daemon, which knows of its
// keeper, its memory, its recording and its connections; and the daemon's being
// there to answer. Each failure is known to one of them before a request on the
// device has failed for it:
//
//   - memory that is used up and a recording that cannot be written are noted
//     before the request is answered with an error;
//   - a connection that was aborted is shut in the kernel before its requests end;
//   - a daemon that was killed has lost its socket, or loses it together with
//     its connections; one that ends because its keeper has is closed first.

// intact says what has failed of the disk itself. It takes no lock that a
// request may hold for long.
func (s *server) intact() *intact {
	s.mu.Lock()
	failed, plugs := slices.Clone(s.failed), append(slices.Clone(s.clones), s.now)
	if s.ended {
		failed = append(failed, errEnded)
	}
	s.mu.Unlock()
	if err := s.keeper.child.Intact(); err != nil {
		failed = append(failed, fmt.Errorf("its keeper: %w", err))
	}
	for _, p := range plugs {
		if err := p.medium.Broken(); err != nil {
			failed = append(failed, err)
		}
		if p.connection.aborted() {
			failed = append(failed, fmt.Errorf("the connection that serves %s was aborted", p.path()))
		}
	}
	if r := s.current().medium.Recorder(); r != nil && r.Err() != nil {
		failed = append(failed, r.Err())
	}
	a := &intact{PID: os.Getpid()}
	if err := errors.Join(failed...); err != nil {
		a.Broken = err.Error()
	}
	return a
}

// note keeps an error that is not the client's, and gives it back.
func (s *server) note(err error) error {
	if err != nil {
		s.mu.Lock()
		s.failed = append(s.failed, err)
		s.mu.Unlock()
	}
	return err
}

const (
	// intactBound is how long a daemon is waited for that lives, is not stopped
	// and does not answer.
	intactBound = 60 * time.Second
	// endingBound is how long one that cannot be reached may take to end, so
	// that it can be told how: what it waits for at its end is bounded by letGo.
	endingBound = letGo + 7*time.Second
)

// Intact asks whether the disk is what it is taken for. See flakey.Disk. After
// Close it says what it said before.
func (d *Disk) Intact(ctx context.Context) error {
	d.mu.Lock()
	broken, closed := d.broken, d.closed
	d.mu.Unlock()
	if broken != nil || closed {
		return broken
	}
	err := d.look(ctx)
	if err == nil {
		return nil
	}
	err = fmt.Errorf("the breakable disk %q: %w", d.name, err)
	if errors.Is(err, errUnanswered) {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken == nil {
		d.broken = err
	}
	return d.broken
}

// errUnanswered is the error of a question that the asker did not wait out.
var errUnanswered = errors.New("whether it is intact was not answered")

// look asks the daemon, and meanwhile looks at its process.
func (d *Disk) look(ctx context.Context) error {
	asking, cancel := context.WithTimeout(ctx, intactBound)
	defer cancel()
	answered := make(chan error, 1)
	go func() { answered <- d.ask(asking) }()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-answered:
			// What befell the process explains what the daemon said, or did not.
			if fate := d.fate(); fate != nil {
				return fate
			}
			if err != nil && ctx.Err() != nil {
				return fmt.Errorf("%w: %w", errUnanswered, context.Cause(ctx))
			}
			return err
		case <-tick.C:
			if err := d.fate(); err != nil {
				return err
			}
		}
	}
}

// fate is what has happened to the daemon's process.
func (d *Disk) fate() error {
	if d.child != nil {
		if err := d.child.Intact(); err != nil {
			return fmt.Errorf("its daemon: %w", err)
		}
		return nil
	}
	if state(d.pid) == 'T' {
		return fmt.Errorf("its daemon: process %d is stopped (SIGSTOP)", d.pid)
	}
	return nil
}

// ask asks until there is an answer.
func (d *Disk) ask(ctx context.Context) error {
	for began := time.Now(); ; {
		a, err := d.exchange(ctx, request{Op: opIntact})
		switch {
		case err == nil && a.Intact != nil && a.Intact.Broken != "":
			return errors.New(a.Intact.Broken)
		case err == nil && a.Intact != nil && a.Intact.PID != d.pid:
			return fmt.Errorf("process %d answers for it, and its daemon was process %d", a.Intact.PID, d.pid)
		case err == nil && a.Intact != nil:
			return nil
		case err == nil && a.Refused:
			return errors.New(a.Error)
		case err == nil:
			err = errors.New(a.Error) // it did not get to it
		case unreachable(err) && time.Since(began) > endingBound:
			return fmt.Errorf("its daemon cannot be reached: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("its daemon does not answer within %v: %w", intactBound, err)
		case <-time.After(lookEvery / 5):
		}
	}
}

// unreachable reports whether no process listens for a disk.
func unreachable(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ENOENT)
}
