package soft

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/machine"
	"golang.org/x/sys/unix"
)

// memcg is a memory cgroup with a limit, of a test's own.
type memcg struct{ dir string }

const squeezed = 64 * mib

// newMemcg makes one below that of the test, or skips.
func newMemcg(t *testing.T) memcg {
	t.Helper()
	home, limits := memoryHome(t)
	c := memcg{filepath.Join(home, "assay-test-"+machine.Token())}
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		t.Skipf("needs the right to make cgroups: %v", err)
	}
	t.Cleanup(func() {
		// The kernel may still be taking its last process out.
		eventually(t, "the cgroup to be free", func() bool { return os.Remove(c.dir) == nil })
	})
	if err := os.WriteFile(filepath.Join(c.dir, limits), []byte(strconv.Itoa(squeezed)), 0); err != nil {
		t.Skipf("needs the right to limit cgroups: %v", err)
	}
	return c
}

// memoryHome is the directory of the test's own memory cgroup, and the name of
// the file that holds a limit.
func memoryHome(t *testing.T) (dir, limit string) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Skipf("needs memory cgroups: %v", err)
	}
	mounts, err := machine.Mounts()
	if err != nil {
		t.Fatal(err)
	}
	place := func(fstype, own string) string {
		for _, m := range mounts {
			if m.Type == fstype && (fstype == "cgroup2" || slices.Contains(strings.Split(m.Super, ","), "memory")) {
				if below, err := filepath.Rel(m.Root, own); err == nil && !strings.HasPrefix(below, "..") {
					return filepath.Join(m.Dir, below)
				}
			}
		}
		t.Skipf("needs its memory cgroup %s, which is not mounted", own)
		return ""
	}
	var unified string
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if slices.Contains(strings.Split(f[1], ","), "memory") {
			return place("cgroup", f[2]), "memory.limit_in_bytes"
		}
		if f[0] == "0" {
			unified = f[2]
		}
	}
	return place("cgroup2", unified), "memory.max"
}

