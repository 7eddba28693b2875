package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// AdoptOrphans makes this process the one that its descendants fall to when
// their own parent ends (PR_SET_CHILD_SUBREAPER, prctl(2)): so they can be found
// below it, whatever sessions they have made and whatever they have done to
// their environment. It must then wait for them too: see AwaitAll.
func AdoptOrphans() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("machine: prctl PR_SET_CHILD_SUBREAPER: %w", err)
	}
	return nil
}

// AwaitAll waits until the command, which has been started, ends, in place of
// its Wait, and meanwhile buries every orphan that this process has adopted:
// nobody else would, and a command that leaves children behind all the time
// would use up the numbers of processes. Nobody else may wait for a child of
// this process at the same time.
func AwaitAll(cmd *exec.Cmd) (unix.WaitStatus, error) {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, fmt.Errorf("machine: wait for %s: %w", cmd.Path, err)
		case pid == cmd.Process.Pid:
			return ws, nil
		}
	}
}

// bury waits for whatever child of this process has ended.
func bury() {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		if !errors.Is(err, unix.EINTR) && (err != nil || pid <= 0) {
			return
		}
	}
}

// KillDescendants ends every process below this one by SIGKILL, those that they
// fork meanwhile too, buries them, and gives up with ctx. Nobody else may wait
// for a child of this process at the same time.
func KillDescendants(ctx context.Context) error { return killBelow(ctx, os.Getpid(), bury) }

// KillTree ends all processes below the child by SIGKILL, and then the child.
// It finds those whose parent has ended if the child has called AdoptOrphans.
// Where ctx ends before all of them have, the child is left: without it they
// would not be found again.
func (c *Child) KillTree(ctx context.Context) error {
	select {
	case <-c.done:
		return nil
	default:
	}
	if err := killBelow(ctx, c.PID(), func() {}); err != nil {
		return err
	}
	return c.Kill()
}

// KillBelow ends all processes below the child by SIGKILL and leaves the child,
// which then can bury them: what nobody has waited for is left to process 1, which
// in a container often waits for nothing.
func (c *Child) KillBelow(ctx context.Context) error {
	return killBelow(ctx, c.PID(), func() {})
}

// SignalTree sends a signal to the child and to all processes below it, each
// once, those that are forked meanwhile too. Who ends is no error.
func (c *Child) SignalTree(s unix.Signal) {
	reached := map[process]bool{}
	for range signalRounds {
		more := false
		each := func(parent int, p process) {
			if !reached[p] && p.signal(parent, s) {
				reached[p], more = true, true
			}
		}
		if self, ok := processNow(c.PID()); ok && self.parent == os.Getpid() {
			each(self.parent, self.process)
			eachBelow(c.PID(), each)
		}
		if !more {
			return
		}
	}
}

// SignalBelow is SignalTree without the child itself.
func (c *Child) SignalBelow(s unix.Signal) {
	eachBelow(c.PID(), func(parent int, p process) { p.signal(parent, s) })
}

// signalRounds is how often SignalTree looks for those that were forked since:
// who forks and ends all the time may get away.
const signalRounds = 100

// killBelow kills what is below a process until nothing is. A zombie runs no
// more code; neither does one that hangs in the kernel, but that is an error.
//
// The quick look goes from parents to children, so that it finds also what forks
// and ends at once, which is gone before a look at all of /proc has come to it.
// But it may overlook one whose place in the list of children moves. So all of
// /proc must say that nothing is there. That is no single moment either: who was
// alive when it began may have forked and ended before it was looked at. Then it
// is a zombie that was none in the look before, or it has vanished; either way
// there is another look. On a machine where strangers come and go all the time one
// always has vanished: there it ends as soon as the process has no child at all,
// which its lists say for certain; see childless.
func killBelow(ctx context.Context, root int, bury func()) error {
	var before map[process]bool // zombies
	for {
		killQuickly(ctx, root)
		bury()
		if childlessTwice(root) {
			return nil
		}
		l, err := lookBelow(root)
		if err != nil || l.nothingNew(before) {
			return err
		}
		before = l.zombies
		for _, p := range l.alive {
			p.signal(p.parent, unix.SIGKILL)
		}
		select {
		case <-ctx.Done():
			return l.left(ctx, root)
		case <-time.After(time.Millisecond):
		}
	}
}

// killQuickly kills what is below a process until a look finds nobody new.
func killQuickly(ctx context.Context, root int) {
	killed := map[process]bool{}
	for more := true; more; more = more && ctx.Err() == nil {
		more = false
		eachBelow(root, func(parent int, p process) {
			if !killed[p] && p.signal(parent, unix.SIGKILL) {
				killed[p], more = true, true
			}
		})
	}
}

// process is one, never another that was given the same number later.
type process struct {
	pid   int
	start uint64 // in clock ticks after boot
}

// state is what a process is at a moment.
type state struct {
	process
	parent  int
	letter  byte // proc_pid_stat(5)
	threads int
}

// zombie tells whether it runs no more code: one whose first thread alone has
// ended looks like one too.
func (s state) zombie() bool { return s.letter == 'X' || s.letter == 'Z' && s.threads <= 1 }

// signal sends one to the process if it still is that child of that parent and
// no zombie. Its number may have gone to a stranger since it was seen.
func (p process) signal(parent int, s unix.Signal) bool {
	fd, err := unix.PidfdOpen(p.pid, 0)
	if err != nil {
		return false // it has ended
	}
	defer unix.Close(fd)
	now, ok := processNow(p.pid)
	if !ok || now.process != p || now.parent != parent || now.zombie() {
		return false
	}
	return unix.PidfdSendSignal(fd, s, nil, 0) == nil
}

// processNow looks at a process.
func processNow(pid int) (state, bool) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return state{}, false
	}
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:]) // the name in parentheses may hold anything
	if len(fields) < 20 {
		return state{}, false
	}
	parent, err1 := strconv.Atoi(string(fields[1]))
	threads, err2 := strconv.Atoi(string(fields[17]))
	start, err3 := strconv.ParseUint(string(fields[19]), 10, 64)
	return state{process{pid, start}, parent, fields[0][0], threads}, errors.Join(err1, err2, err3) == nil
}
