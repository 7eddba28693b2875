package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// beyond are operations with syncs that oblige the file system to nothing, or
// (owed) to one outcome. Each has a directory, in which f holds "old" and is
// durable; other is synced where the file is not.
var beyond = []struct {
	what string
	do   func(d place)
	look func(d place) string
	owed string
}{
	{"new file, its fsync", func(d place) { d.write("g"); d.sync("g") }, content("g"), ""},
	{"new file in a new directory, its fsync", func(d place) { d.mkdir("e"); d.write("e/g"); d.sync("e/g") }, content("e/g"), ""},
	{"new file, its fsync and the directory's", func(d place) { d.write("g"); d.sync("g"); d.sync(".") }, content("g"), "new"},
	{"new file; another's fsync", func(d place) { d.write("g"); d.other() }, content("g"), ""},
	{"replaced by rename: fsync, rename", func(d place) { d.write("g"); d.sync("g"); d.rename("g", "f") }, content("f"), ""},
	{"replaced by rename: fsync, rename, the directory's fsync", func(d place) { d.write("g"); d.sync("g"); d.rename("g", "f"); d.sync(".") }, content("f"), "new"},
	{"replaced by rename: rename, fsync", func(d place) { d.write("g"); d.rename("g", "f"); d.sync("f") }, content("f"), ""},
	{"replaced by rename, not synced; another's fsync", func(d place) { d.write("g"); d.rename("g", "f"); d.other() }, content("f"), ""},
	{"cut to nothing and written anew, not synced; another's fsync", func(d place) { d.write("f"); d.other() }, content("f"), ""},
	{"rename to a new name, the file's fsync", func(d place) { d.rename("f", "g"); d.sync("g") }, names("f", "g"), ""},
	{"hard link, the file's fsync", func(d place) { d.link("f", "g"); d.sync("g") }, names("f", "g"), ""},
	{"unlink; another's fsync", func(d place) { d.unlink("f"); d.other() }, names("f"), ""},
	{"unlink, the directory's fsync", func(d place) { d.unlink("f"); d.sync(".") }, names("f"), "absent"},
	{"mkdir; another's fsync", func(d place) { d.mkdir("e"); d.other() }, names("e"), ""},
	{"mkdir, the directory's fsync", func(d place) { d.mkdir("e"); d.sync(".") }, names("e"), "e"},
}

const promisesPage = "../../docs/promises.md"

