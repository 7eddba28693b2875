package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-1b600011/assay/verdict"
)

// How long a run goes on after its context has ended: together less than the ten
// seconds within which a timeout, SIGINT and SIGTERM end a run.
const (
	stepPatience = 3 * time.Second // that a step gets to return
	endPatience  = 6 * time.Second // after which cleaning is a step that should return
)

var errCleaning = errors.New("the time for cleaning was over")

// patiently does a step of a run. It should return soon after ctx has ended; if
// it does not within stepPatience it is left to itself, so that nothing that a
// target, a test or a check does keeps a run from its end. late gets what the
// step gives then, if it ever does.
func patiently[T any](ctx context.Context, run *run, what string, step func() (T, error), late func(T)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		r.err = safely(func() (err error) { r.value, err = step(); return err })
		done <- r
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
	}
	patience := time.NewTimer(stepPatience)
	defer patience.Stop()
	select {
	case r := <-done:
		return r.value, r.err
	case <-patience.C:
	}
	left := make(chan struct{})
	run.left = left
	go func() {
		defer close(left)
		if r := <-done; late != nil {
			late(r.value)
		}
	}()
	var none T
	return none, fmt.Errorf("%w, and after %v more %s had not ended: it was left to itself", run.why(context.Cause(ctx)), stepPatience, what)
}

// patientRound does the next round; see patiently.
func (run *run) patientRound(ctx context.Context) (more bool, err error) {
	return patiently(ctx, run, "a round", func() (bool, error) { return run.round(ctx) }, nil)
}

// patientPrepare makes the targets of a kind; see patiently.
func (run *run) patientPrepare(ctx context.Context, kind string) ([]Live, error) {
	return patiently(ctx, run, "the preparation of "+kind,
		func() ([]Live, error) { return run.Registry.targets[kind].Prepare(ctx, run.env) }, closeLate(ctx))
}

// closeLate closes targets that were prepared when the run had given them up.
func closeLate(ctx context.Context) func([]Live) {
	return func(lives []Live) {
		for _, l := range slices.Backward(lives) {
			_ = l.Close(context.WithoutCancel(ctx)) // the ledger names what stays
		}
	}
}

// clean closes the targets, the last prepared first, whatever has happened. It
// takes cleanPatience at most, and once ctx has ended no more than is left until
// endPatience after that.
func (run *run) clean(ctx context.Context) {
	run.enter(verdict.Clean, 0)
	patient, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), cleanPatience, errCleaning)
	defer cancel()
	clean, end := context.WithCancelCause(patient)
	defer end(nil)
	defer context.AfterFunc(ctx, func() {
		select {
		case <-time.After(endPatience):
			end(errCleaning)
		case <-clean.Done():
		}
	})()
	left := run.left
	_, err := patiently(clean, run, "cleaning", func() (struct{}, error) { return struct{}{}, run.closeAll(clean) }, nil)
	run.broke(err)
	if left != nil {
		select {
		case <-left:
		case <-clean.Done():
		}
	}
}

func (run *run) closeAll(ctx context.Context) error {
	var errs []error
	for _, l := range slices.Backward(run.all()) {
		if err := l.Close(ctx); err != nil {
			errs = append(errs, fmt.Errorf("clean %s: %w", l.Name(), err))
		}
	}
	return errors.Join(errs...)
}

// end closes the run to what was left to itself: what that finds or breaks from
// now on is no part of the outcome.
func (run *run) end() {
	run.mu.Lock()
	defer run.mu.Unlock()
	run.done = true
}
