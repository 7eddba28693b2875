package worker

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/content"
	"github.com/seed-1b600011/assay/machine"
	"golang.org/x/sys/unix"
)

// TestMain spares the children of a race-enabled run the second that the race
// detector sleeps at the end of each process.
func TestMain(m *testing.M) {
	if os.Getenv("GORACE") == "" {
		os.Setenv("GORACE", "atexit_sleep_ms=0")
	}
	os.Exit(m.Run())
}

// guard ends a test that hangs; it asserts nothing.
const guard = 5 * time.Minute

// lab is a directory of a test's own and a child that touches the files in it.
type lab struct {
	*testing.T
	ctx    context.Context
	ledger *machine.Ledger
	dir    string
	w      *Worker
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := emptyLab(t)
	l.start()
	return l
}

// emptyLab is one whose child is still to be started. At its end nothing may
// be left in its ledger, and no child.
func emptyLab(t *testing.T) *lab {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	t.Cleanup(cancel)
	ledger, err := machine.OpenLedger(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := ledger.Close(); err != nil {
			t.Error(err)
		}
	})
	return &lab{T: t, ctx: ctx, ledger: ledger, dir: t.TempDir()}
}

func (l *lab) start() {
	l.Helper()
	w, err := Start(l.ctx, l.ledger, l.dir)
	if err != nil {
		l.Fatal(err)
	}
	l.w = w
	l.Cleanup(func() {
		if err := w.Stop(context.Background()); err != nil {
			l.Error(err)
		}
	})
}

// mounted puts the lab on a file system of its own.
func (l *lab) mounted(source, fstype, options string) {
	l.Helper()
	m, err := machine.Mount(l.ctx, l.ledger, source, l.dir, fstype, options)
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() {
		if err := m.Unmount(context.Background(), machine.UnmountOptions{Force: true}); err != nil {
			l.Error(err)
		}
	})
}

// ext4 puts the lab on an ext4 of that size, on a loop device, whose path it gives.
func (l *lab) ext4(size int64, mkfs ...string) string {
	l.Helper()
	if os.Geteuid() != 0 {
		l.Skip("needs root, for loop devices and mounts")
	}
	if err := machine.SupportsFilesystem("ext4"); err != nil {
		l.Skip(err)
	}
	f, err := os.Create(filepath.Join(l.ledger.Dir(), "image"))
	if err != nil {
		l.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		l.Fatal(err)
	}
	d, err := machine.Attach(l.ctx, l.ledger, f, machine.LoopOptions{Name: l.Name()})
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), guard)
		defer cancel()
		if err := d.Detach(ctx); err != nil {
			l.Error(err)
		}
	})
	if err := machine.Mkfs(l.ctx, d.Path(), "ext4", mkfs...); err != nil {
		l.Fatal(err)
	}
	l.mounted(d.Path(), "ext4", "")
	return d.Path()
}

// tmpfs puts the lab on a tmpfs of that size.
func (l *lab) tmpfs(size string) {
	l.Helper()
	fd, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		l.Skipf("needs the right to mount: %v", err)
	}
	unix.Close(fd)
	l.mounted("", "tmpfs", "size="+size)
}

func (l *lab) path(name string) string { return filepath.Join(l.dir, name) }

// answered is the one answer of a call.
func (l *lab) answered(call func(hear func(Answer)) error) Answer {
	l.Helper()
	var all []Answer
	if err := call(func(a Answer) { all = append(all, a) }); err != nil {
		l.Fatal(err)
	}
	if len(all) != 1 {
		l.Fatalf("%d answers, want one: %+v", len(all), all)
	}
	return all[0]
}

// wants calls what has one answer, and wants that errno.
func (l *lab) wants(what string, errno syscall.Errno, call func(hear func(Answer)) error) {
	l.Helper()
	if a := l.answered(call); a.Errno != errno {
		l.Errorf("%s: %v %s, want %v", what, a.Errno, a.Data, errno)
	}
}

func (l *lab) open(name string, flags int) *File {
	l.Helper()
	var f *File
	l.wants("open "+name, 0, func(hear func(Answer)) (err error) {
		f, err = l.w.Open(l.ctx, name, flags, hear)
		return err
	})
	return f
}

func (l *lab) close(f *File) {
	l.Helper()
	l.wants("close", 0, func(hear func(Answer)) error { return f.Close(l.ctx, hear) })
}

// written are the answers of a write in blocks, in order.
func (l *lab) written(write func(context.Context, content.Tag, int64, int64, int64, func(Answer)) error, t content.Tag, from, to, block int64) []Answer {
	l.Helper()
	var all []Answer
	if err := write(l.ctx, t, from, to, block, func(a Answer) { all = append(all, a) }); err != nil {
		l.Fatal(err)
	}
	return all
}

// write writes, and wants every block done.
func (l *lab) write(f *File, t content.Tag, from, to, block int64) {
	l.Helper()
	l.allDone(l.written(f.Write, t, from, to, block), from, to, block)
}

func (l *lab) allDone(all []Answer, from, to, block int64) {
	l.Helper()
	if want := max(1, (to-from+block-1)/block); int64(len(all)) != want {
		l.Fatalf("%d answers for %d blocks", len(all), want)
	}
	at := from
	for i, a := range all {
		if n := min(block, to-at); a.Index != i || a.Errno != 0 || a.Bytes != n {
			l.Fatalf("answer %d: %+v, want %d bytes done", i, a, n)
		}
		at += block
	}
}

// reads wants a file to be exactly these spans.
func (l *lab) reads(name string, want content.Tag, size int64, spans ...content.Span) {
	l.Helper()
	r, errno, err := l.w.Read(l.ctx, name, want)
	if err != nil || errno != 0 {
		l.Fatalf("read %q: %v, %v", name, errno, err)
	}
	if r.Size != size {
		l.Errorf("%q has %d bytes, want %d", name, r.Size, size)
	}
	got := joined(r.Spans)
	if len(got) != len(spans) {
		l.Fatalf("%q: %v, want %v", name, got, spans)
	}
	for i := range spans {
		if got[i] != spans[i] {
			l.Errorf("%q: span %d is %v, want %v", name, i, got[i], spans[i])
		}
	}
}

// joined are spans with neighbours that say the same made one: a file is read
// in parts, and the border of two parts is none of the content.
func joined(spans []content.Span) (all []content.Span) {
	for _, s := range spans {
		if n := len(all); n > 0 && all[n-1].To == s.From && all[n-1].Class == s.Class && all[n-1].Is == s.Is &&
			(s.Class == content.Zero || s.IsOff-all[n-1].IsOff == s.From-all[n-1].From) {
			all[n-1].To = s.To
			continue
		}
		all = append(all, s)
	}
	return all
}

func exact(t content.Tag, from, to int64) content.Span {
	return content.Span{From: from, To: to, Class: content.Exact, Is: t, IsOff: from}
}

func zero(from, to int64) content.Span {
	return content.Span{From: from, To: to, Class: content.Zero}
}

func tag(object uint64, generation uint32) content.Tag {
	return content.Tag{Seed: 7, Object: object, Generation: generation}
}