// TestPromises holds file systems to what is owed after a power cut that keeps
// nothing that was not flushed. What they keep beyond that is in a table of
// docs/promises.md, which ASSAY_GENERATE=1 writes anew, of ten tries.
func TestPromises(t *testing.T) {
	filesystems := []string{"ext4", "xfs", "btrfs"}
	needsVolumes(t, filesystems...)
	tries := 1
	if os.Getenv("ASSAY_GENERATE") != "" {
		tries = 10
	}
	disks := make([]testDisk, len(filesystems))
	for i, fs := range filesystems {
		disks[i] = newTestDisk(t, fs)
	}
	seen := make([][]string, len(filesystems))
	t.Run("on", func(t *testing.T) {
		for i, fs := range filesystems {
			t.Run(fs, func(t *testing.T) {
				t.Parallel()
				seen[i] = disks[i].kept(t, tries)
			})
		}
	})
	table := "| done | " + strings.Join(filesystems, " | ") + " |\n|---|---|---|---|\n"
	for i, b := range beyond {
		what := b.what
		if b.owed != "" {
			what += " (owed)"
		}
		table += fmt.Sprintf("| %s | %s | %s | %s |\n", what, seen[0][i], seen[1][i], seen[2][i])
	}
	page, err := os.ReadFile(promisesPage)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(page), "| done |")
	if !ok {
		t.Fatal("the page has no table of what was done")
	}
	was, after, _ := strings.Cut(rest, "\n\n")
	if tries > 1 {
		if err := os.WriteFile(promisesPage, []byte(head+table+"\n"+after), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got, want := strings.Count(was, "\n"), len(beyond)+1; got != want {
		t.Errorf("the table has %d rows, want %d: ASSAY_GENERATE=1", got-1, want-1)
	}
}

// testDisk is a disk with a file system, mounted, and the state that knows it.
type testDisk struct{ fs, name, dir, at string }

func newTestDisk(t *testing.T, fs string) testDisk {
	// mkfs.btrfs takes two loop devices for one whose files have one name.
	d := testDisk{fs, fmt.Sprintf("%s-%d", fs, os.Getpid()), t.TempDir(), t.TempDir()}
	r := assay(t, d.dir, "flakey", "create", d.name, "--size", "320MiB", "--fs", fs, "--mount", d.at)
	if r.code != 0 {
		t.Fatal(r.errout)
	}
	t.Cleanup(func() { // when the context of the test is over
		resultOf(t, command(context.Background(), t, d.dir, "flakey", "destroy", d.name)).want(t, 0)
	})
	return d
}

// kept does everything on the disk, cuts the power after each, and tells what
// was there then.
func (disk testDisk) kept(t *testing.T, tries int) []string {
	all := make([]string, len(beyond))
	for i, b := range beyond {
		var outcomes []string
		for try := range tries {
			d := place{t, filepath.Join(disk.at, fmt.Sprintf("%d-%d", i, try))}
			d.old()
			b.do(d)
			assay(t, disk.dir, "flakey", "power-cut", disk.name, "--keep", "none").want(t, 0)
			if o := b.look(d); !slices.Contains(outcomes, o) {
				outcomes = append(outcomes, o)
			}
		}
		slices.Sort(outcomes)
		all[i] = strings.Join(outcomes, " or ")
		if b.owed != "" && all[i] != b.owed {
			t.Errorf("%s, %s: %s, and owed is %s", disk.fs, b.what, all[i], b.owed)
		}
	}
	return all
}

// place is a directory on a disk.
type place struct {
	t    *testing.T
	path string
}

func (d place) at(name string) string { return filepath.Join(d.path, name) }

func (d place) must(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// old makes the directory with f and other in it, all of it durable.
func (d place) old() {
	d.must(os.Mkdir(d.path, 0o700))
	d.must(os.WriteFile(d.at("f"), []byte("old"), 0o600))
	d.must(os.WriteFile(d.at("other"), []byte("old"), 0o600))
	f, err := os.Open(d.path)
	d.must(err)
	defer f.Close()
	d.must(unix.Syncfs(int(f.Fd())))
}

func (d place) write(name string)      { d.must(os.WriteFile(d.at(name), []byte("new"), 0o600)) }
func (d place) mkdir(name string)      { d.must(os.Mkdir(d.at(name), 0o700)) }
func (d place) rename(from, to string) { d.must(os.Rename(d.at(from), d.at(to))) }
func (d place) link(from, to string)   { d.must(os.Link(d.at(from), d.at(to))) }
func (d place) unlink(name string)     { d.must(os.Remove(d.at(name))) }

func (d place) sync(name string) {
	f, err := os.Open(d.at(name))
	d.must(err)
	defer f.Close()
	d.must(f.Sync())
}

// other changes another file of the directory and syncs that.
func (d place) other() {
	f, err := os.OpenFile(d.at("other"), os.O_WRONLY|os.O_APPEND, 0o600)
	d.must(err)
	defer f.Close()
	_, err = f.WriteString("more")
	d.must(err)
	d.must(f.Sync())
}

// content tells what is in a file.
func content(name string) func(place) string {
	return func(d place) string {
		b, err := os.ReadFile(d.at(name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return "absent"
		case err != nil:
			return err.Error()
		case len(b) == 0:
			return "empty"
		case len(bytes.Trim(b, "\x00")) == 0:
			return "zeros"
		}
		return string(b)
	}
}

// names tells which of the names are there.
func names(all ...string) func(place) string {
	return func(d place) string {
		var there []string
		for _, n := range all {
			if _, err := os.Lstat(d.at(n)); err == nil {
				there = append(there, n)
			}
		}
		if len(there) == 0 {
			return "absent"
		}
		return strings.Join(there, " and ")
	}
}
