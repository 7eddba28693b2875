package pressure

import (
	"bytes"
	"context"
	"os"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/internal/guest"
)

// ofCgroups are the tests of this package that both versions of cgroups must pass.
const ofCgroups = "^(TestBrim|TestCPUQuota)$"

// TestUnderVersion2 runs those tests under a kernel whose controllers are all of
// version 2; none of them may skip there.
func TestUnderVersion2(t *testing.T) {
	const cache = "../.cache/guest"
	program := guest.Tests(t, cache)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	out, status, err := guest.Machine{Memory: 1024, CPUs: 2}.Run(ctx, cache, program, guest.Job{
		Args: []string{"-test.v", "-test.timeout=15m", "-test.run=" + ofCgroups},
		Env:  []string{"ASSAY_FULL=" + os.Getenv("ASSAY_FULL")},
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
	if status != 0 || bytes.Contains(out, []byte("--- SKIP")) {
		t.Errorf("exit status %d", status)
	}
	// The last of each is of version 2 only.
	for _, name := range []string{"TestBrim/its_own", "TestBrim/memory.high_above", "TestCPUQuota/its_own", "TestCPUQuota/less_above"} {
		if !bytes.Contains(out, []byte("--- PASS: "+name+" ")) {
			t.Errorf("%s did not pass in the guest", name)
		}
	}
}
