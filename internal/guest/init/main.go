// Command init is the first process of a guest (package internal/guest): it
// mounts what programs expect, runs the one that came with it, says on the third
// serial port with which status that ended, and switches the machine off.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "init:", err) // the kernel's console
	}
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Fprintln(os.Stderr, "init: power off:", err)
	}
}

func run() error {
	for _, m := range []struct{ kind, at string }{
		{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}, {"tmpfs", "/run"}, {"cgroup2", "/sys/fs/cgroup"},
	} {
		if err := unix.Mount(m.kind, m.at, m.kind, 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	out, err := port("/dev/ttyS1")
	if err != nil {
		return err
	}
	status, err := port("/dev/ttyS2")
	if err != nil {
		return err
	}
	c, err := program()
	if err != nil {
		return err
	}
	c.Stdout, c.Stderr = out, out
	var ended *exec.ExitError
	if err := c.Run(); err != nil && !errors.As(err, &ended) {
		return err
	}
	_, err = fmt.Fprintln(status, c.ProcessState.ExitCode()) // -1: a signal
	return errors.Join(err, drain(out), drain(status))
}

// program is what is to be run.
func program() (*exec.Cmd, error) {
	var job struct{ Args, Env []string }
	b, err := os.ReadFile("/job")
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &job); err != nil {
		return nil, fmt.Errorf("job: %w", err)
	}
	c := exec.Command("/program", job.Args...)
	c.Dir = "/tmp"
	c.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp", "TMPDIR=/tmp"}, job.Env...)
	return c, nil
}

// port opens a serial line that passes every byte on as it is.
func port(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	t, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	if err == nil {
		t.Oflag &^= unix.OPOST
		err = unix.IoctlSetTermios(int(f.Fd()), unix.TCSETS, t)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// drain waits until all that was written is out (tcdrain(3)).
func drain(f *os.File) error { return unix.IoctlSetInt(int(f.Fd()), unix.TCSBRK, 1) }
