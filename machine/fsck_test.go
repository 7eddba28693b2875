package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMkfsArgs(t *testing.T) {
	got := mkfsArgs([]string{"-q", "-E", "a=0"}, []string{"-E", "b=1", "-O", "^has_journal", "-E", "c"})
	if want := []string{"-q", "-E", "a=0,b=1,c", "-O", "^has_journal"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if got := mkfsArgs([]string{"-q"}, []string{"-E", "b=1", "-E"}); !slices.Equal(got, []string{"-q", "-E", "b=1", "-E"}) {
		t.Errorf("%q", got)
	}
}

func TestMkfsRefusesBeforeItTouchesTheDevice(t *testing.T) {
	needFilesystem(t, "ext4")
	l := newLab(t)
	ctx := boundedContext(t)
	mounted := l.filesystem(t, "disk", "ext4")
	m, err := Mount(ctx, l.ledger, mounted.Path(), l.mkdir(t, "dir"), "ext4", "")
	if err != nil {
		t.Fatal(err)
	}
	unmountAtEnd(t, m)
	f := l.file(t, "small", 1<<20)
	content := bytes.Repeat([]byte("precious"), 1<<17)
	if _, err := f.WriteAt(content, 0); err != nil {
		t.Fatal(err)
	}
	small := l.loop(t, f, LoopOptions{})
	for _, c := range []struct {
		device, fstype string
		is             error
		says           string
	}{
		{mounted.Path(), "ext4", unix.EBUSY, "mounted on"},
		{small.Path(), "ext4", nil, "2 MiB"},
		{small.Path(), "xfs", nil, "300 MiB"},
		{small.Path(), "btrfs", nil, "109 MiB"},
		{small.Path(), "zfs", nil, "want one of ext4, xfs, btrfs"},
		{f.Name(), "ext4", unix.ENOTBLK, "small"},
		{"/dev/assay-none", "ext4", unix.ENOENT, "none"},
	} {
		if SupportsFilesystem(c.fstype) != nil && c.fstype != "zfs" {
			continue // the error is of what is missing
		}
		wantError(t, Mkfs(ctx, c.device, c.fstype), c.is, c.says)
	}
	now := make([]byte, len(content))
	if _, err := f.ReadAt(now, 0); err != nil || !bytes.Equal(now, content) {
		t.Errorf("the device was touched (%v)", err)
	}
}

func TestMissingProgramSaysWhatWouldDo(t *testing.T) {
	_, err := findProgram("assay-has-no-such-program")
	wantError(t, err, exec.ErrNotFound, "is not installed")
	err = &MissingProgramError{Program: "mkfs.xfs", Package: debianPackage("mkfs.xfs"), Instead: "ext4 would do"}
	wantError(t, err, exec.ErrNotFound, "apt-get install xfsprogs", "instead, ext4 would do")
	wantError(t, SupportsFilesystem("ntfs"), nil, "want one of")
}

func TestProgramThatHangsIsKilled(t *testing.T) {
	newLab(t) // looks for what is left
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := runProgram(ctx, "sh", "-c", "echo so far; sleep 1000 & sleep 1000")
	wantError(t, err, context.DeadlineExceeded, "sh has not ended in time")
	r, err := runProgram(t.Context(), "sh", "-c", "echo out; echo err >&2; exit 3")
	if err != nil || r.exit != 3 || r.output != "out\nerr" {
		t.Errorf("%+v, %v", r, err)
	}
	_, err = runProgram(t.Context(), "sh", "-c", "kill -9 $$")
	wantError(t, err, nil, "killed")
}

// crashImage is a file system that was in use when its image was copied: the
// journal is not replayed.
func crashImage(t *testing.T, l *lab, fstype string) *Loop {
	t.Helper()
	ctx := boundedContext(t)
	d := l.filesystem(t, "original", fstype)
	m, err := Mount(ctx, l.ledger, d.Path(), l.mkdir(t, "dir"), fstype, "")
	if err != nil {
		t.Fatal(err)
	}
	unmountAtEnd(t, m)
	for n := range 150 {
		if err := os.WriteFile(fmt.Sprintf("%s/%d", m.Dir, n), bytes.Repeat([]byte("some"), 1000), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := os.Open(m.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.Syncfs(int(dir.Fd())), dir.Close()); err != nil {
		t.Fatal(err)
	}
	return l.clone(t, "original", "clone") // the original stays mounted
}

func TestFsckPassesAnHonestCrashImage(t *testing.T) {
	for _, fstype := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(fstype, func(t *testing.T) {
			needFilesystem(t, fstype)
			l := newLab(t)
			clone := crashImage(t, l, fstype)
			if fstype == "xfs" { // what the replay is for
				r, err := runProgram(boundedContext(t), "xfs_repair", "-n", clone.Path())
				t.Logf("without the replay: status %d, %v", r.exit, err)
			}
			r, err := Fsck(boundedContext(t), clone.Path(), fstype)
			if err != nil || !r.Clean || r.Output == "" {
				t.Errorf("%+v, %v", r, err)
			}
			if on, err := MountsOf(clone.Path()); err != nil || len(on) > 0 {
				t.Errorf("mounted: %v, %v", on, err)
			}
		})
	}
}

// The damage is done after the replay, which would repair it, both where the kernel does not look when it
// mounts, and where it does.
func TestFsckFindsDamage(t *testing.T) {
	for _, c := range []struct {
		fstype, what string
		off, n       int64
		mounts       bool
	}{
		{"ext4", "inode table", 0, 0, true},
		{"ext4", "superblock", 1024, 1024, false},
		{"xfs", "inodes", 224 * 512, 16 * 512, true}, // not in a buffer with the root
		{"xfs", "second allocation group", 75<<20 + 512, 1024, false},
		{"xfs", "superblock", 0, 512, false},
		{"btrfs", "superblock", 64 << 10, 4096, false},
		{"btrfs", "tree blocks", 20 << 20, 80 << 20, false},
	} {
		t.Run(c.fstype+" "+c.what, func(t *testing.T) {
			needFilesystem(t, c.fstype)
			l := newLab(t)
			clone := crashImage(t, l, c.fstype)
			if c.what == "inode table" {
				c.off, c.n = inodeTable(t, clone.Path())
			}
			if r, err := Fsck(boundedContext(t), clone.Path(), c.fstype); err != nil || !r.Clean {
				t.Fatalf("before the damage: %+v, %v", r, err)
			}
			damage(t, clone.Path(), c.off, c.n)
			r, err := Fsck(boundedContext(t), clone.Path(), c.fstype)
			if err != nil || r.Clean || r.Exit == 0 || (r.MountErr == nil) != c.mounts {
				t.Errorf("%+v, %v", r, err)
			}
		})
	}
}

// inodeTable is where the inodes of files are in the first group, by dumpe2fs.
func inodeTable(t *testing.T, device string) (off, n int64) {
	t.Helper()
	r, err := runProgram(t.Context(), "dumpe2fs", device)
	if err != nil {
		t.Fatal(err)
	}
	_, at, _ := strings.Cut(r.output, "Inode table at ")
	first, _, _ := strings.Cut(at, "-")
	_, size, _ := strings.Cut(r.output, "Block size:")
	size, _, _ = strings.Cut(strings.TrimSpace(size), "\n")
	var block, bytes int64
	for s, v := range map[string]*int64{first: &block, size: &bytes} {
		for _, c := range s {
			*v = *v*10 + int64(c-'0')
		}
	}
	return block*bytes + 11*256, 3 * 256 // inodes 12 to 14: the first that are not the file system's own
}

func damage(t *testing.T, device string, off, n int64) {
	t.Helper()
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(bytes.Repeat([]byte{0x5a}, int(n)), off)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestFsckRefusesWhatIsInUse(t *testing.T) {
	needFilesystem(t, "ext4")
	l := newLab(t)
	d := l.filesystem(t, "disk", "ext4")
	m, err := Mount(boundedContext(t), l.ledger, d.Path(), l.mkdir(t, "dir"), "ext4", "")
	if err != nil {
		t.Fatal(err)
	}
	unmountAtEnd(t, m)
	_, err = Fsck(boundedContext(t), d.Path(), "ext4")
	wantError(t, err, unix.EBUSY, "mounted on")
	if err := m.Unmount(boundedContext(t), UnmountOptions{}); err != nil {
		t.Fatal(err)
	}
	mine, err := unix.Open(d.Path(), unix.O_RDWR|unix.O_EXCL|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(mine)
	_, err = Fsck(boundedContext(t), d.Path(), "ext4")
	wantError(t, err, unix.EBUSY, "alone")
	_, err = Fsck(boundedContext(t), d.Path(), "zfs")
	wantError(t, err, nil, "unknown")
}
