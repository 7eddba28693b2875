package machine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// names are directories that break careless parsers of /proc.
var names = []string{"plain", "two words", "a\nline", "tab\tand \\040 escape", "no utf-8 \xff\xfe", "quote\"d"}

func TestMountAnywhereAndUnmount(t *testing.T) {
	needFilesystem(t, "ext4")
	l := newLab(t)
	d := l.filesystem(t, "disk", "ext4")
	ctx := boundedContext(t)
	for _, name := range names {
		dir := l.mkdir(t, name)
		m, err := Mount(ctx, l.ledger, d.Path(), dir, "ext4", "commit=1000,noatime,nodev")
		if err != nil {
			t.Fatal(err)
		}
		unmountAtEnd(t, m)
		on, err := MountedAt(dir)
		if err != nil || len(on) != 1 {
			t.Fatalf("%q: %v, %v", name, on, err)
		}
		if on[0].Type != "ext4" || on[0].Source != d.Path() || !strings.Contains(on[0].Super, "commit=1000") ||
			!strings.Contains(on[0].Options, "noatime") || !strings.Contains(on[0].Options, "nodev") {
			t.Errorf("%q: %+v", name, on[0])
		}
		if of, err := MountsOf(d.Path()); err != nil || !slices.Equal(of, on) {
			t.Errorf("%q: mounts of the device: %v, %v", name, of, err)
		}
		if left := l.ledger.Left(); left[len(left)-1].Kind != "mount" {
			t.Errorf("%q: the ledger has %v", name, left)
		}
		if err := m.Unmount(ctx, UnmountOptions{}); err != nil {
			t.Error(err)
		}
		if on, err := MountedAt(dir); err != nil || len(on) > 0 {
			t.Errorf("%q: %v, %v", name, on, err)
		}
		if err := m.Unmount(ctx, UnmountOptions{}); err != nil {
			t.Errorf("twice: %v", err)
		}
	}
}

