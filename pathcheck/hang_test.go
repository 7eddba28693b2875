package pathcheck

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/flakey/soft"
	"github.com/seed-1b600011/assay/machine"
	"golang.org/x/sys/unix"
)

// helpersOf are the processes that a process has started.
func helpersOf(pid int) (all []int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		b, _ := os.ReadFile(task)
		for _, f := range strings.Fields(string(b)) {
			n, _ := strconv.Atoi(f)
			all = append(all, n)
		}
	}
	return all
}

// inState counts the threads of processes that are in a state of
// proc_pid_stat(5).
func inState(state byte, pids ...int) (n int) {
	for _, pid := range pids {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		for _, task := range tasks {
			b, _ := os.ReadFile(task)
			if i := strings.LastIndexByte(string(b), ')'); i > 0 && len(b) > i+2 && b[i+2] == state {
				n++
			}
		}
	}
	return n
}

// disk is a mounted ext4 on a soft disk.
type disk struct {
	flakey.Disk
	dir string
}

func newDisk(t *testing.T) disk {
	t.Helper()
	if err := (soft.Driver{}).Supports(""); err != nil {
		t.Skip(err)
	}
	if err := machine.SupportsFilesystem("ext4"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	ledger, err := machine.OpenLedger(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ledger.Close() })
	d, err := soft.Driver{}.Open(t.Context(), flakey.Options{Name: "pathcheck-" + machine.Token()[:8], Dir: filepath.Join(dir, "disks"), Size: 64 << 20, Ledger: ledger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close(context.Background()) })
	if err := machine.Mkfs(t.Context(), d.Path(), "ext4"); err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(dir, "mnt")
	if err := os.Mkdir(at, 0o700); err != nil {
		t.Fatal(err)
	}
	m, err := machine.Mount(t.Context(), ledger, d.Path(), at, "ext4", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		d.Set(context.Background())
		if err := m.Unmount(context.Background(), machine.UnmountOptions{Force: true}); err != nil {
			t.Error(err)
		}
	})
	if err := os.WriteFile(filepath.Join(at, "file"), make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	// Not sync(2): other tests, of other packages at the same time, rest on what
	// is not synced.
	top, err := os.Open(at)
	if err != nil {
		t.Fatal(err)
	}
	defer top.Close()
	if err := unix.Syncfs(int(top.Fd())); err != nil {
		t.Fatal(err)
	}
	return disk{d, at}
}

