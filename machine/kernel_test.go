package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What the tests of loop devices and file systems share. They use the real
// kernel, and each looks afterwards for what it has left there.

// bound ends a test that hangs; it asserts nothing.
const bound = 5 * time.Minute

func boundedContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	t.Cleanup(cancel)
	return ctx
}

func needLoop(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, for loop devices and mounts")
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skipf("needs loop devices: %v", err)
	}
	fd, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		t.Skipf("needs the right to mount, and Linux 5.2: %v", err)
	}
	unix.Close(fd)
	if err := kernelHas("ext4"); err != nil {
		t.Skip(err)
	}
}

func needFilesystem(t *testing.T, fstype string) {
	t.Helper()
	needLoop(t)
	if err := SupportsFilesystem(fstype); err != nil {
		t.Skip(err)
	}
}

const markEnv = "ASSAY_TEST_MARK"

// lab is a directory of a test's own, and a ledger. When the test has ended
// nothing of it may be left: no device, mount, process or ledger.
type lab struct {
	dir    string
	mark   string // in the environment of every process that the test starts
	ledger *Ledger
}

func newLab(t *testing.T) *lab {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{dir: dir, mark: Token()}
	t.Setenv(markEnv, l.mark)
	t.Setenv("GORACE", "atexit_sleep_ms=0") // or each child takes a second to end
	if l.ledger, err = OpenLedger(filepath.Join(dir, "state")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.ledger.Close(); err != nil {
			t.Error(err)
		}
		l.clean(t)
		l.awaitNothing(t)
	})
	return l
}

// clean cleans until no ledger is left: that of a child that was just killed
// may be locked for another moment.
func (l *lab) clean(t *testing.T) {
	t.Helper()
	var err error
	for end := time.Now().Add(bound); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		err = Clean(context.Background(), l.ledger.Dir(), Undoes(), func(Cleaned) {})
		left, _ := filepath.Glob(filepath.Join(l.ledger.Dir(), "ledgers", "*"))
		if own := l.ledger.file.Name(); len(left) == 0 || len(left) == 1 && left[0] == own {
			if err != nil {
				t.Error(err)
			}
			return
		}
	}
	t.Errorf("the ledgers were not emptied: %v", err)
}

func (l *lab) awaitNothing(t *testing.T) {
	t.Helper()
	var left []string
	for end := time.Now().Add(bound); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if left = l.left(); len(left) == 0 {
			return
		}
	}
	t.Errorf("left behind: %q", left)
}

func (l *lab) left() []string {
	var left []string
	backed, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, b := range backed {
		if file, _ := os.ReadFile(b); bytes.HasPrefix(file, []byte(l.dir)) {
			left = append(left, b)
		}
	}
	mounts, _ := Mounts()
	for _, m := range mounts {
		if strings.HasPrefix(m.Dir, l.dir) {
			left = append(left, "mount on "+m.Dir)
		}
	}
	nodes, _ := filepath.Glob("/dev/assay-*")
	left = append(left, nodes...)
	envs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, e := range envs {
		if e == fmt.Sprintf("/proc/%d/environ", os.Getpid()) {
			continue
		}
		if env, _ := os.ReadFile(e); bytes.Contains(env, []byte(markEnv+"="+l.mark)) {
			name, _ := os.ReadFile(filepath.Dir(e) + "/cmdline")
			left = append(left, fmt.Sprintf("%s: %q", e, name))
		}
	}
	return left
}

func (l *lab) file(t *testing.T, name string, size int64) *os.File {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(l.dir, name), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if size > 0 {
		if err := f.Truncate(size); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// loop attaches a file; the test detaches it, or it is done at the end.
func (l *lab) loop(t *testing.T, f *os.File, o LoopOptions) *Loop {
	t.Helper()
	d, err := Attach(boundedContext(t), l.ledger, f, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { detach(t, d) })
	return d
}

func detach(t *testing.T, d *Loop) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), bound)
	defer cancel()
	if err := d.Detach(ctx); err != nil {
		t.Error(err)
	}
}

func (l *lab) mkdir(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(l.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// filesystem is a new device with a file system of that type.
func (l *lab) filesystem(t *testing.T, name, fstype string, opts ...string) *Loop {
	t.Helper()
	f, err := fileSystemNamed(fstype)
	if err != nil {
		t.Fatal(err)
	}
	d := l.loop(t, l.file(t, name, max(f.min, 32<<20)), LoopOptions{Name: t.Name()})
	if err := Mkfs(boundedContext(t), d.Path(), fstype, opts...); err != nil {
		t.Fatal(err)
	}
	return d
}

// clone copies the image of a file system and attaches the copy.
func (l *lab) clone(t *testing.T, image, name string) *Loop {
	t.Helper()
	to := filepath.Join(l.dir, name)
	if out, err := exec.Command("cp", "--sparse=always", filepath.Join(l.dir, image), to).CombinedOutput(); err != nil {
		t.Fatalf("cp: %v: %s", err, out)
	}
	return l.loop(t, l.file(t, name, 0), LoopOptions{Name: t.Name()})
}

func unmountAtEnd(t *testing.T, m *MountPoint) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), bound)
		defer cancel()
		if err := m.Unmount(ctx, UnmountOptions{Force: true}); err != nil {
			t.Error(err)
		}
	})
}

func rounds(small, full int) int {
	if os.Getenv("ASSAY_FULL") != "" {
		return full
	}
	return small
}

// sleepIn starts a process that holds dir as its working directory.
func sleepIn(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	c := exec.Command("sleep", strconv.Itoa(int(2*bound/time.Second)))
	c.Dir = dir
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	return c
}

func wantError(t *testing.T, err, is error, says ...string) {
	t.Helper()
	if err == nil {
		t.Error("no error")
		return
	}
	if is != nil && !errors.Is(err, is) {
		t.Errorf("%v is not %v", err, is)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("%q does not say %q", err, s)
		}
	}
}
