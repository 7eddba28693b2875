package machine

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// eachBelow calls do for every process below root that the kernel's lists of
// children show (proc_pid_task_children(5), CONFIG_PROC_CHILDREN), each before
// those below it; on a kernel without them for none.
func eachBelow(root int, do func(parent int, p process)) {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", root))
	if err != nil {
		return
	}
	for _, list := range lists {
		b, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for word := range bytes.FieldsSeq(b) {
			pid, err := strconv.Atoi(string(word))
			if err != nil {
				continue
			}
			if p, ok := processNow(pid); ok && p.parent == root {
				do(root, p.process)
				eachBelow(pid, do)
			}
		}
	}
}

// childless reports whether the lists of children of all of a process's threads
// are empty. That is exact of each at its moment, as no other look is: the kernel
// takes the first entry under its lock, so it overlooks none. Between two lists a
// grandchild whose parent ends can move to a thread that was looked at before,
// but orphans always fall to the same thread: two passes in which all lists are
// empty prove that there is nothing below. It is false on a kernel without the
// lists.
func childless(root int) bool {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", root))
	if err != nil || len(lists) == 0 {
		return false
	}
	for _, list := range lists {
		if b, err := os.ReadFile(list); err != nil || len(b) > 0 {
			return false
		}
	}
	return true
}

// childlessTwice reports whether two passes found a process childless, which
// proves that there is nothing below it.
func childlessTwice(root int) bool {
	for range 2 {
		if !childless(root) {
			return false
		}
	}
	return true
}

// look is what a walk through /proc has found below a process.
type look struct {
	alive   []state
	zombies map[process]bool
	missed  bool // a process vanished before it was looked at
}

// lookBelow looks at every process that there is.
func lookBelow(root int) (look, error) {
	l := look{zombies: map[process]bool{}}
	dir, err := os.Open("/proc")
	if err != nil {
		return l, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return l, err
	}
	children := map[int][]state{}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue // no process
		}
		p, ok := processNow(pid)
		if !ok {
			l.missed = true
			continue
		}
		children[p.parent] = append(children[p.parent], p)
	}
	for queue := []int{root}; len(queue) > 0; queue = queue[1:] {
		for _, p := range children[queue[0]] {
			queue = append(queue, p.pid)
			if p.zombie() {
				l.zombies[p.process] = true
			} else {
				l.alive = append(l.alive, p)
			}
		}
	}
	return l, nil
}

// nothingNew tells whether nothing is alive, and nothing has ended since the
// look before, whose zombies are given.
func (l look) nothingNew(before map[process]bool) bool {
	if len(l.alive) > 0 || l.missed {
		return false
	}
	for p := range l.zombies {
		if !before[p] {
			return false
		}
	}
	return true
}

// left is the error of what is alive when there is no more time.
func (l look) left(ctx context.Context, root int) error {
	for _, p := range l.alive {
		if p.letter == 'D' {
			return fmt.Errorf("machine: process %d does not end after SIGKILL: %s", p.pid, processState(p.pid))
		}
	}
	return fmt.Errorf("machine: %d processes below %d do not end: %w", len(l.alive), root, context.Cause(ctx))
}
