package soft

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/seed"
	"golang.org/x/sys/unix"
)

const mib = 1 << 20

// needDisk skips what this machine cannot do, with what is missing.
func needDisk(t testing.TB) {
	t.Helper()
	if err := (Driver{}).Supports(""); err != nil {
		t.Skip(err)
	}
}

// lab is a ledger and a driver under a directory of the test's own. At the end
// nothing may be left of it.
type lab struct {
	tag    string // of the names of its disks
	dir    string
	ledger *machine.Ledger
	driver Driver
}

func newLab(t testing.TB) *lab {
	t.Helper()
	needDisk(t)
	dir := t.TempDir()
	ledger, err := machine.OpenLedger(dir)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{tag: "test-" + machine.Token()[:8] + "-", dir: dir, ledger: ledger, driver: Driver{Dir: filepath.Join(dir, "disks")}}
	t.Cleanup(func() {
		if err := ledger.Close(); err != nil {
			t.Error(err)
		}
		l.clean(t)
		l.nothingLeft(t)
	})
	return l
}

// name is a disk's, by which its loop devices are told from those of others
// who test on this machine at the same time.
func (l *lab) name(s string) string { return l.tag + s }

func allUndoes() map[string]machine.Undo {
	all := machine.Undoes()
	for kind, undo := range Undoes() {
		all[kind] = undo
	}
	return all
}

func (l *lab) clean(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), hangBound)
	defer cancel()
	if err := machine.Clean(ctx, l.dir, allUndoes(), func(machine.Cleaned) {}); err != nil {
		t.Error(err)
	}
}

func (l *lab) nothingLeft(t testing.TB) {
	t.Helper()
	for _, pattern := range []string{"ledgers/*", "disks/*", "disks/.*"} {
		if left, _ := filepath.Glob(filepath.Join(l.dir, pattern)); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
	eventually(t, "the loop devices to clear themselves", func() bool { return len(l.loops(t)) == 0 })
	if all, err := os.ReadFile("/proc/self/mountinfo"); err != nil || strings.Contains(string(all), l.dir) {
		t.Errorf("a mount is left under %s (%v)", l.dir, err)
	}
	eventually(t, "the daemons to end", func() bool { return len(children(l.dir)) == 0 })
}

// loops are the loop devices of the lab's disks that are bound.
func (l *lab) loops(t testing.TB) []string {
	t.Helper()
	all, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	var ours []string
	for _, f := range all {
		if b, _ := os.ReadFile(f); strings.HasPrefix(string(b), "/"+l.tag) {
			ours = append(ours, f)
		}
	}
	return ours
}

// children are processes with dir in their command line.
func children(dir string) []string {
	var left []string
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, f := range all {
		if b, _ := os.ReadFile(f); bytes.HasPrefix(b, []byte("assay: ")) && bytes.Contains(b, []byte(dir)) {
			left = append(left, string(b))
		}
	}
	return left
}

// hangBound is after how long a test takes what it waits for to hang. The package
// promises 30 s; beside other work anything may take longer, and no test is to
// say how much.
const hangBound = 5 * time.Minute

// eventually waits for what happens by itself.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(hangBound); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func (l *lab) open(t testing.TB, o flakey.Options) *Disk {
	t.Helper()
	if o.Name == "" {
		o.Name = l.name("d")
	}
	if o.Size == 0 {
		o.Size = 16 * mib
	}
	o.Ledger, o.Seed = l.ledger, seed.Seed(1)
	d, err := flakey.Open(t.Context(), o, l.driver)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return d.(*Disk)
}

// raw is a device opened for direct I/O.
type raw struct{ *os.File }

func device(t testing.TB, path string) raw {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_DIRECT, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return raw{f}
}

// aligned is memory that direct I/O takes.
func aligned(n int) []byte {
	b := make([]byte, n+4096)
	skip := 4096 - int(uintptr(unsafe.Pointer(&b[0]))%4096)
	return b[skip : skip+n : skip+n]
}

func pattern(n int, c byte) []byte {
	b := aligned(n)
	for i := range b {
		b[i] = c
	}
	return b
}

func (r raw) put(t testing.TB, off int64, p []byte) {
	t.Helper()
	if _, err := r.WriteAt(p, off); err != nil {
		t.Fatalf("write %d at %d: %v", len(p), off, err)
	}
}

func (r raw) get(t testing.TB, off int64, n int) []byte {
	t.Helper()
	p := aligned(n)
	if _, err := r.ReadAt(p, off); err != nil {
		t.Fatalf("read %d at %d: %v", n, off, err)
	}
	return p
}

func (r raw) flush(t testing.TB) {
	t.Helper()
	if err := r.Sync(); err != nil {
		t.Fatal(err)
	}
}

func isEIO(err error) bool { return errors.Is(err, syscall.EIO) }

func TestCleanDisk(t *testing.T) {
	l := newLab(t)
	for _, block := range []int{512, 4096} {
		d := l.open(t, flakey.Options{BlockSize: block, Name: l.name("clean") + []string{"", "4k"}[block/4096]})
		dev := device(t, d.Path())
		if got, err := unix.IoctlGetInt(int(dev.Fd()), unix.BLKSSZGET); err != nil || got != block {
			t.Errorf("blocks of %d, %v; want %d", got, err, block)
		}
		dev.put(t, 0, pattern(mib, 'a'))
		dev.put(t, 3*mib, pattern(4096, 'b'))
		dev.flush(t)
		if !bytes.Equal(dev.get(t, 0, mib), pattern(mib, 'a')) || !bytes.Equal(dev.get(t, 3*mib, 4096), pattern(4096, 'b')) {
			t.Error("it does not hold what was written")
		}
		dev.Close()
		st, err := d.Stats(t.Context())
		if err != nil || st.Writes < 3 || st.Flushes < 1 || st.Reads < 2 {
			t.Errorf("%+v, %v", st, err)
		}
	}
}
