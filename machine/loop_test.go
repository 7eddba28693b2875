package machine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestLoopIsWhatWasAskedFor(t *testing.T) {
	needLoop(t)
	l := newLab(t)
	for _, block := range []int{0, 512, 4096} {
		d := l.loop(t, l.file(t, "disk", 4<<20), LoopOptions{BlockSize: block, Name: "the name of a disk that is far, far too long for the field"})
		if n, err := DeviceSize(d.Path()); n != 4<<20 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		info, err := unix.IoctlLoopGetStatus64(int(d.dev.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		if want := uint32(unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO); info.Flags != want {
			t.Errorf("flags are %#x, not %#x", info.Flags, want)
		}
		if name := unix.ByteSliceToString(info.File_name[:]); len(name) != 63 || !strings.HasPrefix(name, "assay:the name") {
			t.Errorf("it is named %q", name)
		}
		if got, err := loopFact(d.bound.number, "queue/logical_block_size"); got != fmt.Sprint(max(block, 512)) {
			t.Errorf("blocks of %s, %v", got, err)
		}
		detach(t, d)
		detach(t, d) // twice is no error
		if left := l.ledger.Left(); len(left) > 0 {
			t.Errorf("the ledger has %v", left)
		}
	}
}

func TestReadOnlyLoop(t *testing.T) {
	needLoop(t)
	l := newLab(t)
	d := l.loop(t, l.file(t, "disk", 1<<20), LoopOptions{ReadOnly: true})
	if ro, err := loopFact(d.bound.number, "ro"); ro != "1" {
		t.Errorf("read-only is %q, %v", ro, err)
	}
}

func TestLoopRefusesThePageCache(t *testing.T) {
	needLoop(t)
	l := newLab(t)
	coarse := l.loop(t, l.file(t, "disk", 1<<20), LoopOptions{BlockSize: 4096}) // no direct I/O of 512 bytes on this
	f, err := os.OpenFile(coarse.Path(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = Attach(boundedContext(t), l.ledger, f, LoopOptions{})
	wantError(t, err, nil, "page cache")
	d, err := Attach(boundedContext(t), l.ledger, f, LoopOptions{Buffered: true})
	if err != nil {
		t.Fatal(err)
	}
	detach(t, d)
	_, err = Attach(boundedContext(t), l.ledger, f, LoopOptions{BlockSize: 1000})
	wantError(t, err, nil, "512, 1024, 2048 or 4096")
	if left := l.ledger.Left(); len(left) != 1 {
		t.Errorf("the ledger has %v", left)
	}
}

func TestBusyLoopNamesItsUsersAndClearsItself(t *testing.T) {
	needLoop(t)
	l := newLab(t)
	d := l.loop(t, l.file(t, "disk", 1<<20), LoopOptions{})
	user, err := os.Open(d.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer user.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err = d.Detach(ctx)
	wantError(t, err, context.DeadlineExceeded, "still in use", fmt.Sprintf("process %d", os.Getpid()))
	if left := l.ledger.Left(); len(left) != 1 {
		t.Errorf("the ledger has %v", left)
	}
	user.Close()
	detach(t, d)
}

// A killed maker whose device somebody else has open. Of one device that
// serves one file after another only the first binding is the entry's.
func TestCleanWaitsForItsOwnBinding(t *testing.T) {
	needLoop(t)
	l := newLab(t)
	d := l.loop(t, l.file(t, "disk", 1<<20), LoopOptions{Name: "disk"})
	name := l.ledger.Left()[0].Name
	user, err := os.Open(d.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer user.Close()
	d.Loose()
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	wantError(t, undoLoop(short, name), context.DeadlineExceeded, d.Path(), "still in use")
	go func() {
		time.Sleep(50 * time.Millisecond)
		user.Close()
	}()
	if err := undoLoop(boundedContext(t), name); err != nil {
		t.Error(err)
	}
	if lasts, err := d.bound.lasts(); lasts || err != nil {
		t.Errorf("it is still there: %v, %v", lasts, err)
	}
	var again *Loop
	for range loopTries { // until the kernel gives the same device once more
		if again = l.loop(t, l.file(t, "disk", 1<<20), LoopOptions{Name: "disk"}); again.Path() == d.Path() {
			break
		}
	}
	if err := undoLoop(boundedContext(t), name); err != nil {
		t.Error(err)
	}
	if lasts, err := again.bound.lasts(); !lasts || err != nil {
		t.Errorf("another binding: %v, %v", lasts, err)
	}
}

func FuzzBinding(f *testing.F) {
	for i, name := range names {
		f.Add(i, name, "17")
	}
	f.Fuzz(func(t *testing.T, n int, file, seq string) {
		b := binding{boot: "5f1c0b0e-8c1e-4c7e-9a0e-000000000000", number: n, seq: seq, file: file}
		if got, err := parseBinding(b.String()); got != b || err != nil {
			t.Errorf("%+v became %+v, %v", b, got, err)
		}
	})
}

// ownNamespace gives this thread a mount namespace of its own. The copies of
// mounts of loop devices would keep those of other tests; only that on keep stays.
func ownNamespace(keep string) error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	b, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return err
	}
	mounts, err := parseMountInfo(b)
	for _, m := range slices.Backward(mounts) {
		if strings.HasPrefix(m.Source, "/dev/loop") && m.Dir != keep {
			err = errors.Join(err, unix.Unmount(m.Dir, unix.MNT_DETACH))
		}
	}
	return err
}

// elsewhere has a mount namespace of its own, with a copy of the mount on
// args[0], until its standard input ends.
var elsewhere = Daemon("test-elsewhere", func(_ context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	if err := ownNamespace(args[0]); err != nil {
		return err
	}
	fmt.Fprintln(stdout, "there")
	_, err := io.Copy(io.Discard, stdin)
	return err
})

// TestDeviceHeldByAnotherNamespace: who keeps a device that nobody here has
// mounted or open is told.
func TestDeviceHeldByAnotherNamespace(t *testing.T) {
	for _, fs := range []string{"ext4", "btrfs"} {
		t.Run(fs, func(t *testing.T) {
			needFilesystem(t, fs)
			l := newLab(t)
			d := l.filesystem(t, "disk", fs)
			m, err := Mount(boundedContext(t), l.ledger, d.Path(), l.mkdir(t, "dir"), fs, "")
			if err != nil {
				t.Fatal(err)
			}
			unmountAtEnd(t, m)
			c, err := elsewhere.Start(boundedContext(t), l.ledger, m.Dir)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Stop(context.Background()) })
			if line, err := bufio.NewReader(c.Stdout).ReadString('\n'); line != "there\n" {
				t.Fatal(line, err, c.Err())
			}
			if err := m.Unmount(boundedContext(t), UnmountOptions{}); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(boundedContext(t), 100*time.Millisecond)
			defer cancel()
			err = d.Detach(ctx)
			wantError(t, err, context.DeadlineExceeded, fmt.Sprintf("process %d ", c.PID()), "namespace")
			if err := c.Stop(boundedContext(t)); err != nil {
				t.Error(err)
			}
			if err := d.Detach(boundedContext(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

// bareDev attaches the file args[1] in a mount namespace whose /dev has
// nothing but the loop control, like a container's.
var bareDev = Daemon("test-bare-dev", func(ctx context.Context, args []string, _ io.Reader, stdout io.Writer) error {
	ledger, err := OpenLedger(args[0])
	if err != nil {
		return err
	}
	f, err := os.OpenFile(args[1], os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := ownNamespace(""); err != nil {
		return err
	}
	if err := unix.Mount("bare", "/dev", "tmpfs", 0, ""); err != nil {
		return err
	}
	if err := unix.Mknod("/dev/loop-control", unix.S_IFCHR|0o600, int(unix.Mkdev(10, 237))); err != nil {
		return err
	}
	// attach and not Attach: only this thread is in the namespace.
	d, err := attach(ledger, f, LoopOptions{BlockSize: 512})
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(d.Path(), &st); err != nil {
		return err
	}
	d.dev.Close()
	if err := d.bound.awaitEnd(ctx); err != nil {
		return err
	}
	left := len(ledger.Left())
	if err := d.gone(); err != nil {
		return err
	}
	nodes, err := os.ReadDir("/dev")
	fmt.Fprintln(stdout, strings.HasPrefix(d.Path(), "/dev/assay-loop"), left, len(nodes), ledger.Close())
	return err
})

func TestLoopWithoutDeviceNodes(t *testing.T) {
	needLoop(t)
	l := newLab(t)
	f := l.file(t, "disk", 1<<20)
	c, err := bareDev.Start(boundedContext(t), l.ledger, l.ledger.Dir(), f.Name())
	if err != nil {
		t.Fatal(err)
	}
	line, _ := bufio.NewReader(c.Stdout).ReadString('\n')
	<-c.Done()
	if c.Err() != nil || line != "true 2 1 <nil>\n" {
		t.Errorf("got %q, %v", line, c.Err())
	}
}

func TestRemoveNodeRemovesOnlyNodes(t *testing.T) {
	path := t.TempDir() + "/file"
	if err := removeNode(path); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantError(t, removeNode(path), nil, "no block device")
}
