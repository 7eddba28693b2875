package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-1b600011/assay/flakey/soft"
	"github.com/seed-1b600011/assay/machine"
)

// examples are the files of the directory examples that run on volumes, with
// what each needs and says. That they exit with 0 is that each scenario passes,
// or finds what it must: docs/track-record.md rests on them.
var examples = map[string]struct {
	programs    map[string]string // and the Debian package of each
	filesystems []string
	words       []string
	few         []string // the scenarios that make test runs; none: all. make soak runs all
}{
	"power-cuts": {nil, []string{"ext4", "xfs", "btrfs"}, []string{"Power cuts on btrfs"}, []string{"Power cuts on btrfs", "Atomic replacement without the directory's sync"}},
	"shell":      {nil, []string{"ext4"}, []string{"LOST, found by exec", "to blame  the application", "found what was expected"}, nil},
	"sqlite": {map[string]string{"sqlite3": "sqlite3"}, []string{"ext4"},
		[]string{"SQLite as it comes (rollback journal, FULL): pass: found what was expected", "rows, the last", "backups, the last"}, []string{"SQLite as it comes (rollback journal, FULL)", "SQLite with EXTRA", "sqlite3 .backup"}},
	"git":   {map[string]string{"git": "git"}, []string{"ext4"}, []string{"commits, the last"}, []string{"git commit with core.fsync=all"}},
	"rsync": {map[string]string{"rsync": "rsync"}, []string{"ext4"}, []string{"files, the last"}, []string{"rsync --fsync"}},
	"dpkg":  {map[string]string{"dpkg-deb": "dpkg"}, []string{"btrfs"}, []string{"dpkg says installed"}, []string{"dpkg --force-unsafe-io on btrfs"}},
	"bbolt": {map[string]string{"go": "golang"}, []string{"ext4"}, []string{"LOST, found by exec"}, nil},
	"postgres": {map[string]string{"/usr/lib/postgresql/*/bin/initdb": "postgresql", "psql": "postgresql"}, []string{"ext4"},
		[]string{"PostgreSQL with fsync=off: pass: found what was expected"}, []string{"PostgreSQL with fsync=off"}},
	"btrfs-names": {map[string]string{"losetup": "mount"}, []string{"btrfs", "ext4"},
		[]string{"A deleted name on btrfs: pass: found what was expected", "RESURRECTED, found by exec", "resurrected: "}, []string{"A deleted name on btrfs"}},
	"ext4-superblock": {nil, []string{"ext4"},
		[]string{"ext4 on a disk of 512 byte blocks: pass: found what was expected", "UNREADABLE, found by exec", "bad message"}, []string{"ext4 on a disk of 512 byte blocks"}},
	"redis": {map[string]string{"redis-server": "redis-server", "redis-cli": "redis-server"}, []string{"ext4"},
		[]string{"Redis with appendfsync=everysec: pass: found what was expected", "to blame  the application"}, []string{"Redis with appendfsync=everysec"}},
}

func needsVolumes(t *testing.T, filesystems ...string) {
	t.Helper()
	if err := (soft.Driver{}).Supports(""); err != nil {
		t.Skip(err)
	}
	for _, fs := range filesystems {
		if err := machine.SupportsFilesystem(fs); err != nil {
			t.Skip(err)
		}
	}
}

func needsProgram(t *testing.T, program, pkg string) {
	t.Helper()
	if strings.Contains(program, "*") {
		if there, _ := filepath.Glob(program); len(there) > 0 {
			return
		}
	} else if _, err := exec.LookPath(program); err == nil {
		return
	}
	t.Skipf("%s is not installed (Debian package %s)", program, pkg)
}

// needsDefect skips an example of a defect that the kernel here has not: a script
// beside it, which uses nothing of assay, exits with 0 where it has and with 1
// where it has not.
func needsDefect(t *testing.T, example string) {
	t.Helper()
	script := "../../examples/" + example + "/without-assay.sh"
	if _, err := os.Stat(script); err != nil {
		return
	}
	out, err := exec.CommandContext(t.Context(), script).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		t.Skipf("there is nothing to find: %s", out)
	} else if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// TestExamples runs each example as a person would. A scenario that must find
// something may have to be run more than once: how hard a cut hits is drawn.
func TestExamples(t *testing.T) {
	t.Parallel()
	for name, e := range examples {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			needsVolumes(t, e.filesystems...)
			for program, pkg := range e.programs {
				needsProgram(t, program, pkg)
			}
			needsDefect(t, name)
			args := []string{"run"}
			if !full() {
				for _, only := range e.few {
					args = append(args, "--only", only)
				}
			}
			var dir string
			var r result
			for range 10 {
				dir = t.TempDir()
				r = assay(t, dir, append(args, "examples/"+name+".yaml")...)
				if !strings.Contains(r.out, "was expected, and nothing was found") {
					break
				}
				t.Logf("again: %s", r.out)
			}
			r.want(t, 0, append(e.words, "\npass (seed ")...)
			nothingLeft(t, dir, 0)
		})
	}
}

// TestEveryExampleIsRun: one that is not in the table would be in no test.
func TestEveryExampleIsRun(t *testing.T) {
	files, err := filepath.Glob("../../examples/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".yaml")
		if _, ok := examples[name]; !ok && !slices.Contains([]string{"quickstart", "lying-store"}, name) {
			t.Errorf("examples/%s.yaml is run by no test", name)
		}
	}
}

// TestQuickstartWithoutDisks: a machine on which no disk can be made is told so,
// and what was left out counts for nothing.
func TestQuickstartWithoutDisks(t *testing.T) {
	dir := t.TempDir()
	run := func(only string) result {
		c := command(t.Context(), t, dir, "run", "--only", only, "examples/quickstart.yaml")
		if err := (soft.Driver{}).Supports(""); err == nil { // nor may this process, then
			needsProgram(t, "setpriv", "util-linux")
			c.Args = append([]string{"setpriv", "--bounding-set=-sys_admin", "--", c.Path}, c.Args[1:]...)
			c.Path, _ = exec.LookPath("setpriv")
		}
		return resultOf(t, c)
	}
	run("Write 0B,Power cuts under files").want(t, 0, "Power cuts under files: skipped: a soft disk cannot be made here", "\npass (seed ", ", 1 of 2 skipped")
	run("Power cuts under files").want(t, 3, "Power cuts under files: skipped: ", "\ninconclusive (seed ", ", 1 of 1 skipped")
	nothingLeft(t, dir, 0)
}