// hangs is what every hang must show: the path does not answer, its thread is in
// the state D where the kernel gives that, another path answers, stop is answered
// by 115, and the end of standard input ends the program at once. Then it
// is released, and nothing is left.
func hangs(t *testing.T, check, path, other string, state byte, release func()) {
	t.Helper()
	p := start(t, check)
	p.tell("start " + path + " 1")
	p.awaitLog(path + ": no answer")
	helpers := helpersOf(p.cmd.Process.Pid)
	if len(helpers) == 0 {
		t.Fatal("there are no helpers")
	}
	if n := inState(state, helpers...); n == 0 {
		t.Errorf("no thread is in the state %c", state)
	}
	p.tell("start "+other+" 1", "stop "+path)
	p.await("stop " + path + " " + errnoText(unix.EINPROGRESS))
	p.await("check " + other + " 0 ")
	p.await("check " + other + " 0 ")
	if code := p.end(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	if state == 'D' {
		for _, pid := range helpers {
			if unix.Kill(pid, 0) != nil {
				t.Error("nothing hangs after the end: it was no real hang")
			}
		}
	}
	release()
	eventually(t, "the helpers to end", func() bool {
		for _, pid := range helpers {
			if unix.Kill(pid, 0) == nil {
				return false
			}
		}
		return true
	})
}

func TestHungDisk(t *testing.T) {
	t.Parallel()
	d := newDisk(t)
	if err := d.Set(t.Context(), flakey.Fault{Kind: flakey.Hang}); err != nil {
		t.Fatal(err)
	}
	hangs(t, "read", filepath.Join(d.dir, "file"), file(t), 'D', func() { d.Set(t.Context()) })
}

// Of <linux/fs.h>.
const (
	fiFreeze = 0xc0045877
	fiThaw   = 0xc0045878
)

func TestFrozen(t *testing.T) {
	t.Parallel()
	d := newDisk(t)
	dir, err := os.Open(d.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := unix.IoctlSetInt(int(dir.Fd()), fiFreeze, 0); err != nil {
		t.Fatal(err)
	}
	thaw := func() { unix.IoctlSetInt(int(dir.Fd()), fiThaw, 0) }
	defer thaw()
	p := start(t, "read")
	p.tell("start "+filepath.Join(d.dir, "file")+" 1", "start "+d.dir+" 10")
	p.await("check " + filepath.Join(d.dir, "file") + " 0 ")
	p.end()
	hangs(t, "write", d.dir, filepath.Dir(file(t)), 'D', thaw)
	if left, _ := filepath.Glob(filepath.Join(d.dir, ".assay*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// deaf is a file of FUSE whose opening is never answered.
type deaf struct {
	fs.Inode
	heard chan struct{}
}

func (d *deaf) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	<-d.heard
	return nil, 0, syscall.EIO
}

type deafRoot struct {
	fs.Inode
	file *deaf
}

func (r *deafRoot) OnAdd(ctx context.Context) {
	r.AddChild("file", r.NewPersistentInode(ctx, r.file, fs.StableAttr{Mode: fuse.S_IFREG}), false)
}

func TestHungFuse(t *testing.T) {
	t.Parallel()
	if err := (soft.Driver{}).Supports(""); err != nil {
		t.Skip(err)
	}
	root := &deafRoot{file: &deaf{heard: make(chan struct{})}}
	dir := t.TempDir()
	server, err := fs.Mount(dir, root, &fs.Options{MountOptions: fuse.MountOptions{DirectMount: true, FsName: "deaf"}})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Unmount()
	hangs(t, "read", filepath.Join(dir, "file"), file(t), 'S', func() { close(root.file.heard) })
}

func TestHungFIFO(t *testing.T) {
	t.Parallel()
	h := newHung(t)
	hangs(t, "read", h.path, file(t), 'S', func() {})
}

// TestStopped: the second answer to stop comes when the kernel returns, and none
// of the check.
func TestStopped(t *testing.T) {
	t.Parallel()
	d := newDisk(t)
	path := filepath.Join(d.dir, "file")
	if err := d.Set(t.Context(), flakey.Fault{Kind: flakey.Hang}); err != nil {
		t.Fatal(err)
	}
	p := start(t, "read")
	p.tell("start " + path + " 1")
	p.awaitLog(path + ": no answer")
	p.tell("stop " + path)
	p.await("stop " + path + " 115 ")
	time.Sleep(1200 * time.Millisecond) // another interval: no check may begin or end in it
	if err := d.Set(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := p.next(); got != "stop "+path+" 0 stopped" {
		t.Errorf("%q", got)
	}
	p.tell("start " + path + " 10")
	p.await("start " + path + " 0 ")
	p.await("check " + path + " 0 ")
}

// TestThousandsHang: while very many paths hang, the others are checked at every
// interval, commands are answered, and the end comes.
func TestThousandsHang(t *testing.T) {
	n := 500
	if os.Getenv("ASSAY_FULL") != "" {
		n = 5000
	}
	dir, fine := t.TempDir(), filepath.Dir(file(t))
	p := start(t, "read")
	seen := map[string]int{}
	for i := range n {
		name := strconv.Itoa(i)
		if err := unix.Mkfifo(filepath.Join(dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(fine, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		p.tell("start "+filepath.Join(dir, name)+" 1", "start "+filepath.Join(fine, name)+" 1")
	}
	count := func(rounds int) {
		for missing := n; missing > 0; {
			line := p.await("check ")
			f := strings.Fields(line)
			if f[2] != "0" || filepath.Dir(f[1]) != fine {
				t.Fatalf("event %q", line)
			}
			if seen[f[1]]++; seen[f[1]] == rounds {
				missing--
			}
		}
	}
	count(2)
	clear(seen)
	eventually(t, "all others to hang", func() bool {
		hung := 0
		for _, pid := range helpersOf(p.cmd.Process.Pid) {
			tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
			for _, task := range tasks {
				if b, _ := os.ReadFile(task); strings.HasPrefix(string(b), strconv.Itoa(unix.SYS_OPENAT)+" ") {
					hung++
				}
			}
		}
		return hung == n
	})
	for len(p.lines) > 0 {
		<-p.lines
	}
	count(3)
	p.tell("stop " + filepath.Join(dir, "7"))
	p.await("stop " + filepath.Join(dir, "7") + " 115 ")
	helpers := helpersOf(p.cmd.Process.Pid)
	t.Logf("%d helpers", len(helpers))
	p.in.Close()
	for range p.lines {
	}
	if code := p.wait(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	eventually(t, "the helpers to end", func() bool {
		for _, pid := range helpers {
			if unix.Kill(pid, 0) == nil {
				return false
			}
		}
		return true
	})
}
