package guest

import (
	"bytes"
	"context"
	"errors"
	"os"
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

// TestRun: what the program prints arrives as it is, under another kernel, and
// so does its exit status.
func TestRun(t *testing.T) {
	program := Tests(t, cache)
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

// TestNoEnd: a guest that does not end is switched off, what it has printed is
// told, and nothing of it stays.
func TestNoEnd(t *testing.T) {
	program := Tests(t, cache)
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	enough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	go func() {
		for printed := ""; printed != "asleep" && ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
			if found, _ := filepath.Glob(filepath.Join(dir, "assay-guest-*", "printed")); len(found) > 0 {
				b, _ := os.ReadFile(found[0])
				printed = string(b)
			}
		}
		cancel(enough)
	}()
	out, _, err := Machine{}.Run(ctx, cache, program, Job{Env: []string{"GUEST_TEST=sleep"}})
	if !errors.Is(err, enough) || string(out) != "asleep" {
		t.Errorf("%v: %q", err, out)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
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
