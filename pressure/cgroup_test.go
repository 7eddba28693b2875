package pressure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-1b600011/assay/machine"
	"golang.org/x/sys/unix"
)

// asChild makes the test binary do something else in a process of its own.
const asChild = "ASSAY_PRESSURE_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(asChild) {
	case "cpu":
		os.Exit(cpuChild())
	case "quota":
		os.Exit(quota())
	case "disk":
		os.Exit(diskChild())
	case "thrash":
		os.Exit(thrash())
	case "brim":
		os.Exit(brim())
	}
	os.Exit(m.Run())
}

// childProcess is this test binary as something else.
func childProcess(what string, env ...string) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := exec.Command(exe)
	c.Env = append(append(os.Environ(), asChild+"="+what), env...)
	return c, nil
}

// memcg makes a memory cgroup with a limit, v1 or v2, or skips.
func memcg(t testing.TB, limit int64) (dir string) {
	t.Helper()
	parent, v1 := hierarchy(t, "memory")
	return limited(t, parent, v1, "memory", limitFile(v1), strconv.FormatInt(limit, 10))
}

// limitFile is the file with the limit of a memory cgroup.
func limitFile(v1 bool) string {
	if v1 {
		return "memory.limit_in_bytes"
	}
	return "memory.max"
}

// limited makes a cgroup below another and sets what limits it, or skips.
func limited(t testing.TB, parent string, v1 bool, controller, file, value string) (dir string) {
	t.Helper()
	if !v1 {
		_ = os.WriteFile(filepath.Join(parent, "cgroup.subtree_control"), []byte("+"+controller), 0) // it may be there
	}
	dir = filepath.Join(parent, "assay-pressure-test-"+machine.Token())
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Skipf("needs the right to make cgroups: %v", err)
	}
	t.Cleanup(func() {
		eventually(t, "the cgroup is free", func() bool { return os.Remove(dir) == nil })
	})
	if err := os.WriteFile(filepath.Join(dir, file), []byte(value), 0); err != nil {
		t.Skipf("needs the right to limit cgroups: %v", err)
	}
	return dir
}

// hierarchy is where cgroups of a controller can be made. Where v2 is mounted
// nowhere, it is mounted for the test.
func hierarchy(t testing.TB, controller string) (parent string, v1 bool) {
	t.Helper()
	parent = filepath.Join("/sys/fs/cgroup", controller)
	if _, err := os.Stat(filepath.Join(parent, "cgroup.procs")); err == nil {
		return parent, true
	}
	parent = "/sys/fs/cgroup"
	if _, err := os.Stat(filepath.Join(parent, "cgroup.controllers")); err != nil {
		parent = t.TempDir()
		if err := unix.Mount("assay-test", parent, "cgroup2", 0, ""); err != nil {
			t.Skipf("needs cgroups of %s: %v", controller, err)
		}
		t.Cleanup(func() { _ = unix.Unmount(parent, unix.MNT_DETACH) })
	}
	controllers, err := os.ReadFile(filepath.Join(parent, "cgroup.controllers"))
	if err != nil || !slices.Contains(strings.Fields(string(controllers)), controller) {
		t.Skip("needs cgroups of " + controller)
	}
	return parent, false
}

// enter puts this process into a cgroup.
func enter(dir string) error {
	return os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0)
}

// oomKills is how often the OOM killer has come to a cgroup.
func oomKills(t testing.TB, dir string) int64 {
	t.Helper()
	for _, file := range []string{"memory.oom_control", "memory.events"} {
		b, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(b)) {
			if number, ok := strings.CutPrefix(line, "oom_kill "); ok {
				n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
		}
	}
	t.Skip("needs a kernel that counts OOM kills of cgroups")
	return 0
}

// brim fills and releases, and prints what was held each time. It is the child
// of TestBrim, and enters its cgroup itself, before it has taken anything.
func brim() int {
	fail := func(err error) int { fmt.Println(err); return 1 }
	if err := enter(os.Getenv("BRIM_CGROUP")); err != nil {
		return fail(err)
	}
	times, err := strconv.Atoi(os.Getenv("BRIM_TIMES"))
	if err != nil {
		return fail(err)
	}
	m, err := NewMemory(MemoryOptions{Stalled: -1})
	if err != nil {
		return fail(err)
	}
	for range times {
		var short *ShortError
		if err := m.Fill(context.Background(), false); err != nil && !errors.As(err, &short) {
			return fail(err)
		}
		fmt.Println("held", m.Current().Held)
		if err := m.Release(); err != nil {
			return fail(err)
		}
	}
	return 0
}

const brimLimit = 256 * mib

// TestBrim tells a process in a cgroup of 256 MiB to take all there is, many
// times: it takes most of it and is never killed.
func TestBrim(t *testing.T) {
	t.Run("its own limit", func(t *testing.T) {
		dir := memcg(t, brimLimit)
		times := 10
		if os.Getenv("ASSAY_FULL") != "" {
			times = 100
		}
		fillToTheBrim(t, dir, dir, times)
	})
	t.Run("an ancestor's", func(t *testing.T) {
		dir := memcg(t, brimLimit)
		_, v1 := hierarchy(t, "memory")
		below := limited(t, dir, v1, "memory", limitFile(v1), strconv.FormatInt(4*brimLimit, 10))
		fillToTheBrim(t, dir, below, 10)
	})
}

// fillToTheBrim does so in one cgroup, which another, or it itself, limits.
func fillToTheBrim(t *testing.T, dir, in string, times int) {
	t.Helper()
	const limit = brimLimit
	before := oomKills(t, dir) + oomKills(t, in)
	c, err := childProcess("brim", "BRIM_CGROUP="+in, "BRIM_TIMES="+strconv.Itoa(times))
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("it ended with %v:\n%s", err, out)
	}
	if kills := oomKills(t, dir) + oomKills(t, in) - before; kills != 0 {
		t.Errorf("the OOM killer came %d times", kills)
	}
	if n := bytes.Count(out, []byte("held ")); n != times {
		t.Errorf("filled %d times, want %d:\n%s", n, times, out)
	}
	least := int64(limit)
	for line := range strings.Lines(string(out)) {
		held, err := strconv.ParseInt(strings.TrimSpace(strings.TrimPrefix(line, "held ")), 10, 64)
		if err != nil || held > limit {
			t.Fatalf("held %q", line)
		}
		least = min(least, held)
	}
	if least < limit*3/4 {
		t.Errorf("only %d of %d bytes were held", least, limit)
	}
	t.Logf("filled %d times, with %d MiB of 256 at least", times, least/mib)
}
