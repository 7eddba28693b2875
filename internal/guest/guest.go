// Package guest runs one program of a test as root in a virtual machine, under
// a kernel that is not this machine's: what this one lacks (cgroups of version
// 2, other file systems, device-mapper) is real there.
//
// The machine is QEMU without KVM, so it needs no rights, and it is several
// times slower than this one. It boots a kernel of Debian's, which `make setup`
// puts into .cache/guest, with an archive in memory that holds two programs: init
// (package internal/guest/init), and the one to be run, which is to be linked
// statically. There is no disk, no network and no shell. Of what the program
// does nothing stays: the machine is a child process, and ends with it.
//
// Only tests use it.
package guest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Machine is what the guest has.
type Machine struct {
	Memory int // MiB; 0 is 512
	CPUs   int // 0 is 1
}

// Job is how the program is run.
type Job struct {
	Args []string // after the program's name
	Env  []string // KEY=VALUE, beside PATH, HOME and TMPDIR
}

// static is the environment in which Go links for the guest: no shared library,
// and the plainest of processors.
var static = []string{"CGO_ENABLED=0", "GOAMD64=v1"}

const (
	emulator = "qemu-system-x86_64"
	kernel   = "vmlinuz" // below the cache
)

// Missing says what a guest needs and this machine does not have; "" if it has
// all. cache is the folder with the kernel, .cache/guest of the repository.
func Missing(cache string) string {
	if _, err := exec.LookPath(emulator); err != nil {
		return emulator + " (Debian: qemu-system-x86)"
	}
	if _, err := os.Stat(filepath.Join(cache, kernel)); err != nil {
		return "a kernel for a guest (make setup): " + err.Error()
	}
	return ""
}

// Run boots the machine, runs a program in it and returns what that printed and
// its exit status. An error is of the machine: it did not boot, or did not end
// before ctx did.
func (m Machine) Run(ctx context.Context, cache, program string, job Job) (printed []byte, status int, err error) {
	dir, err := os.MkdirTemp("", "assay-guest-")
	if err != nil {
		return nil, 0, fmt.Errorf("guest: %w", err)
	}
	defer os.RemoveAll(dir)
	initrd := filepath.Join(dir, "initrd")
	if err := pack(ctx, initrd, program, job); err != nil {
		return nil, 0, fmt.Errorf("guest: %w", err)
	}
	port := func(name string) string { return "file:" + filepath.Join(dir, name) }
	c := exec.CommandContext(ctx, emulator,
		// A plain processor: one that has all takes twice the time to emulate.
		"-M", "pc", "-accel", "tcg,thread=multi", "-cpu", "qemu64",
		"-smp", strconv.Itoa(max(m.CPUs, 1)), "-m", strconv.Itoa(defaulted(m.Memory, 512)),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-kernel", filepath.Join(cache, kernel), "-initrd", initrd,
		"-append", "console=ttyS0 panic=-1 quiet mitigations=off",
		"-serial", port("log"), "-serial", port("printed"), "-serial", port("status"))
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	said, err := c.CombinedOutput()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	// What it has printed is told however it ended.
	printed, _ = os.ReadFile(filepath.Join(dir, "printed"))
	b, _ := os.ReadFile(filepath.Join(dir, "status"))
	status, bad := strconv.Atoi(strings.TrimSpace(string(b)))
	if err = errors.Join(err, bad); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		return printed, 0, fmt.Errorf("guest: it did not come to an end: %w\n%s%s", err, said, bytes.TrimSpace(log))
	}
	return printed, status, nil
}

func defaulted(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

// pack writes the archive that the guest boots with.
func pack(ctx context.Context, path, program string, job Job) error {
	first := filepath.Join(filepath.Dir(path), "init")
	build := exec.CommandContext(ctx, "go", "build", "-o", first, "github.com/seed-1b600011/assay/internal/guest/init")
	build.Env = append(os.Environ(), static...)
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build its init: %w: %s", err, out)
	}
	what, err := json.Marshal(job)
	if err != nil {
		return err
	}
	var files []file
	for _, f := range []struct{ name, from string }{{"init", first}, {"program", program}} {
		content, err := os.ReadFile(f.from)
		if err != nil {
			return err
		}
		files = append(files, file{f.name, 0o755, content})
	}
	return os.WriteFile(path, archive(append(files, file{"job", 0o644, what})), 0o600)
}
