package worker

import (
	"fmt"
	"os"
	"path"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestWalkOfNestedDirectories: each directory comes before what is in it, in
// the order of names, and what is neither file nor directory is told as such.
func TestWalkOfNestedDirectories(t *testing.T) {
	l := newLab(t)
	for _, dir := range []string{"b", "b/a", "b/a/c", "a", "empty"} {
		l.wants("mkdir", 0, func(hear func(Answer)) error { return l.w.Mkdir(l.ctx, dir, hear) })
	}
	for i, name := range []string{"b/a/c/3", "b/1", "z", "a/2"} {
		f := l.open(name, Create|Write)
		l.write(f, tag(1, 1), 0, int64(i)*100, 1000)
		l.close(f)
	}
	if err := syscall.Mkfifo(l.path("a/fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	all, errno, err := l.w.Walk(l.ctx, "")
	if err != nil || errno != 0 {
		t.Fatal(errno, err)
	}
	var got []string
	for _, e := range all {
		kind := "other"
		if e.Dir {
			kind = "dir"
		} else if e.Regular {
			kind = fmt.Sprint(e.Size)
		}
		got = append(got, e.Path+" "+kind)
	}
	if want := "[a dir a/2 300 a/fifo other b dir b/1 100 b/a dir b/a/c dir b/a/c/3 0 empty dir z 200]"; fmt.Sprint(got) != want {
		t.Errorf("\n got %v\nwant %s", got, want)
	}
	all, errno, err = l.w.Walk(l.ctx, "b/a")
	if err != nil || errno != 0 || len(all) != 2 || all[0].Path != "b/a/c" {
		t.Errorf("%+v, %v, %v", all, errno, err)
	}
	if _, errno, err := l.w.Walk(l.ctx, "nowhere"); errno != syscall.ENOENT || err != nil {
		t.Error(errno, err)
	}
	if _, errno, err := l.w.Walk(l.ctx, "z"); errno != syscall.ENOTDIR || err != nil {
		t.Error(errno, err)
	}
}

// TestDeepDirectories walks and removes directories in each other down to the
// longest path that the kernel takes, and says where it cannot look further.
func TestDeepDirectories(t *testing.T) {
	l := newLab(t)
	const deep = 300
	dir := ""
	for range deep {
		dir = path.Join(dir, "deeper")
		l.wants("mkdir", 0, func(hear func(Answer)) error { return l.w.Mkdir(l.ctx, dir, hear) })
	}
	l.close(l.open(path.Join(dir, "file"), Create|Write))
	all, errno, err := l.w.Walk(l.ctx, "")
	if err != nil || errno != 0 || len(all) != deep+1 || all[deep].Path != path.Join(dir, "file") || !all[deep].Regular {
		t.Fatalf("%d entries, want %d, %v, %v", len(all), deep+1, errno, err)
	}
	// Beyond PATH_MAX only a path that is relative to an open directory leads.
	at, err := unix.Open(l.path(dir), unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 200)
	for range 15 {
		if err := unix.Mkdirat(at, long, 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(at, long, unix.O_PATH|unix.O_DIRECTORY, 0)
		unix.Close(at)
		if err != nil {
			t.Fatal(err)
		}
		at = next
	}
	unix.Close(at)
	all, errno, err = l.w.Walk(l.ctx, "")
	if last := all[len(all)-1]; err != nil || errno != 0 || last.Errno != syscall.ENAMETOOLONG || !last.Dir {
		t.Errorf("%+v, %v, %v: where it ends is not told", last, errno, err)
	}
	if err := os.RemoveAll(l.path(path.Join(dir, long))); err != nil {
		t.Fatal(err)
	}
	l.wants("remove all", 0, func(hear func(Answer)) error { return l.w.RemoveAll(l.ctx, "deeper", hear) })
	if left, err := os.ReadDir(l.dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestRemoveAll removes a directory with whatever may be in it, and nothing
// beside it; once more is no error.
func TestRemoveAll(t *testing.T) {
	l := newLab(t)
	for _, dir := range []string{"d", "d/e", "d/e/f", "d/empty", "other"} {
		if err := os.Mkdir(l.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 1000 {
		l.close(l.open(fmt.Sprintf("d/e/%d", i), Create|Write))
	}
	l.close(l.open("other/file", Create|Write))
	if err := os.Symlink("../other", l.path("d/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(l.path("other/file"), l.path("d/e/f/hard")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		l.wants("remove all", 0, func(hear func(Answer)) error { return l.w.RemoveAll(l.ctx, "d", hear) })
	}
	all, errno, err := l.w.Walk(l.ctx, "")
	if err != nil || errno != 0 || len(all) != 2 || all[1].Path != "other/file" {
		t.Errorf("%+v, %v, %v", all, errno, err)
	}
	for _, root := range []string{"", ".", "other/..", "./."} {
		l.wants("remove the root", syscall.EINVAL, func(hear func(Answer)) error { return l.w.RemoveAll(l.ctx, root, hear) })
	}
	l.wants("remove a file as a directory", syscall.ENOTDIR, func(hear func(Answer)) error { return l.w.RemoveAll(l.ctx, "other/file", hear) })
	l.wants("rmdir what is not empty", syscall.ENOTEMPTY, func(hear func(Answer)) error { return l.w.Unlink(l.ctx, "other", true, hear) })
}
