package soft

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/machine"
	"golang.org/x/sys/unix"
)

// openAlone is open for a disk that may end before it is closed.
func (l *lab) openAlone(t *testing.T, o flakey.Options) *Disk {
	t.Helper()
	o.Name, o.Size, o.Ledger = l.name("d"), 64*mib, l.ledger
	d, err := l.driver.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close(context.Background()) })
	return d.(*Disk)
}

// keeperOf is the process id of the keeper of a disk, a child of its daemon;
// -1: there is none.
func keeperOf(d *Disk) int {
	for _, task := range must(filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", d.pid))) {
		children, _ := os.ReadFile(task)
		for _, pid := range strings.Fields(string(children)) {
			if name, _ := os.ReadFile("/proc/" + pid + "/cmdline"); strings.HasPrefix(string(name), "assay: softdisk-keeper\x00") {
				return must(strconv.Atoi(pid))
			}
		}
	}
	return -1
}

// send sends signals to a process and waits until it has acted on each.
func send(t *testing.T, pid int, signals ...syscall.Signal) {
	t.Helper()
	if pid <= 0 {
		t.Fatal("there is no such process")
	}
	for _, s := range signals {
		if err := syscall.Kill(pid, s); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the signal to act", func() bool {
			return s == syscall.SIGCONT || acted(pid)
		})
	}
}

// small is a directory on a file system of a MiB.
func (l *lab) small(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	m, err := machine.Mount(t.Context(), l.ledger, "none", dir, "tmpfs", "size=1M")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Unmount(context.Background(), machine.UnmountOptions{}); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill writes to the device until that fails.
func fill(t *testing.T, d *Disk) {
	t.Helper()
	dev := device(t, d.Path())
	defer dev.Close()
	for at := int64(0); at < 64*mib; at += mib {
		if _, err := dev.WriteAt(pattern(mib, byte(at/mib)+1), at); err != nil {
			return
		}
	}
	t.Fatal("all of it could be written")
}

// TestIntact: a disk of which something has failed by itself says what, at once
// and for ever, also when what failed is well again.
func TestIntact(t *testing.T) {
	for _, c := range []struct {
		name  string
		o     flakey.Options
		harm  func(*testing.T, *Disk)
		wants string
	}{
		{"daemon killed", flakey.Options{}, func(t *testing.T, d *Disk) { send(t, d.pid, syscall.SIGKILL) }, "its daemon: process PID was killed (signal 9, killed)"},
		{"daemon stopped", flakey.Options{}, func(t *testing.T, d *Disk) { send(t, d.pid, syscall.SIGSTOP) }, "its daemon: process PID is stopped"},
		{"daemon stopped for a time", flakey.Options{}, func(t *testing.T, d *Disk) { send(t, d.pid, syscall.SIGSTOP, syscall.SIGCONT) }, "its daemon: process PID was stopped (SIGSTOP) for a time"},
		{"keeper killed", flakey.Options{}, func(t *testing.T, d *Disk) { send(t, keeperOf(d), syscall.SIGKILL) }, "keeper"},
		{"keeper stopped", flakey.Options{}, func(t *testing.T, d *Disk) { send(t, keeperOf(d), syscall.SIGSTOP) }, "its keeper: process"},
		{"connection aborted", flakey.Options{}, abortConnections, "was aborted"},
		{"memory used up", flakey.Options{Memory: 8 * mib}, fill, "the memory for content is used up"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			d := l.openAlone(t, c.o)
			if err := d.Intact(t.Context()); err != nil {
				t.Fatal(err)
			}
			c.harm(t, d)
			wantBroken(t, d, strings.ReplaceAll(c.wants, "PID", strconv.Itoa(d.pid)))
		})
	}
}

// acted reports whether every thread of a process has met a signal that stops or
// ends it: only then is it stopped, or ended, for those who wait for that.
func acted(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, path := range threads {
		b, err := os.ReadFile(path)
		if _, rest, ok := strings.Cut(string(b), ") "); err == nil && (!ok || !strings.ContainsAny(rest[:1], "TZX")) {
			return false
		}
	}
	return true
}

func wantBroken(t *testing.T, d *Disk, wants string) {
	t.Helper()
	// A signal acts on one thread after the other, and counts when all have met it.
	eventually(t, "what failed to be seen", func() bool { return d.Intact(t.Context()) != nil })
	for range 2 {
		if err := d.Intact(t.Context()); err == nil || !strings.Contains(err.Error(), wants) {
			t.Errorf("it says %v, want %q", err, wants)
		}
	}
	for _, pid := range []int{keeperOf(d), d.pid} { // so that it need not be waited for
		if state(pid) == 'T' {
			send(t, pid, syscall.SIGCONT)
		}
	}
	_ = d.Close(t.Context())
	if d.Intact(t.Context()) == nil {
		t.Error("closed, it says that it was intact")
	}
}

// abortConnections aborts what serves the disk, as a person may by mistake.
func abortConnections(t *testing.T, d *Disk) {
	control, err := machine.OpenFuseControl()
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	id := connectionOf(t, d)
	c, err := control.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Abort(); err != nil {
		t.Fatal(err)
	}
}

