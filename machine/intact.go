package machine

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// asked is what this process has asked of a child, so that what it did not ask
// for can be told from it.
type asked struct {
	mu          sync.Mutex
	end, kill   bool // to end; by SIGKILL
	frozen      bool // stopped now
	everStopped bool
}

// Intact returns an error if something has happened to the child that this
// process did not ask for: it has ended or was killed, it is stopped, or it was
// stopped for a time. The error says what, beginning with the process. Once it
// is not nil it stays so. It waits for nothing but the burial of a child that
// has just died, 5 s at most.
//
// That a child was stopped and has gone on is known from the kernel, which keeps
// that for the parent until it asks (waitid(2), WCONTINUED); a child that Freeze
// has stopped before hides a later stop by others once that is over.
func (c *Child) Intact() error {
	var now unix.Siginfo
	err := waitid(c.PID(), unix.WEXITED|unix.WSTOPPED|unix.WCONTINUED, &now)
	if errors.Is(err, unix.ECHILD) || err == nil && (ended(now.Code) || mainThread(c.PID()) == 'Z') {
		return c.dead()
	}
	if err != nil {
		return fmt.Errorf("machine: waitid of process %d: %w", c.PID(), err)
	}
	c.asked.mu.Lock()
	defer c.asked.mu.Unlock()
	switch {
	case now.Code == cldStopped && !c.asked.frozen && !c.asked.kill:
		return fmt.Errorf("process %d is stopped (SIGSTOP)", c.PID())
	case now.Code == cldContinued && !c.asked.everStopped:
		return fmt.Errorf("process %d was stopped (SIGSTOP) for a time", c.PID())
	}
	return nil
}

// dead is Intact of a child that has ended or is about to: its main thread has.
func (c *Child) dead() error {
	if c.await(context.Background(), endPatience) {
		return c.unasked()
	}
	c.asked.mu.Lock()
	defer c.asked.mu.Unlock()
	if c.asked.end {
		return nil
	}
	return fmt.Errorf("process %d has ended, but for a thread that hangs in the kernel", c.PID())
}

// Codes of SIGCHLD, sigaction(2).
const (
	cldExited    = 1
	cldKilled    = 2
	cldDumped    = 3
	cldStopped   = 5
	cldContinued = 6
)

func ended(code int32) bool { return code == cldExited || code == cldKilled || code == cldDumped }

// waitid looks at the state of a child without changing it.
func waitid(pid, states int, info *unix.Siginfo) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, info, states|unix.WNOHANG|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// unasked is how a child that has ended did so, where that was not asked for.
// One that was asked to end may do so with any status, but not by a signal.
func (c *Child) unasked() error {
	c.asked.mu.Lock()
	end, kill := c.asked.end, c.asked.kill
	c.asked.mu.Unlock()
	status, _ := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	switch {
	case kill:
		return nil
	case status.Signaled():
		return fmt.Errorf("process %d was killed (signal %d, %v)", c.PID(), int(status.Signal()), status.Signal())
	case end:
		return nil
	}
	err := fmt.Errorf("process %d ended with status %d", c.PID(), status.ExitStatus())
	if said := c.stderr.String(); said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	var exit *exec.ExitError
	if c.err != nil && !errors.As(c.err, &exit) {
		err = errors.Join(err, c.err) // the ledger's
	}
	return err
}

// asks notes that this process ends the child, unless it has ended already.
func (c *Child) asks(kill bool) {
	var now unix.Siginfo
	if err := waitid(c.PID(), unix.WEXITED, &now); err != nil || ended(now.Code) || mainThread(c.PID()) == 'Z' {
		return
	}
	c.asked.mu.Lock()
	defer c.asked.mu.Unlock()
	c.asked.end, c.asked.kill = true, c.asked.kill || kill
}

// Freeze stops the child by SIGSTOP: it does nothing more, but what the kernel
// does for it goes on. Thaw lets it go on. Neither reaches its own children. One
// that has ended is an error that is os.ErrProcessDone.
func (c *Child) Freeze() error { return c.halt(true, unix.SIGSTOP) }

// Thaw undoes Freeze.
func (c *Child) Thaw() error { return c.halt(false, unix.SIGCONT) }

func (c *Child) halt(frozen bool, s syscall.Signal) error {
	c.asked.mu.Lock()
	defer c.asked.mu.Unlock()
	if frozen {
		c.asked.everStopped = true
	}
	c.asked.frozen = frozen
	return c.cmd.Process.Signal(s)
}
