package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/flakey/soft"
	"github.com/seed-1b600011/assay/machine"
)

// TestFlakey is a disk's life on the command line.
func TestFlakey(t *testing.T) {
	if err := (soft.Driver{}).Supports(""); err != nil {
		t.Skip(err)
	}
	if err := machine.SupportsFilesystem("ext4"); err != nil {
		t.Skip(err)
	}
	dir, at := t.TempDir(), filepath.Join(t.TempDir(), "a mount\npoint")
	if err := os.Mkdir(at, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { // whatever fails above, no daemon stays
		if all, _ := filepath.Glob(filepath.Join(dir, "assay/disks/*")); len(all) > 0 {
			resultOf(t, command(context.Background(), t, dir, "flakey", "destroy", "d")).want(t, 0)
		}
	})
	record := filepath.Join(dir, "recording")

	// Whatever is wrong is refused before anything is made.
	for _, bad := range []struct{ line, want string }{
		{"create d --size 0", "want a multiple of 4096"},
		{"create d --size 900TiB", "three quarters"},
		{"create d --size much", "--size"},
		{"create d --fs zfs", "want one of"},
		{"create d --fs ext4 --mount /nonexistent", "/nonexistent"},
		{"create d --fs ext4 --mount /proc", "/proc"},
		{"create a/b", "want 1 to 64"},
		{"create d --block-size 1024", "want 512 or 4096"},
		{"status d", "no disk is called"},
		{"power-cut d", "no disk is called"},
		{"list --output xml", "--output"},
	} {
		assay(t, dir, append([]string{"flakey"}, strings.Fields(bad.line)...)...).want(t, 2, bad.want)
	}
	assay(t, dir, "flakey", "create", "d", "--fs", "ext4", "--mount", at, "--record", filepath.Join(at, "r")).want(t, 2, "on the disk itself")
	nothingLeft(t, dir, 0)

	assay(t, dir, "flakey", "create", "d", "--size", "64MiB", "--fs", "ext4", "--mount", at, "--options", "commit=1000", "--record", record).want(t, 0, "/dev/", "seed")
	assay(t, dir, "flakey", "create", "d").want(t, 2, "in use")
	assay(t, dir, "flakey", "list").want(t, 0, "d ", "(ext4)")
	put := func(name string, sync bool) {
		t.Helper()
		f, err := os.Create(filepath.Join(at, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(name); err != nil {
			t.Fatal(err)
		}
		if sync {
			if err := f.Sync(); err != nil {
				t.Fatal(err)
			}
		}
	}
	put("synced", true)
	assay(t, dir, "flakey", "record", "mark", "d", "before the cut").want(t, 0)
	put("unsynced", false)
	assay(t, dir, "flakey", "power-cut", "d", "--keep", "some").want(t, 2, "--keep")
	assay(t, dir, "flakey", "power-cut", "d").want(t, 0, "/dev/", "lost")
	if b, err := os.ReadFile(filepath.Join(at, "synced")); string(b) != "synced" {
		t.Errorf("what was synced: %q, %v", b, err)
	}
	// The kernel may write back and flush whatever it has at any time.
	quiet := recorded(t, dir, record).Events[1].Requests["flush"] == 0
	b, err := os.ReadFile(filepath.Join(at, "unsynced"))
	if quiet && len(b) > 0 {
		t.Errorf("what was not synced: %q, %v", b, err)
	}
	kept := "synced"
	if string(b) == "unsynced" {
		kept += " unsynced"
	}

	put("later", true)
	assay(t, dir, "flakey", "drop-flushes", "d", "--to-sector", "8", "--from-sector", "9").want(t, 2, "--to-sector")
	assay(t, dir, "flakey", "drop-flushes", "d", "--seed", "1").want(t, 0)
	assay(t, dir, "flakey", "delay", "d", "--delay", "1ms", "--count", "5").want(t, 0, "seed")
	put("dropped", true)
	r := assay(t, dir, "flakey", "status", "d", "--output", "json")
	r.want(t, 0)
	var st soft.Status
	if err := json.Unmarshal([]byte(r.out), &st); err != nil || len(st.Faults) != 2 || st.Cuts != 1 || len(st.Mounts) != 1 || st.Stats.Touched["drop-flushes"] == 0 {
		t.Errorf("%v: %s", err, r.out)
	}
	assay(t, dir, "flakey", "power-cut", "d", "--keep", "random", "--probability", "0", "--seed", "1").want(t, 2, "--probability")
	assay(t, dir, "flakey", "power-cut", "d", "--output", "json").want(t, 0, `"lost"`)
	if b, err := os.ReadFile(filepath.Join(at, "dropped")); len(b) > 0 {
		t.Errorf("what a dropped flush was to keep is there: %q, %v", b, err)
	}
	assay(t, dir, "flakey", "allow", "d").want(t, 0)
	assay(t, dir, "flakey", "unmount", "d", at).want(t, 0)
	assay(t, dir, "flakey", "unmount", "d", at).want(t, 2, "not mounted")
	assay(t, dir, "flakey", "mount", "d", at).want(t, 0)
	assay(t, dir, "clean").want(t, 0, "nothing was left behind") // it lives
	assay(t, dir, "flakey", "destroy", "d").want(t, 0)
	assay(t, dir, "flakey", "list").want(t, 0)
	nothingLeft(t, dir, 0)

	t.Run("from the recording", func(t *testing.T) { flakeyFrom(t, dir, at, record, kept) })
}

// shown is what is told of a recording.
type shown struct {
	Closed bool
	Events []struct {
		Record     int
		Kind, Mark string
		Requests   map[string]int
	}
}

// recorded is what a recording of TestFlakey begins with.
func recorded(t *testing.T, dir, record string) (s shown) {
	t.Helper()
	r := assay(t, dir, "flakey", "record", "show", record, "--output", "json")
	r.want(t, 0)
	if err := json.Unmarshal([]byte(r.out), &s); err != nil || len(s.Events) < 2 ||
		s.Events[0].Mark != "before the cut" || s.Events[0].Requests["write"] == 0 || s.Events[1].Kind != "cut" {
		t.Fatalf("%v: %s", err, r.out)
	}
	return s
}

// flakeyFrom plugs in what the recording of TestFlakey has; kept are the files
// that the first cut has left.
func flakeyFrom(t *testing.T, dir, at, record, kept string) {
	shown := recorded(t, dir, record)
	if !shown.Closed || len(shown.Events) < 5 {
		t.Errorf("%+v", shown)
	}
	assay(t, dir, "flakey", "record", "show", record).want(t, 0, `mark "before the cut"`, "power cut, keeping none", "faults: drop-flushes")
	for _, bad := range []struct{ line, want string }{
		{"--from " + record + " --at 3 --mark x", "--mark"},
		{"--from " + record + " --mark x", "no mark"},
		{"--from " + record + " --at 1000000", "there are"},
		{"--from " + record + " --size 1GiB", "67108864 bytes"},
		{"--from " + record + " --record /tmp/x", "neither"},
		{"--from " + record + " --keep some", "some"},
		{"--from /nonexistent", "no such file"},
		{"--at 3", "--from"},
	} {
		assay(t, dir, append([]string{"flakey", "create", "d"}, strings.Fields(bad.line)...)...).want(t, 2, bad.want)
	}
	assay(t, dir, "flakey", "record", "show", "/nonexistent").want(t, 2, "no such file")
	nothingLeft(t, dir, 0)
	for _, c := range []struct {
		when []string
		want string
	}{
		{[]string{"--mark", "before the cut", "--keep", "none"}, "synced"},
		{[]string{"--at", strconv.Itoa(shown.Events[1].Record), "--keep", "none"}, kept},
		{nil, kept + " later"}, // the last cut was under a disk that lied
	} {
		assay(t, dir, append([]string{"flakey", "create", "d", "--from", record, "--fs", "ext4", "--mount", at}, c.when...)...).want(t, 0, "/dev/")
		assay(t, dir, "flakey", "status", "d").want(t, 0, "made from", record)
		var holds []string
		for _, name := range []string{"synced", "unsynced", "later", "dropped"} {
			if b, err := os.ReadFile(filepath.Join(at, name)); err == nil && string(b) == name {
				holds = append(holds, name)
			}
		}
		if got := strings.Join(holds, " "); got != c.want {
			t.Errorf("%v: there are %s, want %s", c.when, got, c.want)
		}
		assay(t, dir, "flakey", "destroy", "d").want(t, 0)
	}
	nothingLeft(t, dir, 0)
}

// TestFlakeyCleanAfterSIGKILL kills a daemon whose disk is mounted.
func TestFlakeyCleanAfterSIGKILL(t *testing.T) {
	if err := (soft.Driver{}).Supports(""); err != nil {
		t.Skip(err)
	}
	if err := machine.SupportsFilesystem("ext4"); err != nil {
		t.Skip(err)
	}
	dir, at := t.TempDir(), t.TempDir()
	assay(t, dir, "flakey", "create", "d", "--size", "64MiB", "--fs", "ext4", "--mount", at).want(t, 0)
	var st soft.Status
	if err := json.Unmarshal([]byte(assay(t, dir, "flakey", "status", "d", "--output", "json").out), &st); err != nil {
		t.Fatal(err)
	}
	p, err := os.FindProcess(st.PID)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	// Until its last thread has ended it holds its ledger.
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", st.PID)); err != nil || len(b) == 0 {
			break
		}
	}
	assay(t, dir, "flakey", "list").want(t, 0, "gone")
	assay(t, dir, "clean").want(t, 0, "removed mount", "removed soft-disk")
	if on, err := machine.MountedAt(at); err != nil || len(on) > 0 {
		t.Errorf("mounted: %v, %v", on, err)
	}
	nothingLeft(t, dir, 0)
}
