package guest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Tests builds the tests of the package in the working directory as a program
// that a guest can run: static, and without the race detector. It skips where
// there can be no guest.
func Tests(t testing.TB, cache string) (program string) {
	t.Helper()
	if missing := Missing(cache); missing != "" {
		t.Skip("needs " + missing)
	}
	program = filepath.Join(t.TempDir(), "program")
	c := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", program, ".")
	c.Env = append(os.Environ(), static...)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build a program for the guest: %v: %s", err, out)
	}
	return program
}
