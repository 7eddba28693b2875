package soft

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/machine"
	"golang.org/x/sys/unix"
)

// owner opens a disk under the ledger directory in args[0], tells its device
// and the pid of the daemon, and waits to be killed.
var owner = machine.Daemon("soft-test-owner", func(ctx context.Context, args []string, _ io.Reader, stdout io.Writer) error {
	ledger, err := machine.OpenLedger(args[0])
	if err != nil {
		return err
	}
	d, err := Driver{}.Open(ctx, flakey.Options{Name: args[1], Size: 64 * mib, Ledger: ledger})
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, d.Path(), d.(*Disk).child.PID())
	select {}
})

// load writes to a device until that fails, then says so on its output. It is
// a process, because a thread that hangs in the kernel makes its process
// unkillable.
var load = machine.Daemon("soft-test-load", func(_ context.Context, args []string, _ io.Reader, stdout io.Writer) error {
	f, err := os.OpenFile(args[0], os.O_RDWR|unix.O_DIRECT, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	p := pattern(64<<10, 'l')
	fmt.Fprintln(stdout, "begun")
	for i := int64(0); ; i++ {
		if _, err := f.WriteAt(p, i%900*(64<<10)); err != nil {
			fmt.Fprintln(stdout, "failed")
			return nil
		}
		if i%16 == 0 && f.Sync() != nil {
			fmt.Fprintln(stdout, "failed")
			return nil
		}
	}
})

func (l *lab) underLoad(t *testing.T, device string) (failed func()) {
	t.Helper()
	c, err := load.Start(t.Context(), l.ledger, device)
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(c.Stdout)
	if line, err := out.ReadString('\n'); err != nil || line != "begun\n" {
		t.Fatal(line, err)
	}
	time.Sleep(50 * time.Millisecond) // some writes
	return func() {
		t.Helper()
		eventually(t, "the writer to see an error", func() bool {
			select {
			case <-c.Done():
				return true
			default:
				return false
			}
		})
		if line, err := out.ReadString('\n'); line != "failed\n" {
			t.Errorf("the writer ended with %q, %v, %v", line, err, c.Err())
		}
	}
}

func TestSIGKILLOfTheDaemonUnderLoad(t *testing.T) {
	l := newLab(t)
	d, err := l.driver.Open(t.Context(), flakey.Options{Name: l.name("d"), Size: 64 * mib, Ledger: l.ledger})
	if err != nil {
		t.Fatal(err)
	}
	failed := l.underLoad(t, d.Path())
	syscall.Kill(d.(*Disk).child.PID(), syscall.SIGKILL)
	failed()
	if _, err := d.Stats(t.Context()); err == nil {
		t.Error("a killed daemon answers")
	}
	if err := d.Close(t.Context()); err == nil {
		t.Error("that the daemon had been killed is not told")
	}
	eventually(t, "the loop device to clear itself", func() bool { return len(l.loops(t)) == 0 })
	l.clean(t)
}

// TestStoppedDaemon stops the daemon: the keeper ends it, and with it whoever
// waits for it. (Here its death alone would do; where it would not, see
// TestStuckDaemon.)
func TestStoppedDaemon(t *testing.T) {
	l := newLab(t)
	d, err := l.driver.Open(t.Context(), flakey.Options{Name: l.name("d"), Size: 64 * mib, Ledger: l.ledger})
	if err != nil {
		t.Fatal(err)
	}
	failed := l.underLoad(t, d.Path())
	syscall.Kill(d.(*Disk).child.PID(), syscall.SIGSTOP)
	failed()
	if err := d.Close(t.Context()); err == nil {
		t.Error("that the daemon hung is not told")
	}
	l.clean(t)
}

// TestKilledKeeper: without its keeper a disk ends, and says so.
func TestKilledKeeper(t *testing.T) {
	l := newLab(t)
	d, err := l.driver.Open(t.Context(), flakey.Options{Name: l.name("d"), Size: 64 * mib, Ledger: l.ledger})
	if err != nil {
		t.Fatal(err)
	}
	daemon := d.(*Disk).child
	keepers, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", daemon.PID(), daemon.PID()))
	all := strings.Fields(string(keepers))
	for _, task := range must(filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", daemon.PID()))) {
		b, _ := os.ReadFile(task)
		all = append(all, strings.Fields(string(b))...)
	}
	if len(all) == 0 {
		t.Fatal("the daemon has no child", err)
	}
	for _, pid := range all {
		n, _ := strconv.Atoi(pid)
		syscall.Kill(n, syscall.SIGKILL)
	}
	eventually(t, "the daemon to end", func() bool { return daemon.Err() != nil })
	if err := d.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "keeper") {
		t.Errorf("Close said %v", err)
	}
	l.clean(t)
}

