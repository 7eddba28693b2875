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

// killByToken kills every process that carries the token in its environment,
// those that they fork meanwhile too.
// The environment, unlike a process id, is never reused by a stranger; the
// signal goes through a pidfd (pidfd_open(2)) that was opened before the
// environment was read, so it cannot hit another process either.
func killByToken(ctx context.Context, token string) error {
	for {
		killed, err := killCarriers(ctx, token)
		if killed == 0 || err != nil || ctx.Err() != nil {
			return err
		}
	}
}

// killCarriers looks once at every process that there is.
func killCarriers(ctx context.Context, token string) (killed int, err error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() {
			continue
		}
		carries, err := killIfCarries(ctx, pid, []byte(tokenEnv+"="+token))
		if carries {
			killed++
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return killed, errors.Join(errs...)
}

func killIfCarries(ctx context.Context, pid int, want []byte) (carries bool, err error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return false, nil // it has ended
	}
	defer unix.Close(fd)
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	if err != nil {
		return false, nil // it has ended, or is not ours
	}
	for v := range bytes.SplitSeq(env, []byte{0}) {
		if bytes.Equal(v, want) {
			return true, killAndAwait(ctx, fd, pid)
		}
	}
	return false, nil
}

func killAndAwait(ctx context.Context, pidfd, pid int) error {
	if err := unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0); err != nil {
		if errors.Is(err, unix.ESRCH) {
			return nil
		}
		return fmt.Errorf("kill process %d: %w", pid, err)
	}
	for deadline := time.Now().Add(endPatience); time.Now().Before(deadline) && ctx.Err() == nil; {
		poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}} // readable once the process has ended
		if n, _ := unix.Poll(poll, 100); n > 0 {
			return nil
		}
	}
	return fmt.Errorf("process %d does not end after SIGKILL: %s", pid, processState(pid))
}

// processState is what /proc says of a process, for people.
func processState(pid int) string {
	state := mainThread(pid)
	if state == 0 {
		return "it is not in /proc"
	}
	wchan, _ := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", pid))
	return fmt.Sprintf("state %c, waiting in %q", state, wchan)
}

// mainThread is the state of the main thread of a process, a letter of
// proc_pid_stat(5); 0: there is no such process.
func mainThread(pid int) byte {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	rest := bytes.TrimLeft(b[bytes.LastIndexByte(b, ')')+1:], " ") // the name in parentheses may hold anything
	if len(rest) == 0 {
		return '?'
	}
	return rest[0]
}
