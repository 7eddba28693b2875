package volume

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/scenario"
	"golang.org/x/sys/unix"
)

// A reader that is wrong about its writer, or a pair that never worked, would say
// of an honest disk what it says of one that lies. So before the first round,
// with no fault on, the commands are run once in a rehearsal: the writer until it
// has promised a line, which the reader must then find. Afterwards the file
// system is made again, and nothing of it counts: neither a line nor a round.
//
// The writer is ended there as softly as can be: SIGTERM, and SIGKILL when that
// does not end it within a few seconds. What it loses by that it would lose in
// every round, and the reader cannot be seen to agree. A writer whose change is
// half done at that moment has more than one try.
//
// In a plan in which no fault ends a round the writer must end by itself, at
// once; of one that does not, nothing is shown. Nor is it in a plan without
// faults, whose only round is what a rehearsal would be.

const (
	rehearsalBound = 30 * time.Second // for a line, or an end
	rehearsalShort = 2 * time.Second  // for an end, where no fault ends a round
	termPatience   = 3 * time.Second
	rehearsalTries = 3
)

// disagreement is what a reader said in a rehearsal, where all was kept.
type disagreement struct{ err error }

func (d disagreement) Error() string {
	return fmt.Sprintf("writer and reader do not agree before any fault: %v", d.err)
}

// Rehearse shows that the commands that are run on the volume agree with those
// that judge them, and that the readers open a sound database.
func (v *Volume) Rehearse(ctx context.Context) error {
	writers, readers := v.commandPairs()
	if len(writers) == 0 || len(readers) == 0 || len(v.env.Plan.Faults) == 0 {
		return nil
	}
	for try := 1; ; try++ {
		err := v.rehearse(ctx, writers, readers)
		if err == nil || errors.As(err, new(disagreement)) {
			for _, o := range v.all {
				if err := o.renew(ctx); err != nil {
					return fmt.Errorf("make %s again after the rehearsal of its commands: %w", o.Name(), err)
				}
			}
		}
		if !errors.As(err, new(disagreement)) || try == rehearsalTries {
			return err
		}
	}
}

// commandPairs are the commands of the plan that run on the volume, and those
// that judge it.
func (v *Volume) commandPairs() (writers []*executing, readers []*examining) {
	for _, use := range v.env.Plan.Tests {
		if o, ok := use.Options.(*executing); ok && (use.Aim.On == "" || use.Aim.On == v.Name()) {
			if o.Rehearse != nil && !*o.Rehearse {
				return nil, nil
			}
			writers = append(writers, o)
		}
	}
	for _, use := range v.env.Plan.Checks {
		if o, ok := use.Options.(*examining); ok && (use.Aim.On == "" || use.Aim.On == v.Name()) {
			readers = append(readers, o)
		}
	}
	return writers, readers
}

// rehearse runs the commands once. Where nothing was promised nothing is shown.
func (v *Volume) rehearse(ctx context.Context, writers []*executing, readers []*examining) (err error) {
	var p promises
	if err := p.open(v.env.Dir, v.Name(), ".rehearsal"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	ends := slices.ContainsFunc(v.env.Plan.Faults, func(f scenario.FaultUse) bool { return f.Fault.EndsRound() })
	for i, w := range writers {
		more, err := v.rehearseWriter(ctx, w, &p, ends, i == len(writers)-1)
		if err != nil || !more {
			return err
		}
	}
	path, err := p.all()
	if err != nil || p.count() == 0 {
		return err
	}
	for _, o := range v.all {
		if err := o.Heal(ctx); err != nil {
			return err
		}
	}
	for _, o := range readers {
		a, err := v.hearReader(ctx, *o, path, p.count())
		if err != nil {
			return err
		}
		j := v.judgedBy(*o)
		broken, err := a.broken(false)
		switch {
		case err != nil:
			return disagreement{fmt.Errorf("%s %w", o.Command[0], err)}
		case len(broken) > 0:
			return disagreement{fmt.Errorf("%s promised %d lines, the last %q, and was ended; the volume was unmounted and mounted again, and %s said: %s", writers[len(writers)-1].Command[0], p.count(), p.last, o.Command[0], excerpt(broken[0].all))}
		}
		j.opens = a.opened
	}
	return nil
}

// rehearseWriter runs a writer until it has ended, or has promised a line if it
// is the last. more is false where what is there proves nothing.
func (v *Volume) rehearseWriter(ctx context.Context, w *executing, p *promises, mayEnd, last bool) (more bool, err error) {
	bound := rehearsalBound
	if !mayEnd {
		bound = rehearsalShort
	}
	bounded, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	c, err := v.start(order{Args: w.Command})
	if err != nil {
		return false, err
	}
	defer c.over()
	promised := make(chan struct{}, 1)
	heard := make(chan error, 1)
	go func() {
		heard <- c.listen(func(line []byte) error {
			select {
			case promised <- struct{}{}:
			default:
			}
			return p.add(line)
		})
	}()
	var enough <-chan struct{}
	if last && mayEnd {
		enough = promised
	}
	select {
	case <-c.child.Done():
		if err := c.await(ctx, heard); err != nil {
			return false, err
		}
		return true, c.failed(w.Command[0])
	case err := <-heard:
		if err != nil {
			return false, errors.Join(err, c.kill(context.WithoutCancel(ctx)))
		}
		heard <- nil
		select {
		case <-c.child.Done():
			return true, c.failed(w.Command[0])
		case <-bounded.Done():
		}
	case <-enough:
		c.terminate(bounded)
		more = true
	case <-bounded.Done():
	}
	if err := c.kill(context.WithoutCancel(ctx)); err != nil {
		return false, err
	}
	if ctx.Err() != nil {
		c.interrupted(w.Command, " in a rehearsal"+p.words())
	}
	more = more || last && mayEnd && p.count() > 0
	if !more && mayEnd && ctx.Err() == nil {
		v.env.Say(fmt.Sprintf("%s: %s has neither promised a line nor ended within %v: that writer and reader agree was not shown before the first fault", v.Name(), w.Command[0], bound))
	}
	return more, errors.Join(context.Cause(ctx), <-heard)
}

// terminate asks the command and all that it has started to end, and waits for
// that a little.
func (c *command) terminate(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, termPatience)
	defer cancel()
	c.child.SignalBelow(unix.SIGTERM)
	select {
	case <-c.child.Done():
	case <-ctx.Done():
	}
}

// renew makes the volume as it was when nothing had been done to it.
func (v *Volume) renew(ctx context.Context) error {
	if v.device == "" && v.disk == nil {
		if err := v.empty(ctx); err != nil {
			return err
		}
		if err := v.kill(ctx); err != nil {
			return err
		}
		return v.begin(ctx)
	}
	if err := v.kill(ctx); err != nil {
		return err
	}
	if err := v.unmount(ctx, false); err != nil {
		return err
	}
	v.mu.Lock()
	v.broken = nil
	v.mu.Unlock()
	if err := machine.AwaitFree(ctx, v.Device()); err != nil {
		return err
	}
	err := v.format(ctx)
	v.forget()
	v.surveyed = true // there is nothing
	return err
}
