package machine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ResistPressure prepares this process to serve a disk to others on the same
// machine. Under memory pressure the kernel would let it wait until dirty pages
// are written back, to the disk that it serves: a deadlock that not even
// SIGKILL ends. So as far as this machine allows
//
//   - it leaves the limited memory cgroups (LeaveCgroup);
//   - it is the last that the OOM killer takes (oom_score_adj);
//   - its memory stays in memory once it is touched (mlockall(2) with
//     MCL_ONFAULT), of what it has and of what it will have;
//   - it never waits for its own writes when it needs memory
//     (PR_SET_IO_FLUSHER, prctl(2)): every thread, which takes Linux 5.6,
//     CAP_SYS_RESOURCE and a build without cgo.
//
// It is to be called first of all, because memory stays charged to the cgroup
// in which it was touched. moved is the cgroup that the process is in now, empty
// if it has stayed. The error joins what was not allowed, by PressureError;
// everything else is done all the same.
func ResistPressure() (moved string, err error) {
	var errs []error
	told := func(what string, err error) {
		if err != nil {
			errs = append(errs, &PressureError{What: what, Err: err})
		}
	}
	moved, err = LeaveCgroup()
	told("leave the memory cgroup", err)
	told("be spared by the OOM killer", lowerOOMScore())
	told("lock memory", unix.Mlockall(unix.MCL_CURRENT|unix.MCL_FUTURE|unix.MCL_ONFAULT))
	told("mark the process as one that I/O depends on", setIOFlusher())
	return moved, errors.Join(errs...)
}

// PressureError says which protection this machine did not allow.
type PressureError struct {
	What string
	Err  error
}

func (e *PressureError) Error() string { return fmt.Sprintf("cannot %s: %v", e.What, e.Err) }
func (e *PressureError) Unwrap() error { return e.Err }

// setIOFlusher sets the mark on every thread; those that come later inherit it.
func setIOFlusher() error {
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_SET_IO_FLUSHER, 1, 0)
	if errno == syscall.ENOTSUP {
		return errors.New("a build with cgo (the race detector's too) cannot set it on all threads")
	}
	if errno != 0 {
		return fmt.Errorf("prctl PR_SET_IO_FLUSHER (it needs CAP_SYS_RESOURCE): %w", errno)
	}
	return nil
}

// lowerOOMScore takes the lowest score that the kernel allows: below what it
// was when the process was last privileged takes CAP_SYS_RESOURCE
// (proc_pid_oom_score_adj(5)).
func lowerOOMScore() error {
	const path, lowest = "/proc/self/oom_score_adj", -1000
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	now, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for score := lowest; score < now; score += 100 {
		if err = os.WriteFile(path, []byte(strconv.Itoa(score)), 0); err != nil {
			continue
		}
		if score == lowest {
			return nil
		}
		return fmt.Errorf("oom_score_adj is no lower than %d (that needs CAP_SYS_RESOURCE)", score)
	}
	if now == lowest {
		return nil
	}
	return fmt.Errorf("oom_score_adj stays at %d (lower needs CAP_SYS_RESOURCE): %w", now, err)
}

// LeaveCgroup moves this process out of every memory cgroup with a limit, to
// the nearest one above them that takes it. It then no longer counts against
// those limits, whoever set them; outside privileged containers that is not
// allowed, and the error says whose limit is shared. Where no cgroup has a
// limit the process stays where it is, and to is empty.
func LeaveCgroup() (to string, err error) {
	tree, own, err := memoryCgroup()
	if err != nil {
		return "", err
	}
	limited, above := tree.exits(own)
	if limited == "" {
		return "", nil
	}
	limit, file := tree.limit(limited)
	errs := []error{fmt.Errorf("%s limits memory to %d bytes (%s), and this process shares that with whoever else is in it", limited, limit, file)}
	for _, dir := range above {
		if err = os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0); err == nil {
			return dir, nil
		}
		errs = append(errs, err)
	}
	return "", errors.Join(errs...)
}
