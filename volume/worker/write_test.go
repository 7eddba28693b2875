package worker

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/seed-1b600011/assay/content"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// TestWritesAgainstAModel writes ranges of a file in every way, and holds the
// file against bytes in memory: it is as the child says, and the child reads it
// as package content does.
func TestWritesAgainstAModel(t *testing.T) {
	l := emptyLab(t)
	l.ext4(64 << 20) // where O_DIRECT works
	l.start()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		name := fmt.Sprint(n)
		f := l.open(name, Create|Write|rapid.SampledFrom([]int{0, Direct, DataSync, Direct | FullSync}).Draw(t, "flags"))
		defer l.wants("unlink", 0, func(hear func(Answer)) error { return l.w.Unlink(l.ctx, name, false, hear) })
		defer l.close(f)
		var model []byte
		resize := func(n int64) {
			model = append(model, make([]byte, max(0, n-int64(len(model))))...)[:n]
		}
		var last content.Tag
		for g := range rapid.IntRange(1, 6).Draw(t, "operations") {
			last = tag(uint64(n), uint32(g+1))
			from := rapid.Int64Range(0, 40_000).Draw(t, "from")
			to := from + rapid.Int64Range(0, 30_000).Draw(t, "bytes")
			if rapid.Bool().Draw(t, "aligned") {
				from, to = from/4096*4096, to/4096*4096
			}
			block := rapid.SampledFrom([]int64{1000, 4096, 16384, 1 << 20}).Draw(t, "block")
			switch what := rapid.SampledFrom([]string{"write", "write", "mapped", "truncate", "punch", "allocate"}).Draw(t, "what"); what {
			case "mapped":
				if to > int64(len(model)) {
					l.wants("truncate", 0, func(hear func(Answer)) error { return f.Truncate(l.ctx, to, hear) })
					resize(to)
				}
				l.allDone(l.written(f.WriteMapped, last, from, to, block), from, to, block)
				if to > from {
					content.Fill(model[from:to], last, from)
				}
				l.wants("msync", 0, func(hear func(Answer)) error { return f.Msync(l.ctx, hear) })
			case "truncate":
				l.wants(what, 0, func(hear func(Answer)) error { return f.Truncate(l.ctx, to, hear) })
				resize(to)
			case "punch", "allocate":
				call := map[string]func(hear func(Answer)) error{
					"punch":    func(hear func(Answer)) error { return f.Punch(l.ctx, from, to+1, hear) },
					"allocate": func(hear func(Answer)) error { return f.Allocate(l.ctx, from, to+1, hear) },
				}[what]
				l.wants(what, 0, call)
				switch end := int64(len(model)); what {
				case "punch":
					clear(model[min(from, end):min(to+1, end)])
				case "allocate":
					resize(max(end, to+1))
				}
			default:
				l.write(f, last, from, to, block)
				if to > from {
					resize(max(to, int64(len(model))))
					content.Fill(model[from:to], last, from)
				}
			}
		}
		l.wants("fsync", 0, func(hear func(Answer)) error { return f.Fsync(l.ctx, hear) })
		l.wants("fdatasync", 0, func(hear func(Answer)) error { return f.Fdatasync(l.ctx, hear) })
		got, err := os.ReadFile(l.path(name))
		if err != nil || !bytes.Equal(got, model) {
			t.Fatalf("%d bytes (%v), want %d that differ", len(got), err, len(model))
		}
		r, errno, err := l.w.Read(l.ctx, name, last)
		if err != nil || errno != 0 || r.Size != int64(len(model)) {
			t.Fatalf("read: %v, %v, %d bytes", err, errno, r.Size)
		}
		if want := joined(content.Classify(nil, model, 0, last)); fmt.Sprint(joined(r.Spans)) != fmt.Sprint(want) {
			t.Fatalf("read as %v, want %v", r.Spans, want)
		}
	})
}

// TestDirectIsDirect looks into /proc for how the child has a file open: by
// O_DIRECT, and once more without for what is not aligned, with all else the same.
func TestDirectIsDirect(t *testing.T) {
	l := emptyLab(t)
	l.ext4(16 << 20)
	l.start()
	f := l.open("a", Create|Write|Direct|DataSync)
	l.write(f, tag(1, 1), 0, 8192, 4096)
	if got := l.opened("a"); len(got) != 1 || got[0]&(unix.O_DIRECT|unix.O_DSYNC) != unix.O_DIRECT|unix.O_DSYNC {
		t.Errorf("opened with %#o", got)
	}
	l.write(f, tag(1, 2), 0, 9000, 4096)
	got := l.opened("a")
	if len(got) != 2 || (got[0]^got[1])&^unix.O_NOFOLLOW != unix.O_DIRECT || got[0]&got[1]&unix.O_DSYNC == 0 {
		t.Errorf("opened with %#o", got)
	}
	l.reads("a", tag(1, 2), 9000, exact(tag(1, 2), 0, 9000))
	l.close(f)
	if got := l.opened("a"); len(got) > 0 {
		t.Errorf("closed, and still open with %#o", got)
	}
}

