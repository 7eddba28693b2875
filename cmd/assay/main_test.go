package main

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

// These tests run the whole program, as a person would: the test binary is
// assay when this is set.
const asAssay = "ASSAY_TEST_AS_ASSAY"

func TestMain(m *testing.M) {
	if os.Getenv(asAssay) != "" {
		main()
	}
	os.Exit(m.Run())
}

// patience is how long a test waits for what happens by itself.
const patience = 5 * time.Minute

// full reports whether the full counts are asked for.
func full() bool { return os.Getenv("ASSAY_FULL") != "" }

// result is what a command line gave.
type result struct {
	code        int
	out, errout string
}

// command is a command line whose records are under dir.
func command(ctx context.Context, t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(ctx, exe, args...)
	c.Dir = "../.."
	c.Env = append(os.Environ(), asAssay+"=1", "XDG_STATE_HOME="+dir, "ASSAY_ENDPOINT=", "ASSAY_BACKENDS=", "ASSAY_SECRETS=")
	if os.Getenv("GORACE") == "" {
		// Or with the race detector each of the many processes that end sleeps for
		// 1 s first (https://go.dev/doc/articles/race_detector, atexit_sleep_ms).
		c.Env = append(c.Env, "GORACE=atexit_sleep_ms=10")
	}
	return c
}

func assay(t *testing.T, dir string, args ...string) result {
	t.Helper()
	return resultOf(t, command(t.Context(), t, dir, args...))
}

func resultOf(t *testing.T, c *exec.Cmd) result {
	t.Helper()
	var out, errout bytes.Buffer
	c.Stdout, c.Stderr = &out, &errout
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{c.ProcessState.ExitCode(), out.String(), errout.String()}
}

// want holds a result to an exit code and to words in its output.
func (r result) want(t *testing.T, code int, words ...string) {
	t.Helper()
	all := r.out + r.errout
	if r.code != code {
		t.Errorf("exit code %d, want %d:\n%s", r.code, code, all)
	}
	for _, w := range words {
		if !strings.Contains(all, w) {
			t.Errorf("%q is not in:\n%s", w, all)
		}
	}
	if strings.Contains(all, "goroutine ") || strings.Contains(all, "DATA RACE") {
		t.Errorf("a stack trace for a person:\n%s", all)
	}
}

// nothingLeft wants no ledger and no run directory but the kept ones.
func nothingLeft(t *testing.T, dir string, kept int) {
	t.Helper()
	if left, _ := filepath.Glob(filepath.Join(dir, "assay", "ledgers", "*")); len(left) > 0 {
		t.Errorf("ledgers are left: %v", left)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "assay", "runs", "*")); len(left) != kept {
		t.Errorf("runs are left: %v, want %d", left, kept)
	}
	deadline := time.Now().Add(patience)
	for childrenOf(dir) != "" && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
	}
	if left := childrenOf(dir); left != "" {
		t.Errorf("processes are left: %s", left)
	}
}

// childrenOf are the living processes that were started with dir as their state.
func childrenOf(dir string) string {
	var left []string
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range all {
		b, err := os.ReadFile(path)
		if err == nil && bytes.Contains(b, []byte("XDG_STATE_HOME="+dir+"\x00")) {
			left = append(left, filepath.Dir(path))
		}
	}
	return strings.Join(left, " ")
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
