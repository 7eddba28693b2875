package worker

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// oddNames are names that together hold every byte that a name may have, with
// the longest of 255 bytes, and some that careless code trips over.
func oddNames() []string {
	var all []string
	var b []byte
	for c := range 256 {
		if c != 0 && c != '/' {
			b = append(b, byte(c))
			all = append(all, "one-"+string([]byte{byte(c)}))
		}
	}
	all = append(all, string(b[:127]), string(b[127:]), strings.Repeat("x", 255), strings.Repeat("\xff", 255),
		"...", ".hidden", " ", "\n", "-rf", "~", "a\\b", "%00", "\u202e", "é", "e\u0301")
	return all
}

// TestNamesOfAnyBytes makes, writes, links, renames, finds, reads and unlinks
// files with such names.
func TestNamesOfAnyBytes(t *testing.T) {
	l := newLab(t)
	l.wants("mkdir", 0, func(hear func(Answer)) error { return l.w.Mkdir(l.ctx, "d", hear) })
	names := oddNames()
	for i, name := range names {
		f := l.open(name, Create|Write)
		l.write(f, tag(uint64(i), 1), 0, 1000, 1000)
		l.close(f)
		l.wants("link", 0, func(hear func(Answer)) error { return l.w.Link(l.ctx, name, path.Join("d", name), hear) })
		l.wants("rename", 0, func(hear func(Answer)) error { return l.w.Rename(l.ctx, path.Join("d", name), "moved", hear) })
		l.wants("rename", 0, func(hear func(Answer)) error { return l.w.Rename(l.ctx, "moved", path.Join("d", name), hear) })
		l.reads(path.Join("d", name), tag(uint64(i), 1), 1000, exact(tag(uint64(i), 1), 0, 1000))
	}
	all, errno, err := l.w.Walk(l.ctx, "")
	if err != nil || errno != 0 || len(all) != 2*len(names)+1 {
		t.Fatalf("%d entries, want %d: %v, %v", len(all), 2*len(names)+1, errno, err)
	}
	found := map[string]Entry{}
	for _, e := range all {
		found[e.Path] = e
	}
	for _, name := range names {
		a, b := found[name], found[path.Join("d", name)]
		if !a.Regular || a.Size != 1000 || a.Inode == 0 || a.Inode != b.Inode || a.Dir || a.Errno != 0 {
			t.Errorf("%q: %+v and %+v", name, a, b)
		}
		l.wants("unlink", 0, func(hear func(Answer)) error { return l.w.Unlink(l.ctx, name, false, hear) })
	}
	onDisk, err := os.ReadDir(l.dir)
	if err != nil || len(onDisk) != 1 {
		t.Errorf("left: %v, %v", onDisk, err)
	}
}

func TestNamesThatAreNone(t *testing.T) {
	l := newLab(t)
	for name, errno := range map[string]syscall.Errno{strings.Repeat("x", 256): syscall.ENAMETOOLONG, "a/b": syscall.ENOENT, "nul\x00": syscall.EINVAL} {
		l.wants("create", errno, func(hear func(Answer)) error { _, err := l.w.Open(l.ctx, name, Create|Write, hear); return err })
		l.wants("mkdir", errno, func(hear func(Answer)) error { return l.w.Mkdir(l.ctx, name, hear) })
	}
}