func must[T any](v T, _ error) T { return v }

func TestSIGKILLOfTheOwner(t *testing.T) {
	for _, both := range []bool{false, true} {
		t.Run(map[bool]string{false: "alone", true: "and of the daemon"}[both], func(t *testing.T) {
			l := newLab(t)
			p, err := owner.Start(t.Context(), l.ledger, l.dir, l.name("owned"))
			if err != nil {
				t.Fatal(err)
			}
			var path string
			var pid int
			if _, err := fmt.Fscan(p.Stdout, &path, &pid); err != nil {
				t.Fatal(err, p.Err())
			}
			failed := l.underLoad(t, path)
			p.Kill()
			if both {
				syscall.Kill(pid, syscall.SIGKILL)
			}
			failed()
			eventually(t, "the daemon to end", func() bool { return len(children(l.dir)) == 0 })
			l.clean(t)
		})
	}
}

// TestCloseWhileItHangs: what hangs fails, and Close is not held up.
func TestCloseWhileItHangs(t *testing.T) {
	l := newLab(t)
	d, err := l.driver.Open(t.Context(), flakey.Options{Name: l.name("d"), Size: 64 * mib, Ledger: l.ledger})
	if err != nil {
		t.Fatal(err)
	}
	failed := l.underLoad(t, d.Path())
	if err := d.Set(t.Context(), flakey.Fault{Kind: flakey.Hang}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	if st, err := d.Stats(t.Context()); err != nil || st.Touched[flakey.Hang] == 0 {
		t.Errorf("%+v, %v: nothing hangs", st, err)
	}
	if err := d.Close(t.Context()); err != nil {
		t.Error(err)
	}
	failed()
}

// TestLifeCycles counts what a process can leak: descriptors, loop devices
// (newLab), goroutines and memory.
func TestLifeCycles(t *testing.T) {
	l := newLab(t)
	n := counts(20, 200)
	var before footprint
	for i := range n {
		d, err := l.driver.Open(t.Context(), flakey.Options{Name: l.name("d"), Size: 16 * mib, Ledger: l.ledger})
		if err != nil {
			t.Fatal(i, err)
		}
		if _, err := d.PowerCut(t.Context(), flakey.Keep{}); err != nil {
			t.Fatal(i, err)
		}
		if err := d.Close(t.Context()); err != nil {
			t.Fatal(i, err)
		}
		if i == 1 {
			before = footprintOf(t)
		}
	}
	var after footprint
	defer func() { t.Logf("after 2 life cycles: %+v; after %d: %+v", before, n, after) }()
	eventually(t, fmt.Sprintf("no more after %d life cycles than after two", n), func() bool {
		after = footprintOf(t)
		return after.descriptors <= before.descriptors && after.goroutines <= before.goroutines &&
			after.heap <= before.heap+heapNoise && after.resident <= before.resident+residentNoise
	})
}

// footprint is what a process takes of the machine; heap and resident in bytes.
type footprint struct {
	descriptors, goroutines int
	heap, resident          int64
}

// A leak of 3 KiB a cycle is more than heapNoise in the full count. What is
// resident also depends on which pages the runtime keeps for reuse.
const (
	heapNoise     = mib / 2
	residentNoise = 8 * mib
)

func footprintOf(t *testing.T) footprint {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	debug.FreeOSMemory() // also closes the pipes of children that have ended
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(statm), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return footprint{len(fds), runtime.NumGoroutine(), int64(m.HeapAlloc), pages * int64(os.Getpagesize())}
}
