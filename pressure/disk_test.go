package pressure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/seed"
	"golang.org/x/sys/unix"
)

func newDisk(t testing.TB, o DiskOptions) *Disk {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	d, err := NewDisk(o)
	if err != nil {
		t.Fatal(err)
	}
	if d.Left != nil {
		t.Fatal(d.Left)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(d.home.path()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("closed, and %s is there: %v", d.home.path(), err)
		}
	})
	return d
}

// onDisk is what the kernel says of the files: their sizes and their blocks.
func onDisk(t testing.TB, d *Disk) (size, allocated int64, names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(d.home.path(), filesName))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(d.home.path(), filesName, e.Name()), &st); err != nil {
			t.Fatal(err)
		}
		size, allocated = size+st.Size, allocated+st.Blocks*512
		names = append(names, e.Name())
	}
	return size, allocated, names
}

// TestDiskIsExact grows and shrinks and wants stat to say the same to a byte,
// and blocks behind every byte.
func TestDiskIsExact(t *testing.T) {
	d := newDisk(t, DiskOptions{})
	for _, n := range []int64{0, 1, 4096, 5000, 4096 + 17, 3*mib + 5, 70 * mib, 70*mib - 3, 70*mib + 1, 12, 65 * mib, 0} {
		if err := d.Set(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		size, allocated, _ := onDisk(t, d)
		if s := d.Current(); size != n || s.Held != n || s.Asked != n || s.Reason != "" || s.Working {
			t.Errorf("asked for %d: %d in files, %+v", n, size, s)
		}
		if allocated < n || allocated > n+n/100+64<<10 {
			t.Errorf("asked for %d: %d in blocks", n, allocated)
		}
	}
}

func TestDiskFiles(t *testing.T) {
	d := newDisk(t, DiskOptions{})
	for _, sizes := range [][]int64{{100, 200, 5000}, {100, 200}, {100, 300, 4096, 1}, {50}, {}} {
		if err := d.SetFiles(t.Context(), sizes); err != nil {
			t.Fatal(err)
		}
		var have []int64
		for i := range sizes {
			st, err := os.Stat(d.home.files.path(numbered(int64(i))))
			if err != nil {
				t.Fatal(err)
			}
			have = append(have, st.Size())
		}
		if _, _, names := onDisk(t, d); !slices.Equal(have, sizes) || len(names) != len(sizes) {
			t.Errorf("%v: there are %v, %v", sizes, have, names)
		}
	}
	for _, bad := range [][]int64{{0}, {-1}, {1 << 62, 1 << 62}} {
		if err := d.SetFiles(t.Context(), bad); err == nil {
			t.Errorf("%v is taken", bad)
		}
	}
	if got := layout(2*maxFile + 5); !slices.Equal(got, []int64{maxFile, maxFile, 5}) {
		t.Errorf("layout %v", got)
	}
}

// TestDiskBlocksDiffer looks for two blocks that are alike, after growth that
// begins in the middle of one.
func TestDiskBlocksDiffer(t *testing.T) {
	d := newDisk(t, DiskOptions{})
	for _, sizes := range [][]int64{{5000, 8192}, {5000, 8192, 20000}, {150000, 8192, 20000}} {
		if err := d.SetFiles(t.Context(), sizes); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	for i := range 3 {
		b, err := os.ReadFile(d.home.files.path(numbered(int64(i))))
		if err != nil {
			t.Fatal(err)
		}
		for chunk := range slices.Chunk(b, 512) {
			if seen[string(chunk)] || len(bytes.Trim(chunk, "\x00")) == 0 {
				t.Fatalf("file %d has two sectors that are alike, or an empty one", i)
			}
			seen[string(chunk)] = true
		}
	}
}

func TestDiskOverTheLimit(t *testing.T) {
	d := newDisk(t, DiskOptions{Limit: 10 * mib})
	if err := d.Set(t.Context(), mib); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int64{10*mib + 1, 1<<63 - 1} {
		var over *LimitError
		if err := d.Set(t.Context(), n); !errors.As(err, &over) || over.Limit != 10*mib {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if s := d.Current(); s.Held != mib || s.Asked != mib {
		t.Errorf("a refusal has changed something: %+v", s)
	}
	if err := d.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := d.Current(); s.Held != 10*mib {
		t.Errorf("filled: %+v", s)
	}
}

// small mounts a file system of 32 MiB in memory, or skips.
func small(t testing.TB, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("assay-test", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("needs the right to mount a tmpfs with %s: %v", options, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func free(t testing.TB, dir string) (bytes, inodes uint64) {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	return st.Bfree * uint64(st.Bsize), st.Ffree
}

// TestDiskIsFull wants a full disk to be a result: the last block is taken, and
// given back.
func TestDiskIsFull(t *testing.T) {
	dir := small(t, "size=32m")
	d := newDisk(t, DiskOptions{Dir: dir})
	if s := d.Current(); s.Limit > 16*mib || s.Limit < 15*mib {
		t.Errorf("the limit of a disk of 32 MiB with a margin of 16: %+v", s)
	}
	var short *ShortError
	if err := d.SetFull(t.Context()); !errors.As(err, &short) || !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("filled without a margin: %v", err)
	}
	if left, _ := free(t, dir); left != 0 {
		t.Errorf("%d bytes are left", left)
	}
	size, _, _ := onDisk(t, d)
	if s := d.Current(); s.Held != size || s.Reason != "the disk is full (ENOSPC)" || short.Held != size {
		t.Errorf("%d bytes are in files: %+v", size, s)
	}
	if err := d.Release(); err != nil {
		t.Fatal(err)
	}
	if left, _ := free(t, dir); left < 31*mib {
		t.Errorf("after the release %d bytes are free", left)
	}
}

func TestInodes(t *testing.T) {
	dir := small(t, "size=32m,nr_inodes=3000")
	d := newDisk(t, DiskOptions{Dir: dir})
	for _, n := range []int64{1, 1000, 1001, 2100, 999, 2000} {
		_, before := free(t, dir)
		had := d.Current().Inodes
		if err := d.SetInodes(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		_, after := free(t, dir)
		if took := int64(before) - int64(after); took < n-had-3 || took > n-had+3 {
			t.Errorf("from %d to %d: %d inodes were taken", had, n, took)
		}
	}
	var over *LimitError
	for _, n := range []int64{5000, math.MaxInt64} {
		before := d.Current()
		if err := d.SetInodes(t.Context(), n); !errors.As(err, &over) || over.Asked != n || d.Current().Inodes != before.Inodes {
			t.Errorf("%d: %v, %+v", n, err, d.Current())
		}
	}
	var short *ShortError
	if err := d.SetInodes(t.Context(), over.Limit); !errors.As(err, &short) || !errors.Is(err, unix.ENOSPC) {
		t.Errorf("more than there are: %v", err)
	}
	if _, left := free(t, dir); left != 0 || short.Held != d.Current().Inodes {
		t.Errorf("%d inodes are left, %v", left, short)
	}
}

// diskChild takes space until it is killed. It is the child of TestKilledDisk.
func diskChild() int {
	d, err := NewDisk(DiskOptions{Dir: os.Getenv("DISK_DIR"), Margin: 1})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for n := int64(1); ; n++ {
		if err := errors.Join(d.SetInodes(context.Background(), n%1500), d.Set(context.Background(), n%3*8*mib)); err != nil {
			fmt.Println(err)
			return 1
		}
	}
}

// TestKilledDisk kills processes at random moments: the next start removes
// what they have left, and nothing else.
func TestKilledDisk(t *testing.T) {
	dir := t.TempDir()
	living := newDisk(t, DiskOptions{Dir: dir})
	if err := living.Set(t.Context(), mib); err != nil {
		t.Fatal(err)
	}
	foreign := strangers(t, dir)
	sd := seed.New()
	t.Logf("seed %v", sd)
	for i := range 10 {
		c, err := childProcess("disk", "DISK_DIR="+dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(sd.Index(uint64(i)).At(0)%150) * time.Millisecond)
		_ = c.Process.Kill()
		_ = c.Wait()
		next, err := NewDisk(DiskOptions{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		if next.Left != nil {
			t.Error(next.Left)
		}
		if err := next.Close(); err != nil {
			t.Error(err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(entries) != 1+len(foreign) {
			t.Fatalf("after kill %d there are %v", i, entries)
		}
	}
	for path, text := range foreign {
		if b, err := os.ReadFile(path); err != nil || string(b) != text {
			t.Errorf("%s of somebody else: %q %v", path, b, err)
		}
	}
	if size, _, _ := onDisk(t, living); size != mib {
		t.Errorf("the living one has lost files: %d", size)
	}
}

// strangers are files that look like ours and are not.
func strangers(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for path, text := range map[string]string{
		"00000000":                  "mine",
		"assay-pressure-notes/lock": magic,
		"assay-pressure-0123456789abcdef/00000000": "no lock, so whose is it",
		"assay-pressure-0123456789abcde0/lock":     "another program's lock",
		"assay-pressure-0123456789abcdefff/lock":   magic,
	} {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		all[path] = text
	}
	return all
}

// TestForeignFilesInADeadHome puts a stranger's file where ours were.
func TestForeignFilesInADeadHome(t *testing.T) {
	dir := t.TempDir()
	dead := filepath.Join(dir, homePrefix+"00000000000000aa")
	for path, text := range map[string]string{"lock": magic, "f/00000000": "ours", "f/notes": "not ours", "i/00000/00000001": ""} {
		path = filepath.Join(dead, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d, err := NewDisk(DiskOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if d.Left == nil || !strings.Contains(d.Left.Error(), dead) {
		t.Errorf("what is left is not told: %v", d.Left)
	}
	if _, err := os.Stat(filepath.Join(dead, "f/notes")); err != nil {
		t.Errorf("somebody else's file: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dead, "f/00000000")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("our file is there: %v", err)
	}
}

// TestQuota runs into one, of a btrfs: the one file system whose quotas this
// kernel may have that hold for root.
func TestQuota(t *testing.T) {
	image, dir := filepath.Join(t.TempDir(), "image"), t.TempDir()
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 256*mib); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"mkfs.btrfs", "-q", image}, {"mount", "-o", "loop", image, dir}, {"btrfs", "quota", "enable", dir}, {"btrfs", "qgroup", "limit", "16M", dir}} {
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			t.Skipf("needs %v: %v: %s", args, err, out)
		}
		if args[0] == "mount" {
			t.Cleanup(func() {
				if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
			})
		}
	}
	d := newDisk(t, DiskOptions{Dir: dir})
	var short *ShortError
	err := d.Set(t.Context(), 40*mib)
	if !errors.As(err, &short) || !errors.Is(err, unix.EDQUOT) {
		t.Fatalf("beyond the quota: %v", err)
	}
	size, _, _ := onDisk(t, d)
	if s := d.Current(); s.Held != size || size < 8*mib || size > 16*mib || s.Reason != "the quota is used up (EDQUOT)" {
		t.Errorf("%d bytes are in files: %+v", size, s)
	}
}