// atPath is everything that can be asked for at a path.
func (l *lab) atPath(p string) map[string]func() (syscall.Errno, error) {
	one := func(call func(func(Answer)) error) func() (syscall.Errno, error) {
		return func() (errno syscall.Errno, err error) {
			err = call(func(a Answer) { errno = a.Errno })
			return errno, err
		}
	}
	in := path.Join(p, "new")
	return map[string]func() (syscall.Errno, error){
		"open":       one(func(h func(Answer)) error { _, err := l.w.Open(l.ctx, p, Write, h); return err }),
		"create":     one(func(h func(Answer)) error { _, err := l.w.Open(l.ctx, p, unix.O_CREAT|Write, h); return err }),
		"create in":  one(func(h func(Answer)) error { _, err := l.w.Open(l.ctx, in, Create|Write, h); return err }),
		"mkdir in":   one(func(h func(Answer)) error { return l.w.Mkdir(l.ctx, in, h) }),
		"rename out": one(func(h func(Answer)) error { return l.w.Rename(l.ctx, path.Join(p, "secret"), "stolen", h) }),
		"rename in":  one(func(h func(Answer)) error { return l.w.Rename(l.ctx, "mine", in, h) }),
		"link in":    one(func(h func(Answer)) error { return l.w.Link(l.ctx, "mine", in, h) }),
		"link out":   one(func(h func(Answer)) error { return l.w.Link(l.ctx, path.Join(p, "secret"), "stolen", h) }),
		"unlink in":  one(func(h func(Answer)) error { return l.w.Unlink(l.ctx, path.Join(p, "secret"), false, h) }),
		"rmdir in":   one(func(h func(Answer)) error { return l.w.Unlink(l.ctx, path.Join(p, "dir"), true, h) }),
		"syncdir":    one(func(h func(Answer)) error { return l.w.SyncDir(l.ctx, p, h) }),
		"remove all": one(func(h func(Answer)) error { return l.w.RemoveAll(l.ctx, p, h) }),
		"remove in":  one(func(h func(Answer)) error { return l.w.RemoveAll(l.ctx, path.Join(p, "dir"), h) }),
		"read":       func() (syscall.Errno, error) { _, errno, err := l.w.Read(l.ctx, p, tag(1, 1)); return errno, err },
		"read in": func() (syscall.Errno, error) {
			_, errno, err := l.w.Read(l.ctx, path.Join(p, "secret"), tag(1, 1))
			return errno, err
		},
		"walk": func() (syscall.Errno, error) { _, errno, err := l.w.Walk(l.ctx, p); return errno, err },
		"walk in": func() (syscall.Errno, error) {
			_, errno, err := l.w.Walk(l.ctx, path.Join(p, "dir"))
			return errno, err
		},
		"sectors": func() (syscall.Errno, error) { _, errno, err := l.w.Sectors(l.ctx, p); return errno, err },
	}
}

// TestNoWayOut asks for everything at and behind symbolic links, and at paths
// that lead out of the volume: nothing there is touched, or even seen. All of
// them lead to directories of this test's own: should the child let one pass,
// it does there what it is asked for.
func TestNoWayOut(t *testing.T) {
	l := emptyLab(t)
	around := filepath.Join(l.dir, "around")
	l.dir = filepath.Join(around, "root")
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	l.start()
	outside := filepath.Join(around, "outside")
	if err := os.MkdirAll(filepath.Join(outside, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"secret", "dir/secret"} {
		if err := os.WriteFile(filepath.Join(outside, name), []byte("secret"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(l.path("inside/dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	l.close(l.open("mine", Create|Write))
	for name, to := range map[string]string{"absolute": outside, "relative": "../outside", "file": filepath.Join(outside, "secret"),
		"within": "inside", "loop": "loop", "dangling": "../outside/new", "proc": "/proc/self/root" + outside} {
		if err := os.Symlink(to, l.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	links := []string{"absolute", "relative", "file", "within", "loop", "dangling", "proc", "inside/../absolute"}
	for _, p := range append(links, "..", "../outside", "inside/../../outside", outside, "../root") {
		for what, call := range l.atPath(p) {
			errno, err := call()
			if err != nil {
				t.Fatalf("%s %q: %v", what, p, err)
			}
			refused := []syscall.Errno{syscall.ELOOP, syscall.EXDEV, syscall.ENOTDIR}
			if what == "remove all" {
				refused = append(refused, syscall.EINVAL) // it may be the root
			}
			if !slices.Contains(refused, errno) {
				t.Errorf("%s %q: %v", what, p, errno)
			}
		}
	}
	all, errno, err := l.w.Walk(l.ctx, "")
	if err != nil || errno != 0 {
		t.Fatal(errno, err)
	}
	var paths []string
	for _, e := range all {
		paths = append(paths, e.Path)
		if slices.Contains(links, e.Path) && (e.Dir || e.Regular) {
			t.Errorf("%+v", e)
		}
	}
	if want := "[absolute dangling file inside inside/dir loop mine proc relative within]"; fmt.Sprint(paths) != want {
		t.Errorf("%v, want %s", paths, want)
	}
	for _, p := range []string{"secret", "dir/secret"} {
		if b, err := os.ReadFile(filepath.Join(outside, p)); string(b) != "secret" || err != nil {
			t.Errorf("%s: %q, %v", p, b, err)
		}
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) != 2 {
		t.Errorf("outside are %v, %v", left, err)
	}
	// Links themselves can be unlinked, and go with the directory that they are in.
	l.wants("unlink", 0, func(hear func(Answer)) error { return l.w.Unlink(l.ctx, "file", false, hear) })
	l.wants("rename", 0, func(hear func(Answer)) error { return l.w.Rename(l.ctx, "absolute", "inside/dir/absolute", hear) })
	l.wants("remove all", 0, func(hear func(Answer)) error { return l.w.RemoveAll(l.ctx, "inside", hear) })
	if b, err := os.ReadFile(filepath.Join(outside, "secret")); string(b) != "secret" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}
