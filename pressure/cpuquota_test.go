package pressure

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// quota tells what half of all the CPU time is that a process in a cgroup may
// have. It is the child of TestCPUQuota.
func quota() int {
	fail := func(err error) int { fmt.Println(err); return 1 }
	if err := enter(os.Getenv("QUOTA_CGROUP")); err != nil {
		return fail(err)
	}
	var c CPU
	defer c.Close()
	if err := c.Set(Load{Percent: 50}); err != nil {
		return fail(err)
	}
	s := c.Current()
	fmt.Println(s.Asked, s.Limit, s.Bound)
	return 0
}

// TestCPUQuota wants a percentage to be of the CPU quota, which is the
// smallest of the cgroups that the process is in.
func TestCPUQuota(t *testing.T) {
	h := cgroups(t, "cpu")
	const whole, half, none = "100000 100000", "50000 100000", "max 100000"
	shapes := map[string][]settings{
		"its own":            {{"cpu.max": half}},
		"below a larger one": {{"cpu.max": whole}, {"cpu.max": half}},
		"above":              {{"cpu.max": half}, {}},
	}
	if h.v2 { // v1 refuses what is more than the cgroup above has
		shapes["less above"] = []settings{{"cpu.max": half}, {"cpu.max": whole}}
		shapes["above none of its own"] = []settings{{"cpu.max": half}, {"cpu.max": none}}
	}
	for name, levels := range shapes {
		t.Run(name, func(t *testing.T) {
			dirs := h.nest(t, levels...)
			c, err := childProcess("quota", "QUOTA_CGROUP="+dirs[len(dirs)-1])
			if err != nil {
				t.Fatal(err)
			}
			out, err := c.CombinedOutput()
			if err != nil || !strings.HasPrefix(string(out), "0.25 0.5 the CPU quota") {
				t.Errorf("half of half a core: %q, %v", out, err)
			}
		})
	}
}
