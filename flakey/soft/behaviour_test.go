package soft

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/machine"
	"golang.org/x/sys/unix"
)

// user is a program that uses one file in a child process, so that a hung disk
// hangs nobody else: write, fsync (on the descriptor that wrote) and read, one
// word a line on its standard input, one word a line as the answer.
var user = machine.Daemon("test-file-user", func(_ context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	f, err := os.OpenFile(args[0], os.O_RDWR, 0)
	if err != nil {
		return err
	}
	for s := bufio.NewScanner(stdin); s.Scan(); {
		fmt.Fprintln(stdout, use(f, s.Text()))
	}
	return nil
})

const usedBytes = 64 << 10

func use(f *os.File, word string) string {
	switch word {
	case "write":
		_, err := f.WriteAt(bytes.Repeat([]byte{'n'}, usedBytes), 0)
		return outcome(err)
	case "fsync":
		return outcome(f.Sync())
	}
	// Only what is clean goes: what a failed write-back left in the page cache
	// may still be read.
	unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	b := make([]byte, usedBytes)
	if _, err := f.ReadAt(b, 0); err != nil {
		return outcome(err)
	}
	return whose(b)
}

// whose says which of the two contents b is.
func whose(b []byte) string {
	olds, news := bytes.Count(b, []byte{'o'}), bytes.Count(b, []byte{'n'})
	switch {
	case news == len(b):
		return "new"
	case olds == len(b):
		return "old"
	case olds+news == len(b):
		return "part new"
	default:
		return "corrupt"
	}
}

func outcome(err error) string {
	var errno unix.Errno
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &errno):
		return unix.ErrnoName(errno)
	default:
		return err.Error()
	}
}

// row is what a file system made of a fault.
type row struct {
	fault, fs string
	cells     []string
}

var columns = []string{"write", "fsync", "second fsync", "read", "unmount", "mount again", "read again", "fsck"}

// behave makes a file durable, sets the fault, overwrites the file, takes the
// fault away and mounts the disk again.
func behave(t *testing.T, fs string, fault flakey.Fault) row {
	r := row{string(fault.Kind), fs, nil}
	l := newLab(t)
	d := l.open(t, flakey.Options{Size: 512 * mib})
	if err := machine.Mkfs(t.Context(), d.Path(), fs); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(l.dir, "mnt")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	point, err := machine.Mount(t.Context(), l.ledger, d.Path(), dir, fs, "noatime")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, bytes.Repeat([]byte{'o'}, usedBytes), 0o600); err != nil {
		t.Fatal(err)
	}
	syncfs(t, dir)
	child, err := user.Start(context.WithoutCancel(t.Context()), l.ledger, file)
	if err != nil {
		t.Fatal(err)
	}
	answers := make(chan string)
	go func() {
		for s := bufio.NewScanner(child.Stdout); s.Scan(); {
			answers <- s.Text()
		}
		close(answers)
	}()
	if err := d.Set(t.Context(), fault); err != nil {
		t.Fatal(err)
	}
	bound := hangBound
	if fault.Kind == flakey.Hang {
		bound = 3 * time.Second // as nothing will come
	}
	hung := false
	for _, word := range []string{"write", "fsync", "fsync", "read"} {
		if hung {
			r.cells = append(r.cells, "")
			continue
		}
		fmt.Fprintln(child.Stdin, word)
		select {
		case a := <-answers:
			r.cells = append(r.cells, a)
		case <-time.After(bound):
			r.cells = append(r.cells, "hangs")
			hung = true
		}
	}
	if err := d.Set(t.Context()); err != nil {
		t.Fatal(err)
	}
	if hung {
		<-answers // what hung goes on
	}
	if err := child.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	err = point.Unmount(t.Context(), machine.UnmountOptions{})
	r.cells = append(r.cells, outcome(err))
	if point, err = machine.Mount(t.Context(), l.ledger, d.Path(), dir, fs, "noatime"); err != nil {
		r.cells = append(r.cells, outcome(err), "")
	} else {
		b, err := os.ReadFile(file)
		again := outcome(err)
		if err == nil {
			again = whose(b)
		}
		r.cells = append(r.cells, "ok", again)
		if err := point.Unmount(t.Context(), machine.UnmountOptions{Force: true}); err != nil {
			t.Error(err)
		}
	}
	return r.fsck(t, d)
}

