package scenario

import (
	"context"
	"fmt"
)

// Rehearser is a Live on which the run can be tried before the first round, while
// no fault is on: an error says that what the plan does there cannot show
// anything. Afterwards the target is as Prepare made it.
type Rehearser interface {
	Rehearse(ctx context.Context) error
}

// Doer is a Live that can tell what was running on it when the run's time was
// over, for people.
type Doer interface {
	Doing() string // empty: nothing that it knows of
}

func (run *run) rehearse(ctx context.Context) error {
	for _, l := range run.all() {
		r, ok := l.(Rehearser)
		if !ok {
			continue
		}
		err := r.Rehearse(ctx)
		if cause := context.Cause(ctx); cause != nil {
			return run.why(cause)
		}
		if err != nil {
			return fmt.Errorf("rehearse on %s: %w", l.Name(), err)
		}
	}
	return nil
}

// doing is what was running on the targets, for people.
func (run *run) doing() (all string) {
	for _, l := range run.all() {
		if d, ok := l.(Doer); ok && d.Doing() != "" {
			all += "; " + l.Name() + ": " + d.Doing()
		}
	}
	return all
}
