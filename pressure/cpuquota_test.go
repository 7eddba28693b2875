package pressure

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// quota loads all that there is for a moment, in a cgroup that it enters
// first, and prints what that was. It is the child of TestCPUQuota.
func quota() int {
	if err := enter(os.Getenv("QUOTA_CGROUP")); err != nil {
		fmt.Println(err)
		return 1
	}
	var c CPU
	defer c.Close()
	if err := c.Set(Load{}); err != nil {
		fmt.Println(err)
		return 1
	}
	time.Sleep(time.Second)
	if err := json.NewEncoder(os.Stdout).Encode(c.Current()); err != nil {
		return 1
	}
	return 0
}

// TestCPUQuota: all that there is, in a cgroup with a CPU quota of its own or of
// an ancestor's, is the quota.
func TestCPUQuota(t *testing.T) {
	parent, v1 := hierarchy(t, "cpu")
	file, value, none := "cpu.max", "30000 100000", "max 100000"
	if v1 {
		file, value, none = "cpu.cfs_quota_us", "30000", "-1" // a period is 100000 µs when it is made
	}
	dir := limited(t, parent, v1, "cpu", file, value)
	below := limited(t, dir, v1, "cpu", file, none)
	for name, in := range map[string]string{"its own": dir, "an ancestor's": below} {
		t.Run(name, func(t *testing.T) {
			if !v1 && in == dir {
				// With what is below it, it may have no processes of its own (cgroups(7)).
				in = limited(t, parent, v1, "cpu", file, value)
			}
			c, err := childProcess("quota", "QUOTA_CGROUP="+in)
			if err != nil {
				t.Fatal(err)
			}
			out, err := c.Output()
			var s CPUState
			if err != nil || json.Unmarshal(out, &s) != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if s.Asked != 0.3 || s.Limit != 0.3 || !strings.Contains(s.Bound, "quota") {
				t.Errorf("in %s: %s", filepath.Base(in), out)
			}
		})
	}
}
