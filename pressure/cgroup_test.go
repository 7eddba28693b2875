package pressure

import (
	"os"
	"os/exec"
	"path/filepath"
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
	case "disk":
		os.Exit(diskChild())
	case "thrash":
		os.Exit(thrash())
	case "brim":
		os.Exit(brim())
	case "quota":
		os.Exit(quota())
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

// hierarchy is where cgroups with a controller can be made.
type hierarchy struct {
	dir, controller string
	v2              bool
}

// cgroups finds the hierarchy of a controller, or skips. Where v2 is mounted
// nowhere, it is mounted for the test.
func cgroups(t testing.TB, controller string) hierarchy {
	t.Helper()
	v1 := filepath.Join("/sys/fs/cgroup", controller)
	var fs unix.Statfs_t
	if unix.Statfs(v1, &fs) == nil && fs.Type == unix.CGROUP_SUPER_MAGIC {
		return hierarchy{v1, controller, false}
	}
	dir := "/sys/fs/cgroup"
	if _, err := os.Stat(filepath.Join(dir, "cgroup.controllers")); err != nil {
		dir = t.TempDir()
		if err := unix.Mount("assay-test", dir, "cgroup2", 0, ""); err != nil {
			t.Skipf("needs cgroups: %v", err)
		}
		t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	}
	controllers, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil || !strings.Contains(string(controllers), controller) {
		t.Skipf("needs cgroups with the controller %s", controller)
	}
	return hierarchy{dir, controller, true}
}

// settings are files of a cgroup of v2, and what is written to them.
type settings map[string]string

// inV1 are the files of v1 that take the first word of the same.
func inV1(name string) string {
	return map[string]string{"memory.max": "memory.limit_in_bytes", "cpu.max": "cpu.cfs_quota_us"}[name]
}

// nest makes cgroups, each within the one before it, or skips.
func (h hierarchy) nest(t testing.TB, levels ...settings) (dirs []string) {
	t.Helper()
	dir := h.dir
	for _, level := range levels {
		if h.v2 {
			_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+h.controller), 0) // it may be there
		}
		dir = filepath.Join(dir, "assay-pressure-test-"+machine.Token())
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Skipf("needs the right to make cgroups: %v", err)
		}
		made := dir
		t.Cleanup(func() {
			eventually(t, "the cgroup is free", func() bool { return os.Remove(made) == nil })
		})
		for name, value := range level {
			if !h.v2 {
				name, value = inV1(name), strings.Fields(value)[0]
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(value), 0); err != nil {
				t.Skipf("needs the right to limit cgroups: %v", err)
			}
		}
		dirs = append(dirs, dir)
	}
	return dirs
}

// memcg makes a memory cgroup with a limit, v1 or v2, or skips.
func memcg(t testing.TB, limit int64) (dir string) {
	t.Helper()
	return cgroups(t, "memory").nest(t, settings{"memory.max": strconv.FormatInt(limit, 10)})[0]
}

// enter moves this process into a cgroup. What it has touched before stays on
// the account of the old one.
func enter(dir string) error {
	return os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0)
}
