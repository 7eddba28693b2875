package pressure

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/internal/guest"
)

// ofCgroups are the tests of this package that both versions of cgroups must pass.
const ofCgroups = "^(TestBrim|TestCPUQuota)$"

// TestUnderVersion2 runs those tests under a kernel whose controllers are all of
// version 2: where this one's are, nothing is to be done.
func TestUnderVersion2(t *testing.T) {
	const cache = "../.cache/guest"
	if missing := guest.Missing(cache); missing != "" {
		t.Skip("needs " + missing)
	}
	program := filepath.Join(t.TempDir(), "program")
	build := exec.Command("go", "test", "-c", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	job := guest.Job{Args: []string{"-test.v", "-test.run=" + ofCgroups}}
	if full := os.Getenv("ASSAY_FULL"); full != "" {
		job.Env = append(job.Env, "ASSAY_FULL="+full)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	out, status, err := guest.Machine{Memory: 1024, CPUs: 2}.Run(ctx, cache, program, job)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	if status != 0 || bytes.Contains(out, []byte("SKIP")) {
		t.Errorf("exit status %d", status)
	}
	for _, name := range []string{"TestBrim/its_own_limit", "TestBrim/an_ancestor's", "TestCPUQuota/its_own", "TestCPUQuota/an_ancestor's"} {
		if !regexp.MustCompile("--- PASS: " + name + " ").Match(out) {
			t.Errorf("%s did not pass in the guest", name)
		}
	}
}
