package scenario

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"sync"
)

// Executor does the tasks of a plan, in any order and place. It returns when
// all are done, or with the first error after the others have ended.
type Executor interface {
	Execute(ctx context.Context, p *Plan, tasks iter.Seq[Task], do func(context.Context, Task) error) error
}

// Local is the Executor of this process: as many goroutines as the plan's
// concurrency.
type Local struct{}

// Execute does the tasks.
func (Local) Execute(ctx context.Context, p *Plan, tasks iter.Seq[Task], do func(context.Context, Task) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan Task)
	var workers sync.WaitGroup
	for range p.Concurrency {
		workers.Go(func() {
			for t := range queue {
				if err := safely(func() error { return do(ctx, t) }); err != nil {
					cancel(err)
				}
			}
		})
	}
	for t := range tasks {
		select {
		case queue <- t:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
	}
	close(queue)
	workers.Wait()
	return context.Cause(ctx)
}

// PanicError is a panic of a test, a fault or a check, caught: it broke, and
// what it would have said is not known.
type PanicError struct {
	Value any
	Stack []byte
}

// Error is the value and the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.Value, e.Stack) }

// safely runs what others have written. A panic of theirs is an error of the
// test or check that made it, and must not take the clean-up with it.
func safely(run func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
	}()
	return run()
}

// errRoundEnded is the cause with which a fault that ends a round ends the tests.
var errRoundEnded = errors.New("a fault has ended the round")