func TestMountRefusesBeforeItChangesAnything(t *testing.T) {
	needFilesystem(t, "ext4")
	l := newLab(t)
	ctx := boundedContext(t)
	d := l.filesystem(t, "disk", "ext4")
	empty, used, full := l.mkdir(t, "empty"), l.mkdir(t, "used"), l.mkdir(t, "full")
	if err := os.Symlink(used, filepath.Join(l.dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full+"/precious", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m, err := Mount(ctx, l.ledger, d.Path(), used, "ext4", "")
	if err != nil {
		t.Fatal(err)
	}
	unmountAtEnd(t, m)
	before, entries := mountsBelow(t, l.dir), l.ledger.Left()
	bad := l.loop(t, l.file(t, "zeroes", 1<<20), LoopOptions{})
	entries = append(entries, l.ledger.Left()[len(entries):]...)
	for _, c := range []struct {
		what, source, dir, fstype, options string
		is                                 error
		says                               string
	}{
		{"in use", d.Path(), used, "ext4", "", ErrMountPointInUse, d.Path()},
		{"in use by way of a link", d.Path(), filepath.Join(l.dir, "link"), "ext4", "", ErrMountPointInUse, "link"},
		{"not empty", d.Path(), full, "ext4", "", unix.ENOTEMPTY, "precious"},
		{"no directory", d.Path(), full + "/precious", "ext4", "", unix.ENOTDIR, "precious"},
		{"missing directory", d.Path(), full + "/none", "ext4", "", unix.ENOENT, "none"},
		{"missing device", "/dev/assay none", empty, "ext4", "", unix.ENOENT, "/dev/assay none"},
		{"no device", full + "/precious", empty, "ext4", "", unix.ENOTBLK, ""},
		{"unknown file system", d.Path(), empty, "zfs9", "", unix.ENODEV, "zfs9"},
		{"another file system", bad.Path(), empty, "xfs", "", unix.EINVAL, "xfs"},
		{"no file system", bad.Path(), empty, "ext4", "", unix.EINVAL, ""},
		{"unknown option", d.Path(), empty, "ext4", "bananas=7", unix.EINVAL, "bananas"},
		{"option of mount(8)", d.Path(), empty, "ext4", "loop", nil, "mount(8)"},
	} {
		t.Run(c.what, func(t *testing.T) {
			m, err := Mount(ctx, l.ledger, c.source, c.dir, c.fstype, c.options)
			if err == nil {
				unmountAtEnd(t, m)
			}
			wantError(t, err, c.is, c.says)
			if now := mountsBelow(t, l.dir); !slices.Equal(now, before) {
				t.Errorf("mounts: %v", now)
			}
			if now := l.ledger.Left(); !slices.Equal(now, entries) {
				t.Errorf("the ledger has %v", now)
			}
		})
	}
	over, err := MountOver(ctx, l.ledger, d.Path(), full, "ext4", "")
	if err != nil {
		t.Fatal(err)
	}
	unmountAtEnd(t, over)
}

func mountsBelow(t *testing.T, dir string) []MountInfo {
	t.Helper()
	below, err := mountsThat(func(m MountInfo) bool { return strings.HasPrefix(m.Dir, dir) })
	if err != nil {
		t.Fatal(err)
	}
	return below
}

func TestUnmountOfABusyMount(t *testing.T) {
	needFilesystem(t, "ext4")
	l := newLab(t)
	ctx := boundedContext(t)
	d := l.filesystem(t, "disk", "ext4")
	dir := l.mkdir(t, "a\nbusy one")
	m, err := Mount(ctx, l.ledger, d.Path(), dir, "ext4", "")
	if err != nil {
		t.Fatal(err)
	}
	unmountAtEnd(t, m)
	sleeper := sleepIn(t, dir)
	open, err := os.Create(dir + "/open")
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if _, err := open.Write([]byte("some")); err != nil {
		t.Fatal(err)
	}
	mapped, err := unix.Mmap(int(open.Fd()), 0, 4, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(mapped)

	err = m.Unmount(ctx, UnmountOptions{Patience: 100 * time.Millisecond})
	wantError(t, err, unix.EBUSY, "is in use")
	busy := (*BusyError)(nil)
	if !errors.As(err, &busy) {
		t.Fatalf("%v is no BusyError", err)
	}
	var pids []int
	for _, h := range busy.Holders {
		pids = append(pids, h.PID)
		if h.PID == os.Getpid() && (!strings.Contains(h.How, "fd ") || !strings.Contains(h.How, "mapped ")) {
			t.Errorf("it says %q of this process", h.How)
		}
	}
	slices.Sort(pids)
	want := []int{os.Getpid(), sleeper.Process.Pid}
	slices.Sort(want)
	if !slices.Equal(pids, want) || busy.Blind != nil {
		t.Errorf("held by %v (%v), not %v", busy.Holders, busy.Blind, want)
	}
	if on, err := MountedAt(dir); err != nil || len(on) != 1 {
		t.Errorf("mounted: %v, %v", on, err)
	}

	if err := m.Unmount(ctx, UnmountOptions{Patience: time.Millisecond, Force: true}); err != nil {
		t.Error(err)
	}
	if on, err := MountedAt(dir); err != nil || len(on) > 0 {
		t.Errorf("mounted: %v, %v", on, err)
	}
	if _, err := open.Write([]byte("the holder goes on")); err != nil {
		t.Error(err)
	}
}

// A mount whose device is gone is let go of at once, whoever uses it, and makes
// room for the next.
func TestUnmountOfADeadMount(t *testing.T) {
	needFilesystem(t, "ext4")
	l := newLab(t)
	ctx := boundedContext(t)
	d := l.filesystem(t, "disk", "ext4")
	dir := l.mkdir(t, "dir")
	m, err := Mount(ctx, l.ledger, d.Path(), dir, "ext4", "")
	if err != nil {
		t.Fatal(err)
	}
	unmountAtEnd(t, m)
	open, err := os.Create(dir + "/open")
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	entries := len(l.ledger.Left())
	if err := m.Unmount(ctx, UnmountOptions{Dead: true}); err != nil {
		t.Error(err)
	}
	if left := l.ledger.Left(); len(left) != entries-1 {
		t.Errorf("the ledger has %v", left)
	}
	next, err := Mount(ctx, l.ledger, l.filesystem(t, "another disk", "ext4").Path(), dir, "ext4", "")
	if err != nil {
		t.Fatal(err)
	}
	unmountAtEnd(t, next)
	if err := m.Unmount(ctx, UnmountOptions{Dead: true}); err != nil {
		t.Errorf("twice: %v", err)
	}
	if on, err := MountedAt(dir); err != nil || len(on) != 1 || on[0].Source != next.Source {
		t.Errorf("mounted: %v, %v", on, err)
	}
	if _, err := open.Write([]byte("the holder goes on")); err != nil {
		t.Error(err)
	}
}

func TestUnmountIsPatient(t *testing.T) {
	needFilesystem(t, "ext4")
	l := newLab(t)
	ctx := boundedContext(t)
	d := l.filesystem(t, "disk", "ext4")
	dir := l.mkdir(t, "dir")
	m, err := Mount(ctx, l.ledger, d.Path(), dir, "ext4", "")
	if err != nil {
		t.Fatal(err)
	}
	unmountAtEnd(t, m)
	open, err := os.Create(dir + "/open")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		time.Sleep(200 * time.Millisecond)
		open.Close()
	}()
	if err := Unmount(ctx, dir, UnmountOptions{Patience: bound}); err != nil {
		t.Error(err)
	}
	if err := Unmount(ctx, dir, UnmountOptions{}); err != nil {
		t.Errorf("of nothing: %v", err)
	}
}

// Somebody has unmounted ours and mounted something else in the same place.
func TestCleanTakesNobodyElsesMount(t *testing.T) {
	needFilesystem(t, "ext4")
	l := newLab(t)
	ctx := boundedContext(t)
	d := l.filesystem(t, "disk", "ext4")
	dir := l.mkdir(t, "dir")
	ours, err := Mount(ctx, l.ledger, d.Path(), dir, "ext4", "")
	if err != nil {
		t.Fatal(err)
	}
	left := l.ledger.Left()
	name := left[len(left)-1].Name
	if err := Unmount(ctx, dir, UnmountOptions{}); err != nil {
		t.Fatal(err)
	}
	theirs, err := Mount(ctx, l.ledger, d.Path(), dir, "ext4", "")
	if err != nil {
		t.Fatal(err)
	}
	unmountAtEnd(t, theirs)
	if err := errors.Join(undoMount(ctx, name), ours.Unmount(ctx, UnmountOptions{Force: true})); err != nil {
		t.Error(err)
	}
	if on, err := MountedAt(dir); err != nil || len(on) != 1 {
		t.Errorf("mounted: %v, %v", on, err)
	}
	left = l.ledger.Left()
	if err := undoMount(ctx, strings.Replace(left[len(left)-1].Name, "-", "+", 1)); err != nil { // of another boot
		t.Error(err)
	}
	if on, err := MountedAt(dir); err != nil || len(on) != 1 {
		t.Errorf("mounted: %v, %v", on, err)
	}
	if err := removeDirectory(ctx, l.dir); err == nil {
		t.Error("a directory with a mount in it was removed")
	}
	if err := undoMount(ctx, left[len(left)-1].Name); err != nil {
		t.Error(err)
	}
	if on, err := MountedAt(dir); err != nil || len(on) > 0 {
		t.Errorf("mounted: %v, %v", on, err)
	}
}

// maker makes everything that can be made, tells each step, and waits at the
// end to be killed: args are the directory and the file system.
var maker = Daemon("test-maker", func(ctx context.Context, args []string, _ io.Reader, stdout io.Writer) error {
	ledger, err := OpenLedger(filepath.Join(args[0], "state"))
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(args[0], "disk"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, "begun")
	d, err := Attach(ctx, ledger, f, LoopOptions{})
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, "attached")
	if err := Mkfs(ctx, d.Path(), args[1]); err != nil {
		return err
	}
	fmt.Fprintln(stdout, "made")
	dir := filepath.Join(args[0], "mount point")
	if _, err := ledger.Intend("mount-point", dir); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if _, err := Mount(ctx, ledger, d.Path(), dir, args[1], ""); err != nil {
		return err
	}
	fmt.Fprintln(stdout, "mounted")
	if err := os.WriteFile(dir+"/file", make([]byte, 1<<20), 0o600); err != nil {
		return err
	}
	fmt.Fprintln(stdout, "written")
	if err := Unmount(ctx, dir, UnmountOptions{}); err != nil {
		return err
	}
	fmt.Fprintln(stdout, "unmounted")
	if r, err := Fsck(ctx, d.Path(), args[1]); err != nil || !r.Clean {
		return fmt.Errorf("%+v, %w", r, err)
	}
	fmt.Fprintln(stdout, "checked")
	select {}
})

func TestNothingIsLeftOfAKilledMaker(t *testing.T) {
	steps := []string{"begun", "attached", "made", "mounted", "written", "unmounted", "checked"}
	for _, fstype := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(fstype, func(t *testing.T) {
			needFilesystem(t, fstype)
			for n := range rounds(len(steps), 8*len(steps)) {
				killMaker(t, fstype, steps[n%len(steps)], time.Duration(n/len(steps))*7*time.Millisecond)
			}
		})
	}
}

