package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/verdict"
)

// round is one drive, heal and judge. more: a fault has ended the round and
// will act again.
func (run *run) round(ctx context.Context) (more bool, err error) {
	ended, err := run.drive(ctx)
	if cause := context.Cause(ctx); cause != nil {
		return false, run.why(cause)
	}
	run.broke(err) // a test that broke does not keep the checks from finding
	if err := run.intact(ctx); err != nil {
		return false, err // it could not be healed, and nothing it showed would count
	}
	if err := run.heal(ctx); err != nil {
		return false, errors.Join(run.intact(ctx), err)
	}
	if err := run.intact(ctx); err != nil {
		return false, err
	}
	if err := run.judge(ctx); err != nil {
		return false, err
	}
	if cause := context.Cause(ctx); cause != nil {
		return false, run.why(cause)
	}
	return err == nil && ended && run.goesOn(), nil
}

// goesOn is whether a fault that ends rounds will act again.
func (run *run) goesOn() bool {
	return slices.ContainsFunc(run.faults, func(f *schedule) bool { return f.use.Fault.EndsRound() && f.pending() })
}

func (run *run) heal(ctx context.Context) error {
	run.enter(verdict.Heal, 0)
	for _, l := range run.all() {
		if err := l.Heal(ctx); err != nil {
			return fmt.Errorf("heal %s: %w", l.Name(), err)
		}
	}
	if err := run.endOthers(); err != nil {
		return err
	}
	return run.env.History.Sync()
}

// endOthers ends the round of the targets that no fault has ended it of, where
// one has ended it of another.
func (run *run) endOthers() error {
	run.mu.Lock()
	ended := run.ended
	run.ended = map[Live]bool{}
	run.mu.Unlock()
	for _, l := range run.all() {
		if len(ended) > 0 && !ended[l] {
			if err := run.bystander(l); err != nil {
				return err
			}
		}
	}
	return nil
}

// intact asks every target whether all of assay's own below it is whole. Where
// it is not, what was seen of the target since it last was proves nothing.
func (run *run) intact(ctx context.Context) error {
	bound := intactBound
	if ctx.Err() != nil {
		bound = stepPatience
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), bound)
	defer cancel()
	var errs []error
	if err := run.env.History.Err(); err != nil && run.fails(nil) {
		for _, l := range run.all() {
			run.fails(l)
		}
		errs = append(errs, fmt.Errorf("the history of the run is not whole, so nothing that was seen proves anything: %w", err))
	}
	for _, l := range run.all() {
		if run.hasFailed(l) {
			continue // as was reported
		}
		if err := l.Intact(ctx); err != nil && run.fails(l) {
			errs = append(errs, fmt.Errorf("assay itself failed below %s, so what it showed proves nothing: %w", l.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// fails notes that something of assay's own below a target has failed (nil: the
// history), and reports whether that is news.
func (run *run) fails(l Live) bool {
	run.mu.Lock()
	defer run.mu.Unlock()
	news := !run.failed[l]
	run.failed[l] = true
	return news
}

func (run *run) hasFailed(l Live) bool {
	run.mu.Lock()
	defer run.mu.Unlock()
	return run.failed[l]
}

func (run *run) judge(ctx context.Context) error {
	run.enter(verdict.Judge, 0)
	judged, before := machine.Boottime(), run.env.Findings()
	defer func() {
		if run.env.Findings() > before && !run.witnessed && run.env.again == "" && context.Cause(ctx) == nil {
			run.broke(run.keepEvidence(ctx, judged))
			if run.witnessed {
				run.blamed()
			}
		}
	}()
	found := map[Live][]verdict.Finding{}
	for _, use := range run.env.Plan.Checks {
		for _, t := range run.env.Plan.aimed(use.Check.Target, use.Aim) {
			l := run.lives[use.Check.Target][t]
			run.env.Meter.Stage(use.Check.Name + " on " + l.Name())
			fs, err := run.check(ctx, use, l)
			found[l] = append(found[l], fs...)
			if err != nil && context.Cause(ctx) == nil {
				run.broke(fmt.Errorf("check %s on %s: %w", use.Check.Name, l.Name(), err))
			}
		}
	}
	// Only now is it known that what they saw is what the target showed.
	err := run.intact(ctx)
	for _, l := range run.all() {
		for _, f := range found[l] {
			if !run.hasFailed(l) {
				run.found(f)
			}
		}
	}
	return err
}

// check runs one check on one target.
func (run *run) check(ctx context.Context, use CheckUse, l Live) (found []verdict.Finding, err error) {
	run.env.Meter.Stage(use.Check.Name + " on " + l.Name())
	err = safely(func() (err error) {
		found, err = use.Check.Judge(ctx, run.env, l, use.Options)
		return err
	})
	for i := range found {
		found[i].Check = use.Check.Name
	}
	return found, err
}

func (run *run) found(f verdict.Finding) {
	run.env.findings.Add(1)
	f.Round = run.env.Round()
	run.mu.Lock()
	if run.done {
		run.mu.Unlock()
		return
	}
	f.Round = run.env.Round()
	run.kinds[f.Kind]++
	if len(run.findings) == maxFindings {
		run.dropped++
		run.mu.Unlock()
		return
	}
	run.findings = append(run.findings, f)
	run.mu.Unlock()
	run.env.event(verdict.Event{Finding: &f})
}