func (c memcg) enter() error {
	return os.WriteFile(filepath.Join(c.dir, "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0)
}

func (c memcg) has(pid int) bool {
	b, _ := os.ReadFile(filepath.Join(c.dir, "cgroup.procs"))
	return slices.Contains(strings.Fields(string(b)), strconv.Itoa(pid))
}

// hits is how often the limit was met, and killed how many processes that cost.
func (c memcg) hits() (hits, killed int) {
	for _, file := range []string{"memory.failcnt", "memory.oom_control", "memory.events"} { // two of v1, one of v2
		b, _ := os.ReadFile(filepath.Join(c.dir, file))
		for line := range strings.Lines(string(b)) {
			word, number, _ := strings.Cut(strings.TrimSpace(line), " ")
			n, _ := strconv.Atoi(number)
			switch word {
			case "max":
				hits += n
			case "oom_kill":
				killed += n
			default:
				if n, err := strconv.Atoi(word); err == nil {
					hits += n
				}
			}
		}
	}
	return hits, killed
}

// crowded opens a disk from within the cgroup args[0], whose daemon has args[3]
// processors (empty: what there are), and from where it sees the cgroups in
// args[4]: all, own or none. It tells its device and the pid of the daemon, and closes the
// disk when it is to end.
var crowded = machine.Daemon("soft-test-crowded", func(ctx context.Context, args []string, _ io.Reader, stdout io.Writer) error {
	if err := (memcg{args[0]}).enter(); err != nil {
		return err
	}
	os.Setenv("GOMAXPROCS", args[3])
	if err := hideCgroups(args[0], args[1], args[4]); err != nil {
		return err
	}
	ledger, err := machine.OpenLedger(args[1])
	if err != nil {
		return err
	}
	defer ledger.Close()
	d, err := Driver{}.Open(ctx, flakey.Options{Name: args[2], Size: 512 * mib, Ledger: ledger})
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, d.Path(), d.(*Disk).child.PID())
	<-ctx.Done()
	return d.Close(context.WithoutCancel(ctx))
})

// hideCgroups leaves this thread, and what it starts, without a mount of the
// memory cgroups, or as in a container with one of its own cgroup alone, which
// is then below dir.
func hideCgroups(own, dir, sight string) error {
	if sight == "all" {
		return nil
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	mounts, err := machine.Mounts()
	if err != nil {
		return err
	}
	if sight == "own" {
		to := filepath.Join(dir, "cgroup")
		if err := errors.Join(os.Mkdir(to, 0o700), unix.Mount(own, to, "", unix.MS_BIND, "")); err != nil {
			return fmt.Errorf("mount %s: %w", own, err)
		}
	}
	for _, m := range slices.Backward(mounts) {
		// The copies of others' mounts would keep their devices for as long as
		// we live.
		if m.Type == "cgroup" || m.Type == "cgroup2" || strings.HasPrefix(m.Source, "/dev/loop") {
			if err := unix.Unmount(m.Dir, unix.MNT_DETACH); err != nil {
				return fmt.Errorf("unmount %s: %w", m.Dir, err)
			}
		}
	}
	return nil
}

// filler writes args[2] MiB through the page cache to the file args[1] from
// within the cgroup args[0], syncs it, and tells how far it is.
var filler = machine.Daemon("soft-test-filler", func(_ context.Context, args []string, _ io.Reader, stdout io.Writer) error {
	if err := (memcg{args[0]}).enter(); err != nil {
		return err
	}
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	f, err := os.Create(args[1])
	if err != nil {
		return err
	}
	defer f.Close()
	for i := range n {
		if _, err := f.Write(pattern(mib, byte('a'+i%26))); err != nil {
			return err
		}
		fmt.Fprintln(stdout, "wrote", i+1)
	}
	if err := f.Sync(); err != nil {
		return err
	}
	fmt.Fprintln(stdout, "done")
	return nil
})

// crowd is a disk with ext4 and a cgroup in which it was made.
type crowd struct {
	*lab
	cgroup memcg
	own    *machine.Child
	daemon int // its pid
	device string
	point  *machine.MountPoint
}

func newCrowd(t *testing.T, processors, sight string) *crowd {
	t.Helper()
	if err := machine.SupportsFilesystem("ext4"); err != nil {
		t.Skip(err)
	}
	c := startCrowd(t, processors, sight)
	if _, err := fmt.Fscan(c.own.Stdout, &c.device, &c.daemon); err != nil {
		t.Fatal(err, c.own.Kill())
	}
	c.point = c.mkfs(t, c.device, "ext4")
	return c
}

func startCrowd(t *testing.T, processors, sight string) *crowd {
	t.Helper()
	c := &crowd{lab: newLab(t)}
	c.cgroup = newMemcg(t)
	var err error
	c.own, err = crowded.Start(context.WithoutCancel(t.Context()), c.ledger, c.cgroup.dir, c.dir, c.name("crowd"), processors, sight)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.own.Stop(context.Background()) })
	return c
}

// TestLimitThatCannotBeLeft: what does not fit into the cgroup of a container
// is refused, and not left to the OOM killer.
func TestLimitThatCannotBeLeft(t *testing.T) {
	c := startCrowd(t, "", "own")
	eventually(t, "the disk of 512 MiB to be refused where there are 64", func() bool { return ended(c.own) })
	if err := c.own.Err(); err == nil || !strings.Contains(err.Error(), "its content lives in memory") {
		t.Errorf("it was refused by %v", err)
	}
}

// fill lets a writer in the cgroup write much more than fits into it, and gives
// the last that it said and how it ended. That it hangs is fatal, after the
// connection was aborted, or nothing would end what hangs.
func (c *crowd) fill(t *testing.T) (last string, err error) {
	t.Helper()
	w, err := filler.Start(context.WithoutCancel(t.Context()), c.ledger, c.cgroup.dir, filepath.Join(c.point.Dir, "f"), "384")
	if err != nil {
		t.Fatal(err)
	}
	last, stuck := progress(w)
	if stuck {
		abort(t, c.device)
		t.Fatalf("the writer has hung for %v after %q", hangBound, last)
	}
	hits, killed := c.cgroup.hits()
	t.Logf("%q, %v; the limit was met %d times", last, w.Err(), hits)
	if hits == 0 {
		t.Error("the limit was never met: nothing is proved")
	}
	if killed != 0 {
		t.Errorf("%d processes were killed for want of memory", killed)
	}
	return last, w.Err()
}