// killMaker kills the maker a moment after a step, cleans, and lets the lab
// look for what is left.
func killMaker(t *testing.T, fstype, step string, later time.Duration) {
	t.Run(fmt.Sprintf("%s+%v", step, later), func(t *testing.T) {
		l := newLab(t)
		fs, err := fileSystemNamed(fstype)
		if err != nil {
			t.Fatal(err)
		}
		l.file(t, "disk", max(fs.min, 32<<20))
		c, err := maker.Start(boundedContext(t), l.ledger, l.dir, fstype)
		if err != nil {
			t.Fatal(err)
		}
		for lines := bufio.NewScanner(c.Stdout); ; {
			if !lines.Scan() {
				<-c.Done()
				t.Fatalf("the maker ended before %q: %v", step, c.Err())
			}
			if lines.Text() == step {
				break
			}
		}
		time.Sleep(later)
		if err := c.Kill(); err != nil {
			t.Error(err)
		}
		l.clean(t)
		if _, err := os.Stat(l.dir + "/mount point"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the mount point: %v", err)
		}
	})
}

// A mount held by a process that does not end: Clean takes it out of the tree,
// and names who keeps the device.
func TestCleanOfAHeldMount(t *testing.T) {
	needFilesystem(t, "ext4")
	l := newLab(t)
	l.file(t, "disk", 32<<20)
	c, err := maker.Start(boundedContext(t), l.ledger, l.dir, "ext4")
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(c.Stdout)
	for lines.Scan() && lines.Text() != "mounted" {
	}
	holder := sleepIn(t, l.dir+"/mount point")
	if err := c.Kill(); err != nil {
		t.Error(err)
	}
	var told []string
	err = Clean(boundedContext(t), l.ledger.Dir(), Undoes(), func(c Cleaned) {
		told = append(told, fmt.Sprint(c.Entry.Kind, " ", c.Err == nil))
	})
	wantError(t, err, context.DeadlineExceeded, "still in use", fmt.Sprintf("process %d", holder.Process.Pid))
	if !slices.Equal(told, []string{"mount true", "mount-point true", "loop false"}) {
		t.Errorf("it told %q", told)
	}
	holder.Process.Kill()
	holder.Wait()
}