// opened are the flags with which the child has a file open.
func (l *lab) opened(name string) (all []int64) {
	l.Helper()
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", l.w.child.PID()))
	if err != nil {
		l.Fatal(err)
	}
	for _, fd := range fds {
		if to, _ := os.Readlink(fd); to != l.path(name) {
			continue
		}
		info, err := os.ReadFile(strings.Replace(fd, "/fd/", "/fdinfo/", 1))
		if err != nil {
			l.Fatal(err)
		}
		for line := range strings.Lines(string(info)) {
			if word, ok := strings.CutPrefix(line, "flags:"); ok {
				flags, err := strconv.ParseInt(strings.TrimSpace(word), 8, 64)
				if err != nil {
					l.Fatal(err)
				}
				all = append(all, flags)
			}
		}
	}
	return all
}

// TestBlocksAfterAnError: each block has an answer of its own, and after one
// that failed the rest is not begun.
func TestBlocksAfterAnError(t *testing.T) {
	l := emptyLab(t)
	l.tmpfs("64k")
	l.start()
	f := l.open("a", Create|Write)
	all := l.written(f.Write, tag(1, 1), 0, 400<<10, 4096)
	if len(all) != 100 {
		t.Fatalf("%d answers for 100 blocks", len(all))
	}
	failed := -1
	for i, a := range all {
		want := syscall.Errno(0)
		switch {
		case failed < 0 && a.Errno != 0:
			failed, want = i, syscall.ENOSPC
		case failed >= 0:
			want = syscall.ECANCELED
		}
		if a.Index != i || a.Errno != want || (a.Bytes == 4096) != (want == 0) {
			t.Fatalf("answer %d: %+v, want %v", i, a, want)
		}
	}
	if failed < 1 || failed > 16 {
		t.Errorf("block %d of a file system of 64 KiB failed first", failed)
	}
	done := int64(failed) * 4096
	l.reads("a", tag(1, 1), done, exact(tag(1, 1), 0, done))
}

// TestSenselessWrites: a write that cannot be parted is refused in one answer.
func TestSenselessWrites(t *testing.T) {
	l := newLab(t)
	f := l.open("a", Create|Write)
	for _, r := range []request{
		{op: opWrite, file: f.handle, to: 100, tags: []content.Tag{tag(1, 1)}},
		{op: opWrite, file: f.handle, to: 100, block: -1, tags: []content.Tag{tag(1, 1)}},
		{op: opWrite, file: f.handle, to: 100, block: 10},
		{op: opWrite, file: f.handle, from: -10, to: 10, block: 10, tags: []content.Tag{tag(1, 1)}},
		{op: opMapWrite, file: f.handle, from: -10, to: 10, block: 10, tags: []content.Tag{tag(1, 1)}},
		{op: opWrite, file: f.handle, from: content.MaxSize, to: content.MaxSize + 1, block: 10, tags: []content.Tag{tag(1, 1)}},
		{op: opRead, path: "a"},
		{op: opRead, path: "."},
	} {
		l.wants(fmt.Sprintf("%+v", r), syscall.EINVAL, func(hear func(Answer)) error { return l.w.one(l.ctx, r, hear) })
	}
	l.wants("an op that is none", syscall.ENOSYS, func(hear func(Answer)) error { return l.w.one(l.ctx, request{op: 200}, hear) })
	for _, block := range []int64{0, -1} {
		if err := f.Write(l.ctx, tag(1, 1), 0, 10, block, func(Answer) { t.Error("an answer") }); err == nil {
			t.Errorf("blocks of %d bytes", block)
		}
	}
	l.write(f, tag(1, 1), 0, 100, 10)
}

// TestNothingIsWritten: an empty range has one answer, and makes nothing.
func TestNothingIsWritten(t *testing.T) {
	l := newLab(t)
	f := l.open("a", Create|Write)
	for _, write := range []int64{0, 5000} {
		if all := l.written(f.Write, tag(1, 1), write, write, 4096); len(all) != 1 || all[0].Errno != 0 || all[0].Bytes != 0 {
			t.Errorf("%+v", all)
		}
	}
	l.reads("a", tag(1, 1), 0)
}