// connectionOf is the kernel's number of the connection on which the disk's
// loop device is: the minor number of the device of the file behind it.
func connectionOf(t *testing.T, d *Disk) uint32 {
	t.Helper()
	loop := device(t, d.Path())
	defer loop.Close()
	info, err := unix.IoctlLoopGetStatus64(int(loop.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	return unix.Minor(info.Device)
}

// TestIntactRecording: a recording that cannot be written is a failure of the
// disk, be it in the middle or where a power cut begins the next.
func TestIntactRecording(t *testing.T) {
	t.Run("its file system is full", func(t *testing.T) {
		l := newLab(t)
		d := l.openAlone(t, flakey.Options{Record: filepath.Join(l.small(t), "r")})
		fill(t, d)
		wantBroken(t, d, "no space left on device")
	})
	t.Run("the next cannot be made", func(t *testing.T) {
		l := newLab(t)
		d := l.openAlone(t, flakey.Options{Record: filepath.Join(l.dir, "r")})
		d.RecordNext(filepath.Join(l.dir, "none", "r"))
		if cut, err := d.PowerCut(t.Context(), flakey.Keep{}); err == nil || cut.Path == "" {
			t.Errorf("%+v, %v", cut, err)
		}
		wantBroken(t, d, "no such file or directory")
	})
}

// TestIntactClone: what has failed of a clone is the disk's, also when the clone
// is gone.
func TestIntactClone(t *testing.T) {
	l := newLab(t)
	d := l.openAlone(t, flakey.Options{Memory: 8 * mib})
	path, drop, err := d.Clone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fill(t, &Disk{path: path}) // the clone
	if err := drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantBroken(t, d, "the memory for content is used up")
}

// TestIntactThrough: nothing that a test may do to a disk is a failure of it.
func TestIntactThrough(t *testing.T) {
	l := newLab(t)
	d := l.open(t, flakey.Options{Size: 64 * mib, Record: filepath.Join(l.dir, "r"), Cache: 4 * mib})
	intact := func(when string) {
		t.Helper()
		if err := d.Intact(t.Context()); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	for i, f := range append(flakey.Kinds(), flakey.DropWrites) {
		dev := device(t, d.Path())
		if err := d.Set(t.Context(), flakey.Fault{Kind: f, Delay: map[flakey.Kind]time.Duration{flakey.Delay: time.Millisecond}[f]}); err != nil {
			t.Fatal(err)
		}
		used := make(chan struct{})
		go func() { // it may hang
			defer close(used)
			_, _ = dev.WriteAt(pattern(mib, 'x'), 0)
			_ = dev.Sync()
			_, _ = dev.ReadAt(aligned(mib), 0)
		}()
		if f == flakey.Hang {
			eventually(t, "a request to hang", func() bool { st, _ := d.Stats(t.Context()); return st.Touched[f] > 0 })
		} else {
			<-used
		}
		intact(string(f))
		d.RecordNext(filepath.Join(l.dir, fmt.Sprint("r", i)))
		if _, err := d.PowerCut(t.Context(), flakey.Keep{Mode: flakey.KeepRandom}); err != nil {
			t.Fatal(err)
		}
		<-used // the old disk fails what hung
		intact("after the power cut under " + string(f))
		dev.Close()
	}
	_, drop, err := d.Clone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	intact("with a clone")
	if err := drop(t.Context()); err != nil {
		t.Fatal(err)
	}
	intact("after it")
	if err := d.Close(t.Context()); err != nil {
		t.Error(err)
	}
	intact("closed")
}

// TestIntactUnanswered: that the asker has no time is no failure of the disk.
func TestIntactUnanswered(t *testing.T) {
	l := newLab(t)
	d := l.open(t, flakey.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Intact(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("asked without time it says %v", err)
	}
	if err := d.Intact(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestIntactDetached: a disk that another process has made says the same.
func TestIntactDetached(t *testing.T) {
	l := newLab(t)
	if _, err := l.driver.Create(t.Context(), flakey.Options{Name: l.name("d"), Size: 16 * mib, Ledger: l.ledger}); err != nil {
		t.Fatal(err)
	}
	find := func() *Disk {
		d, err := l.driver.Find(t.Context(), l.name("d"))
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Intact(t.Context()); err != nil {
			t.Fatal(err)
		}
		return d
	}
	d := find()
	send(t, d.pid, syscall.SIGSTOP)
	if err := d.Intact(t.Context()); err == nil || !strings.Contains(err.Error(), "is stopped") {
		t.Errorf("stopped it says %v", err)
	}
	send(t, d.pid, syscall.SIGCONT)
	if err := find().Close(t.Context()); err != nil {
		t.Error(err)
	}
	eventually(t, "the daemon to end", func() bool { return state(d.pid) == 0 })
}

// TestFlusherIntact: a flusher that was killed or stopped says so, and one that
// is at work or was ended does not.
func TestFlusherIntact(t *testing.T) {
	l := newLab(t)
	for name, c := range map[string]struct {
		harm  func(*Flusher)
		wants string
	}{
		"at work": {func(*Flusher) {}, ""},
		"ended":   {func(f *Flusher) { _ = f.Stop(t.Context()) }, ""},
		"killed":  {func(f *Flusher) { send(t, f.child.PID(), syscall.SIGKILL) }, "was killed (signal 9"},
		"stopped": {func(f *Flusher) { send(t, f.child.PID(), syscall.SIGSTOP) }, "is stopped"},
	} {
		f, err := StartFlusher(t.Context(), l.ledger, t.TempDir(), 0)
		if err != nil {
			t.Fatal(err)
		}
		c.harm(f)
		if c.wants != "" {
			eventually(t, "what failed to be seen", func() bool { return f.Intact() != nil })
		}
		if err := f.Intact(); (err == nil) != (c.wants == "") || err != nil && !strings.Contains(err.Error(), c.wants) {
			t.Errorf("%s: it says %v, want %q", name, err, c.wants)
		}
		_ = f.Stop(context.Background())
	}
}
