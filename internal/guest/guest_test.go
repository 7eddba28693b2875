package guest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const cache = "../../.cache/guest"

// TestMain is also the program that runs in the guest.
func TestMain(m *testing.M) {
	switch os.Getenv("GUEST_TEST") {
	case "tell":
		version, _ := os.ReadFile("/proc/version")
		controllers, _ := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
		os.Stdout.WriteString("a line\nand a half\r" + strings.Join(os.Args[1:], "|") + "\n" + string(version) + string(controllers))
		os.Exit(7)
	case "sleep":
		os.Stdout.WriteString("asleep")
		time.Sleep(time.Hour)
	}
	os.Exit(m.Run())
}

// static is this test as a program that a guest can run.
func static(t *testing.T) string {
	t.Helper()
	if missing := Missing(cache); missing != "" {
		t.Skip("needs " + missing)
	}
	path := filepath.Join(t.TempDir(), "program")
	c := exec.Command("go", "test", "-c", "-o", path, ".")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

// TestRun: what the program prints arrives as it is, under another kernel, and
// so does its exit status.
func TestRun(t *testing.T) {
	program := static(t)
	out, status, err := Machine{}.Run(t.Context(), cache, program, Job{Args: []string{"with a space", ""}, Env: []string{"GUEST_TEST=tell"}})
	if err != nil || status != 7 {
		t.Fatalf("status %d, %v: %s", status, err, out)
	}
	here, err := os.ReadFile("/proc/version")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(out, []byte("a line\nand a half\rwith a space|\nLinux version ")) || bytes.Contains(out, here) {
		t.Errorf("%q", out)
	}
	for _, controller := range []string{"memory", "cpu", "io", "pids"} {
		if !bytes.Contains(out, []byte(controller)) {
			t.Errorf("no %s among the controllers of %q", controller, out)
		}
	}
}

// TestNoEnd: a guest that does not end is switched off.
func TestNoEnd(t *testing.T) {
	program := static(t)
	tooLong := errors.New("too long")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 5*time.Second, tooLong)
	defer cancel()
	out, _, err := Machine{}.Run(ctx, cache, program, Job{Env: []string{"GUEST_TEST=sleep"}})
	if !errors.Is(err, tooLong) {
		t.Errorf("%v: %s", err, out)
	}
}

// TestNoProgram: what cannot be run there is told, not waited for.
func TestNoProgram(t *testing.T) {
	if missing := Missing(cache); missing != "" {
		t.Skip("needs " + missing)
	}
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("no program"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := (Machine{}).Run(t.Context(), cache, path, Job{}); err == nil || !strings.Contains(err.Error(), "exec format error") {
		t.Error(err)
	}
}