func TestErrorsOfFiles(t *testing.T) {
	l := newLab(t)
	f := l.open("a", Create|Write)
	l.wants("create again", syscall.EEXIST, func(hear func(Answer)) error { _, err := l.w.Open(l.ctx, "a", Create|Write, hear); return err })
	l.wants("open what is not there", syscall.ENOENT, func(hear func(Answer)) error { _, err := l.w.Open(l.ctx, "b", Write, hear); return err })
	l.wants("open a directory", syscall.EISDIR, func(hear func(Answer)) error { _, err := l.w.Open(l.ctx, "", Write, hear); return err })
	l.close(f)
	for what, call := range map[string]func(hear func(Answer)) error{
		"close":     func(hear func(Answer)) error { return f.Close(l.ctx, hear) },
		"write":     func(hear func(Answer)) error { return f.Write(l.ctx, tag(1, 1), 0, 10, 10, hear) },
		"map write": func(hear func(Answer)) error { return f.WriteMapped(l.ctx, tag(1, 1), 0, 10, 10, hear) },
		"fsync":     func(hear func(Answer)) error { return f.Fsync(l.ctx, hear) },
		"msync":     func(hear func(Answer)) error { return f.Msync(l.ctx, hear) },
		"truncate":  func(hear func(Answer)) error { return f.Truncate(l.ctx, 1, hear) },
	} {
		l.wants(what+" a closed file", syscall.EBADF, call)
	}
	if _, errno, err := l.w.Read(l.ctx, "b", tag(1, 1)); errno != syscall.ENOENT || err != nil {
		t.Errorf("read what is not there: %v, %v", errno, err)
	}
}

// TestClosedWhileItIsWritten closes a file that still is being written, and
// opens others at once: nothing of the first may come into them, though the
// kernel gives its descriptor away again.
func TestClosedWhileItIsWritten(t *testing.T) {
	l := newLab(t)
	const blocks, size = 200, 512
	for i := range 100 {
		first, second := fmt.Sprint(i, "a"), fmt.Sprint(i, "b")
		f := l.open(first, Create|Write)
		heard := make(chan struct{})
		begun := sync.OnceFunc(func() { close(heard) })
		var group sync.WaitGroup
		group.Go(func() {
			if err := f.Write(l.ctx, tag(uint64(i), 1), 0, blocks*size, size, func(Answer) { begun() }); err != nil {
				t.Error(err)
			}
		})
		<-heard
		l.close(f)
		g := l.open(second, Create|Write)
		group.Wait()
		l.close(g)
		l.reads(second, tag(uint64(i), 2), 0)
		l.reads(first, tag(uint64(i), 1), blocks*size, exact(tag(uint64(i), 1), 0, blocks*size))
	}
}

// TestWritesOfManyAtOnce: one that hangs or is long holds up no other.
func TestWritesOfManyAtOnce(t *testing.T) {
	l := newLab(t)
	fifo := l.path("fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	// Opening a FIFO for writing waits for a reader.
	hangs := make(chan error, 1)
	go func() {
		_, err := l.w.Open(l.ctx, "fifo", unix.O_WRONLY, func(Answer) {})
		hangs <- err
	}()
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			name := fmt.Sprint(i)
			var f *File
			if err := errors.Join(
				func() (err error) { f, err = l.w.Open(l.ctx, name, Create|Write, func(Answer) {}); return err }(),
				f.Write(l.ctx, tag(uint64(i), 1), 0, 300_000, 10_000, func(Answer) {}),
				f.Close(l.ctx, func(Answer) {})); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	select {
	case err := <-hangs:
		t.Fatal("a FIFO without a reader was opened", err)
	default:
	}
	for i := range 20 {
		l.reads(fmt.Sprint(i), tag(uint64(i), 1), 300_000, exact(tag(uint64(i), 1), 0, 300_000))
	}
	r, err := os.OpenFile(fifo, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := <-hangs; err != nil {
		t.Error(err)
	}
}

// TestWriteAtOnce: blocks that are written at the same time all arrive, each is
// answered once, and after one that failed the rest is not begun.
func TestWriteAtOnce(t *testing.T) {
	l := emptyLab(t)
	l.ext4(16 << 20)
	l.start()
	const blocks, size = 100, 4096
	for _, depth := range []int64{-1, 0, 1, 2, 7, 1000} {
		name := fmt.Sprint(depth)
		f := l.open(name, Create|Write|Direct)
		seen := map[int]int{}
		err := f.WriteAtOnce(l.ctx, tag(1, 1), 0, blocks*size-100, size, depth, func(a Answer) {
			if seen[a.Index]++; a.Errno != 0 {
				t.Error(a)
			}
		})
		if err != nil || len(seen) != blocks {
			t.Errorf("depth %d: %d of %d answered, %v", depth, len(seen), blocks, err)
		}
		want := make([]byte, blocks*size-100)
		content.Fill(want, tag(1, 1), 0)
		if got, err := os.ReadFile(filepath.Join(l.dir, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("depth %d: %d bytes, %v", depth, len(got), err)
		}
		l.close(f)
	}
	f := l.open("full", Create|Write|Direct)
	defer l.close(f)
	met := map[syscall.Errno]int{}
	if err := f.WriteAtOnce(l.ctx, tag(1, 1), 0, 64<<20, 1<<20, 4, func(a Answer) { met[a.Errno]++ }); err != nil {
		t.Fatal(err)
	}
	if met[0] == 0 || met[syscall.ENOSPC] == 0 || met[syscall.ENOSPC] > 4 || met[syscall.ECANCELED] < 40 {
		t.Errorf("on a disk of 16 MiB: %v", met)
	}
}
