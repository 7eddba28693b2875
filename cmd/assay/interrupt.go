package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/seed-1b600011/assay/scenario"
)

// endWithin is how long a run goes on after a signal at most. The run itself
// ends a second earlier, and says what was under way.
const endWithin = 10 * time.Second

// interruptible gives a context that the first SIGINT or SIGTERM ends. The
// second ends the process at once, and so does time, where the command runs
// scenarios; assay clean does what is left then.
func interruptible(line []string) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	i := interruption{signals: make(chan os.Signal, 2), cancel: cancel, exit: os.Exit}
	i.tell = func(message string) { fmt.Fprintln(os.Stderr, message) }
	switch {
	case len(line) == 0:
	case line[0] == "pathcheck": // its standard error is its parent's, and what that may hold is in the protocol
		i.tell = func(string) {}
	case line[0] == "run" || line[0] == "selftest":
		i.within = endWithin
	}
	signal.Notify(i.signals, syscall.SIGINT, syscall.SIGTERM)
	go i.await()
	return ctx, func() { signal.Stop(i.signals); close(i.signals); cancel(nil) }
}

// interruption is what signals do to a command.
type interruption struct {
	signals chan os.Signal
	cancel  context.CancelCauseFunc
	within  time.Duration // after which the process ends; 0: it has all the time that it takes
	exit    func(int)
	tell    func(string)
}

// await waits for signals until their channel is closed.
func (i interruption) await() {
	if _, ok := <-i.signals; !ok {
		return
	}
	i.tell("\nassay: interrupted, cleaning up (once more ends it at once; assay clean does the rest)")
	i.cancel(scenario.ErrInterrupted)
	var late <-chan time.Time
	if i.within > 0 {
		late = time.After(i.within)
	}
	select {
	case _, ok := <-i.signals:
		if ok {
			i.exit(exitInconclusive)
		}
	case <-late:
		i.tell(fmt.Sprintf("assay: not done %v after it was interrupted: ended; assay clean does the rest", i.within))
		i.exit(exitInconclusive)
	}
}
