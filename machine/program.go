package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

// debianPackage is the package of Debian that holds each of the programs that this package runs.
func debianPackage(program string) string {
	switch program {
	case "mkfs.ext4", "e2fsck":
		return "e2fsprogs"
	case "mkfs.xfs", "xfs_repair":
		return "xfsprogs"
	case "mkfs.btrfs", "btrfs":
		return "btrfs-progs"
	}
	return ""
}

// MissingProgramError says that a program is not installed. It is
// exec.ErrNotFound.
type MissingProgramError struct {
	Program string
	Package string // of Debian; empty: not known
	Instead string // what would do instead; may be empty
}

func (e *MissingProgramError) Error() string {
	s := e.Program + " is not installed"
	if e.Package != "" {
		s += " (Debian and Ubuntu: apt-get install " + e.Package + ")"
	}
	if e.Instead != "" {
		s += "; instead, " + e.Instead
	}
	return s
}

func (e *MissingProgramError) Unwrap() error { return exec.ErrNotFound }

// findProgram looks in PATH and then where Debian keeps root's programs,
// which a PATH made by su or cron lacks.
func findProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return filepath.Abs(path)
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", &MissingProgramError{Program: name, Package: debianPackage(name)}
}

// ran is how a program ended.
type ran struct {
	output string // standard output and error as they came, the last 64 KiB
	exit   int    // exit status, where it ended by itself
}

// runProgram runs a program of the system to its end: in a process group of
// its own, its language C, and killed when ctx ends or this process does. An
// exit status above 0 is no error here. Where not even SIGKILL ends it within
// 5 s, because it hangs in the kernel, it is left to end when it can.
func runProgram(ctx context.Context, name string, args ...string) (ran, error) {
	path, err := findProgram(name)
	if err != nil {
		return ran{}, err
	}
	var out tail
	cmd := &exec.Cmd{
		Path:   path,
		Args:   append([]string{name}, args...),
		Env:    append(os.Environ(), "LC_ALL=C", tokenEnv+"="+Token()),
		Stdout: &out,
		Stderr: &out,
		SysProcAttr: &syscall.SysProcAttr{
			Setpgid:   true,
			Pdeathsig: syscall.SIGKILL, // so that it needs no entry in a ledger
		},
		WaitDelay: endPatience,
	}
	started, done := make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // Pdeathsig is sent when the thread ends that started it
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			done <- cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return ran{}, fmt.Errorf("start %s: %w", name, err)
	}
	select {
	case err = <-done:
	case <-ctx.Done():
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		return ran{output: out.String()}, errors.Join(
			fmt.Errorf("%s has not ended in time: %w", name, context.Cause(ctx)), awaitEnd(done, name, cmd.Process.Pid))
	}
	return judgeEnd(name, out.String(), cmd.ProcessState, err)
}

func awaitEnd(done <-chan error, name string, pid int) error {
	ctx, cancel := context.WithTimeout(context.Background(), endPatience)
	defer cancel()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s (pid %d) does not end after SIGKILL: %s", name, pid, processState(pid))
	}
}

func judgeEnd(name, output string, state *os.ProcessState, err error) (ran, error) {
	r := ran{output: output}
	if state != nil && state.Exited() {
		r.exit = state.ExitCode()
		return r, nil
	}
	return r, fmt.Errorf("%s: %w: %s", name, err, output)
}