func BenchmarkMountUnmount(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("needs root")
	}
	ledger, err := OpenLedger(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	for b.Loop() {
		m, err := Mount(b.Context(), ledger, "none", dir, "tmpfs", "")
		if err != nil {
			b.Fatal(err)
		}
		if err := m.Unmount(b.Context(), UnmountOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	if err := ledger.Close(); err != nil {
		b.Fatal(err)
	}
}

// TestMountRefusal tells what the kernel says of a device from what is ours.
func TestMountRefusal(t *testing.T) {
	needFilesystem(t, "ext4")
	l := newLab(t)
	ctx := boundedContext(t)
	blank, good := l.loop(t, l.file(t, "blank", 64<<20), LoopOptions{}), l.filesystem(t, "good", "ext4")
	full := l.mkdir(t, "full")
	if err := os.WriteFile(full+"/precious", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		source, dir string
		refused     bool
	}{
		"no file system is on it": {blank.Path(), l.mkdir(t, "a"), true},
		"a directory in use":      {good.Path(), full, false},
		"no directory":            {good.Path(), l.dir + "/none", false},
	} {
		_, err := Mount(ctx, l.ledger, c.source, c.dir, "ext4", "")
		if errno, refused := MountRefusal(err); err == nil || refused != c.refused || refused != (errno != 0) {
			t.Errorf("%s: %v: refused %v (%v)", what, err, refused, errno)
		}
	}
}