// syncfs makes one file system durable. Never sync(2) in a test: it makes all
// durable that the tests of other packages have left unsynced.
func syncfs(t *testing.T, dir string) {
	t.Helper()
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Syncfs(int(d.Fd())), d.Close()); err != nil {
		t.Fatal(err)
	}
}

func (r row) fsck(t *testing.T, d *Disk) row {
	path, drop, err := d.Clone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer drop(context.Background())
	report, err := machine.Fsck(t.Context(), path, r.fs)
	switch {
	case err != nil:
		r.cells = append(r.cells, "not done")
		t.Log(err)
	case report.MountErr != nil:
		r.cells = append(r.cells, "cannot be mounted")
	case report.Clean:
		r.cells = append(r.cells, "clean")
	default:
		r.cells = append(r.cells, "damaged")
	}
	return r
}

// TestBehaviour makes the table of docs/behaviour.md by a run. ASSAY_GENERATE=1
// writes it; otherwise the rows of a few faults are made and held to what
// every kernel must do.
func TestBehaviour(t *testing.T) {
	needDisk(t)
	generate := os.Getenv("ASSAY_GENERATE") != ""
	kinds := []flakey.Kind{flakey.ErrorWrites, flakey.DropWrites}
	if generate || os.Getenv("ASSAY_FULL") != "" {
		kinds = append([]flakey.Kind{""}, flakey.Kinds()...)
	}
	var rows []row
	for _, kind := range kinds {
		for _, fs := range fileSystems {
			name := string(kind)
			if name == "" {
				name = "none"
			}
			t.Run(name+" "+fs, func(t *testing.T) {
				fault := flakey.Fault{Kind: kind, Seed: 1}
				if kind == flakey.Delay {
					fault.Delay = 20 * time.Millisecond
				}
				if kind == "" { // a fault that cannot act: the clean run
					fault = flakey.Fault{Kind: flakey.ErrorReads, Where: flakey.Selector{FromSector: 512*mib/512 - 1}}
				}
				r := behave(t, fs, fault)
				r.fault = name
				rows = append(rows, r)
				t.Log(r.cells)
				r.must(t)
			})
		}
	}
	if generate {
		if err := os.WriteFile("../../docs/behaviour.md", page(rows), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// must holds a row to what no kernel and no file system may do otherwise.
func (r row) must(t *testing.T) {
	cell := func(name string) string {
		for i, c := range columns {
			if c == name {
				return r.cells[i]
			}
		}
		return ""
	}
	switch flakey.Kind(r.fault) {
	case "none", flakey.Delay:
		if strings.Join(r.cells, " ") != "ok ok ok new ok ok new clean" {
			t.Errorf("without harm: %v", r.cells)
		}
	case flakey.ErrorWrites:
		if cell("fsync") != "EIO" {
			t.Errorf("a failed write does not show at the fsync: %v", r.cells)
		}
	case flakey.DropWrites:
		if cell("fsync") != "ok" || cell("read again") == "new" {
			t.Errorf("a dropped write: %v", r.cells)
		}
	case flakey.Hang:
		if cell("fsync") != "hangs" {
			t.Errorf("nothing hangs: %v", r.cells)
		}
	}
}

func page(rows []row) []byte {
	var b bytes.Buffer
	var uts unix.Utsname
	unix.Uname(&uts)
	fmt.Fprintf(&b, `# What file systems make of a broken disk

Made by a run (ASSAY_GENERATE=1 go test ./flakey/soft -run Behaviour) on Linux %s.

A file of 64 KiB is written and made durable ("old"). The fault is set. The file
is overwritten ("new"), synced twice on the same descriptor, its clean pages are
dropped, and it is read. The fault is taken away; the disk is unmounted, mounted
again, read and checked (a clone of it is mounted, unmounted and given to fsck).

`, strings.SplitN(unix.ByteSliceToString(uts.Release[:]), "-", 2)[0])
	fmt.Fprintf(&b, "| fault | file system | %s |\n|---|---|%s\n", strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.fault, r.fs, strings.Join(r.cells, " | "))
	}
	return b.Bytes()
}
