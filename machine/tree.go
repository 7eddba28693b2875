package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// AdoptOrphans makes this process the one that its descendants fall to when
// their own parent ends (PR_SET_CHILD_SUBREAPER, prctl(2)): so they can be found
// below it, whatever sessions they have made and whatever they have done to
// their environment.
func AdoptOrphans() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("machine: prctl PR_SET_CHILD_SUBREAPER: %w", err)
	}
	return nil
}

// KillDescendants ends every process below this one by SIGKILL, those that they
// fork meanwhile too, and gives up with ctx.
func KillDescendants(ctx context.Context) error { return killBelow(ctx, os.Getpid()) }

// KillTree ends the child and all processes below it by SIGKILL. It finds those
// whose parent has ended if the child has called AdoptOrphans.
func (c *Child) KillTree(ctx context.Context) error {
	select {
	case <-c.done:
		return nil
	default:
		return errors.Join(killBelow(ctx, c.PID()), c.Kill())
	}
}

// killBelow kills what is below a process until a look finds nothing alive.
// One that has become a zombie or hangs in the kernel runs no more code; the
// latter is an error.
func killBelow(ctx context.Context, root int) error {
	for {
		alive, stuck, err := signalBelow(root)
		if err != nil || len(alive) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			if len(stuck) > 0 {
				return fmt.Errorf("machine: process %d does not end after SIGKILL: %s", stuck[0], processState(stuck[0]))
			}
			return fmt.Errorf("machine: %d processes below %d do not end: %w", len(alive), root, context.Cause(ctx))
		case <-time.After(time.Millisecond):
		}
	}
}

// signalBelow sends SIGKILL to every process below root that is not a zombie.
func signalBelow(root int) (alive, stuck []int, err error) {
	children, states, err := processes()
	if err != nil {
		return nil, nil, err
	}
	queue := []int{root}
	for len(queue) > 0 {
		pid := queue[0]
		queue = queue[1:]
		for _, child := range children[pid] {
			queue = append(queue, child)
			switch states[child] {
			case 'Z', 'X':
				continue
			case 'D':
				stuck = append(stuck, child)
			}
			alive = append(alive, child)
			killChildOf(pid, child)
		}
	}
	return alive, stuck, nil
}

// killChildOf kills a process if it still is the child of that parent: its
// number may have gone to a stranger since it was seen.
func killChildOf(parent, pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return // it has ended
	}
	defer unix.Close(fd)
	if now, _, err := parentAndState(pid); err == nil && now == parent {
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	}
}

// parentAndState are of a process, proc_pid_stat(5).
func parentAndState(pid int) (parent int, state byte, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, 0, err
	}
	fields := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:]) // the name in parentheses may hold anything
	if len(fields) < 2 {
		return 0, 0, fmt.Errorf("/proc/%d/stat: %q", pid, b)
	}
	parent, err = strconv.Atoi(string(fields[1]))
	return parent, fields[0][0], err
}

// processes gives the children of every process and their states.
func processes() (children map[int][]int, states map[int]byte, err error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, nil, err
	}
	children, states = map[int][]int{}, map[int]byte{}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		parent, state, err := parentAndState(pid)
		if err != nil {
			continue // it has ended
		}
		children[parent] = append(children[parent], pid)
		states[pid] = state
	}
	return children, states, nil
}
