package history

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// tinyDisk makes a file system of size bytes, or skips. It is mounted without a
// place in the tree (fsmount(2)), so that no way out of the test, a kill
// included, leaves it behind. A mount namespace would do that too, and keep a
// copy of whatever others have mounted meanwhile.
func tinyDisk(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to mount a small tmpfs")
	}
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		t.Skipf("needs a tmpfs of its own: fsopen: %v", err)
	}
	defer unix.Close(fs)
	must(t, unix.FsconfigSetString(fs, "size", size))
	must(t, unix.FsconfigCreate(fs))
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		t.Skipf("needs a tmpfs of its own: fsmount: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fmt.Sprintf("/proc/self/fd/%d", fd)
}

func resize(t *testing.T, disk, size string) {
	t.Helper()
	fs, err := unix.Fspick(unix.AT_FDCWD, disk, unix.FSPICK_CLOEXEC)
	must(t, err)
	defer unix.Close(fs)
	must(t, unix.FsconfigSetString(fs, "size", size))
	must(t, unix.FsconfigReconfigure(fs))
}

func TestDiskFull(t *testing.T) {
	disk := tinyDisk(t, "1m")
	if _, err := Create(filepath.Join(disk, "large"), Options{SegmentSize: 4 << 20}); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("create without room: %v", err)
	}
	must(t, os.RemoveAll(filepath.Join(disk, "large")))
	dir := filepath.Join(disk, "h")
	w, err := Create(dir, Options{Writer: 1, SegmentSize: 64 << 10})
	must(t, err)
	defer w.Close()
	var n int
	for {
		if _, err = w.Begin(Record{Verb: "put", Detail: make([]byte, 300)}); err != nil {
			break
		}
		n++
	}
	if !errors.Is(err, unix.ENOSPC) || n < 2500 {
		t.Fatalf("after %d records: %v", n, err)
	}
	must(t, w.Sync())
	full := func(want int) {
		t.Helper()
		if got := mustCollect(t, dir); len(got) != want || got[want-1].Op != uint64(want) {
			t.Fatalf("%d records of %d", len(got), want)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*"+unfinished)); len(left) > 0 {
			t.Fatalf("left behind: %v", left)
		}
	}
	full(n)
	if err := w.Checkpoint(slices.Values(mustCollect(t, dir))); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("checkpoint without room: %v", err)
	}
	full(n)
	// Room again: once the disk has more, the same writer goes on.
	resize(t, disk, "4m")
	for range 500 {
		op, err := w.Begin(Record{Verb: "put", Detail: make([]byte, 300)})
		must(t, err)
		n++
		if op != uint64(n) {
			t.Fatalf("operation %d, want %d", op, n)
		}
	}
	full(n)
	must(t, w.Checkpoint(slices.Values([]Record{{Op: uint64(n)}})))
	must(t, w.Close())
}

// A page that the kernel cannot give ends the writer with an error, not the
// process with a signal.
func TestPageGone(t *testing.T) {
	w, dir := create(t, small(1))
	must(t, w.Append(Record{Op: 1}))
	must(t, os.Truncate(filepath.Join(dir, segmentName(1)), blockSize))
	err := w.Append(Record{Op: 2})
	if err == nil {
		t.Fatal("appended to a page that is gone")
	}
	for what, again := range map[string]error{"append": w.Append(Record{Op: 3}), "sync": w.Sync(),
		"checkpoint": w.Checkpoint(slices.Values([]Record{})), "close": w.Close()} {
		if again == nil {
			t.Errorf("%s after %v", what, err)
		}
	}
}

// After a failed sync nothing is promised any more, also if the next one would
// succeed.
func TestFailedSyncStays(t *testing.T) {
	w, _ := create(t, small(1))
	must(t, w.Append(Record{Op: 1}))
	w.seg.broken = unix.EIO // as the first of two syncs left it
	for range 2 {
		if err := w.Sync(); !errors.Is(err, unix.EIO) {
			t.Fatalf("sync: %v", err)
		}
	}
	if err := w.Append(Record{Op: 2}); !errors.Is(err, unix.EIO) {
		t.Fatalf("append: %v", err)
	}
	if err := w.Close(); !errors.Is(err, unix.EIO) {
		t.Fatalf("close: %v", err)
	}
}

// A segment is not passed while a sync of it has failed.
func TestRotationNeedsTheSync(t *testing.T) {
	w, dir := create(t, small(1))
	w.seg.broken = unix.EIO
	var err error
	for range 2000 {
		if err = w.Append(Record{Verb: "put", Target: "some target"}); err != nil {
			break
		}
	}
	if !errors.Is(err, unix.EIO) {
		t.Fatalf("append: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, segmentName(2))); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("the next segment: %v", err)
	}
}

func TestBadDirectories(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o644))
	if _, err := Create(filepath.Join(file, "h"), Options{}); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("below a file: %v", err)
	}
	for _, size := range []int64{-1, 1, minSegment - 1, maxSegment + 1} {
		dir := filepath.Join(t.TempDir(), "h")
		if _, err := Create(dir, Options{SegmentSize: size}); err == nil {
			t.Errorf("a segment of %d bytes", size)
		}
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("made %s for nothing", dir)
		}
	}
	deep := filepath.Join(t.TempDir(), "a", "b", "c")
	w, err := Create(deep, small(1))
	must(t, err)
	if _, err := Create(deep, small(1)); !errors.Is(err, ErrInUse) {
		t.Errorf("two writers: %v", err)
	}
	must(t, w.Close())
}

// A sync that comes too late, because its segment was passed meanwhile, finds
// that it is not needed; it is no failure of the storage.
func TestSyncOfAPassedSegment(t *testing.T) {
	w, _ := create(t, small(1))
	old := w.seg
	for w.seg == old {
		must(t, w.Append(Record{Detail: make([]byte, 900)}))
	}
	err := old.sync()
	if !errors.Is(err, fs.ErrClosed) {
		t.Fatalf("sync of a passed segment: %v", err)
	}
	must(t, w.syncFailed(old, err))
	must(t, w.sync(old, old.pos))
	must(t, w.Append(Record{}))
	must(t, w.Sync())
}