// progress follows what a process says of itself until it ends, and gives its
// last line. stuck: it has said nothing for hangBound.
func progress(c *machine.Child) (last string, stuck bool) {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(c.Stdout); s.Scan(); {
			lines <- s.Text()
		}
	}()
	for {
		select {
		case line, more := <-lines:
			if !more {
				<-c.Done()
				return last, false
			}
			last = line
		case <-time.After(hangBound):
			return last, true
		}
	}
}

// abort ends the connection behind a loop device.
func abort(t *testing.T, device string) {
	t.Helper()
	f, err := os.Open(device)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := unix.IoctlLoopGetStatus64(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	control, err := machine.OpenFuseControl()
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	c, err := control.Open(unix.Minor(info.Device))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Abort(); err != nil {
		t.Fatal(err)
	}
}

// TestOneCgroup: a disk and whoever writes to it are started in one memory
// cgroup that is much smaller than what is written.
func TestOneCgroup(t *testing.T) {
	c := newCrowd(t, "", "all")
	if last, err := c.fill(t); last != "done" || err != nil {
		t.Errorf("the writer was not done but %q, %v", last, err)
	}
	if c.cgroup.has(c.daemon) {
		t.Error("the daemon is still in the writer's cgroup")
	}
	if err := c.point.Unmount(t.Context(), machine.UnmountOptions{}); err != nil {
		t.Error(err)
	}
	if err := c.own.Stop(t.Context()); err != nil || c.own.Err() != nil {
		t.Error(err, c.own.Err())
	}
}

// TestStuckDaemon puts the daemon back into the cgroup that it has left. Its
// threads then wait for memory until pages are written to the disk that they
// serve: not even SIGKILL ends it, unless its connection is aborted.
func TestStuckDaemon(t *testing.T) {
	for name, processors := range map[string]string{"silent": "1", "with signs of life": "16"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it is patience that takes long
			c := newCrowd(t, processors, "all")
			procs := filepath.Join(c.cgroup.dir, "cgroup.procs")
			if err := os.WriteFile(procs, []byte(strconv.Itoa(c.daemon)), 0); err != nil {
				t.Skipf("needs the right to move processes between cgroups: %v", err)
			}
			c.mustBeAborted(t)
		})
	}
}

// TestStuckKeeper makes the disk where nobody can leave the cgroup, not even
// see it, as in a container: the keeper hangs too.
//
// The race detector takes memory at any moment, the one thread that must not
// need any included: the test then runs in a build without it.
func TestStuckKeeper(t *testing.T) {
	t.Parallel()
	if raceDetector() {
		out, err := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-run=^"+t.Name()+"$", ".").CombinedOutput()
		if t.Logf("%s", out); err != nil {
			t.Error(err)
		} else if !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Skip("it was skipped in the build without the race detector")
		}
		return
	}
	newCrowd(t, "", "none").mustBeAborted(t)
}

func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

func (c *crowd) mustBeAborted(t *testing.T) {
	t.Helper()
	if last, err := c.fill(t); last == "done" || err == nil {
		t.Fatal("the daemon was not stuck: nothing is proved")
	}
	eventually(t, "the daemon to end", func() bool { return unix.Kill(c.daemon, 0) != nil })
	eventually(t, "the owner to see it", func() bool {
		d := &Disk{name: c.name("crowd"), dir: filepath.Join(c.dir, "disks", c.name("crowd"))}
		_, err := d.Stats(t.Context())
		return err != nil
	})
	if err := c.point.Unmount(t.Context(), machine.UnmountOptions{Force: true}); err != nil {
		t.Error(err)
	}
}
