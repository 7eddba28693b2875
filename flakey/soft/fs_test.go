package soft

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/machine"
)

// TestFileSystems: what was synced before an honest power cut is there, and
// what was not is not; also while the dead mount is still held.
func TestFileSystems(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs"} {
		t.Run(fs, func(t *testing.T) {
			if err := machine.SupportsFilesystem(fs); err != nil {
				t.Skip(err)
			}
			l := newLab(t)
			d := l.open(t, flakey.Options{Name: l.name("fs"), Size: 512 * mib})
			if err := machine.Mkfs(t.Context(), d.Path(), fs); err != nil {
				t.Fatal(err)
			}
			dead, alive := filepath.Join(l.dir, "dead"), filepath.Join(l.dir, "alive")
			for _, dir := range []string{dead, alive} {
				if err := os.Mkdir(dir, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			first, err := machine.Mount(t.Context(), l.ledger, d.Path(), dead, fs, "")
			if err != nil {
				t.Fatal(err)
			}
			want := bytes.Repeat([]byte("synced"), 10_000)
			writeSynced(t, filepath.Join(dead, "synced"), want, true)
			// Another program on this machine may sync everything at any time
			// (sync(2)). Its flush hangs until the power fails, so it makes nothing
			// durable that this test has left unsynced.
			if err := d.Set(t.Context(), flakey.Fault{Kind: flakey.Hang, Where: flakey.Selector{Only: flakey.Flushes}}); err != nil {
				t.Fatal(err)
			}
			writeSynced(t, filepath.Join(dead, "unsynced"), want, false)
			held, err := os.Open(filepath.Join(dead, "synced"))
			if err != nil {
				t.Fatal(err)
			}
			cut, err := d.PowerCut(t.Context(), flakey.Keep{})
			if err != nil {
				t.Fatal(err)
			}
			second, err := machine.Mount(t.Context(), l.ledger, cut.Path, alive, fs, map[string]string{"xfs": "nouuid"}[fs])
			if err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(filepath.Join(alive, "synced")); err != nil || !bytes.Equal(got, want) {
				t.Errorf("what was synced: %d bytes, %v", len(got), err)
			}
			if got, err := os.ReadFile(filepath.Join(alive, "unsynced")); err == nil && len(got) > 0 {
				t.Errorf("what was not synced is there: %d bytes", len(got))
			}
			held.Close()
			for _, m := range []*machine.MountPoint{first, second} {
				if err := m.Unmount(t.Context(), machine.UnmountOptions{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func writeSynced(t *testing.T, path string, b []byte, sync bool) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
	if sync {
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFlusher: it starts write-back and asks for no flush. That nothing was
// written back before it came, and no flush came while it worked, is another
// program's sync of everything where it is not so: then it is tried again.
func TestFlusher(t *testing.T) {
	if err := machine.SupportsFilesystem("ext4"); err != nil {
		t.Skip(err)
	}
	l := newLab(t)
	d := l.open(t, flakey.Options{Name: l.name("fs"), Size: 64 * mib})
	if err := machine.Mkfs(t.Context(), d.Path(), "ext4"); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(l.dir, "m")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	m, err := machine.Mount(t.Context(), l.ledger, d.Path(), dir, "ext4", "commit=1000")
	if err != nil {
		t.Fatal(err)
	}
	stats := func() flakey.Stats {
		st, err := d.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	file := filepath.Join(dir, "f")
	alone := func() bool {
		writeSynced(t, file, make([]byte, 4<<20), true)
		before := stats()
		f, err := os.OpenFile(file, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(bytes.Repeat([]byte("x"), 4<<20)); err != nil {
			t.Fatal(err)
		}
		f.Close()
		if stats().WrittenBytes != before.WrittenBytes {
			return false
		}
		flusher, err := StartFlusher(t.Context(), l.ledger, dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "the write to reach the disk", func() bool { return stats().WrittenBytes-before.WrittenBytes >= 4<<20 })
		flushed := stats().Flushes != before.Flushes
		if err := flusher.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		return !flushed
	}
	for tries := 0; !alone(); tries++ {
		if tries == 1000 {
			t.Fatal("never was anything written back by the flusher alone, and without a flush")
		}
	}
	if err := m.Unmount(t.Context(), machine.UnmountOptions{}); err != nil {
		t.Error(err)
	}
}

// TestUnmountOfADeadMount: it waits for nobody, not even for a device that
// answers nothing, and what was under way goes on.
func TestUnmountOfADeadMount(t *testing.T) {
	if err := machine.SupportsFilesystem("ext4"); err != nil {
		t.Skip(err)
	}
	l := newLab(t)
	d := l.open(t, flakey.Options{Name: l.name("fs"), Size: 64 * mib})
	if err := machine.Mkfs(t.Context(), d.Path(), "ext4"); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(l.dir, "m")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	mount := func() *machine.MountPoint {
		m, err := machine.Mount(t.Context(), l.ledger, d.Path(), dir, "ext4", "")
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	m := mount()
	want := bytes.Repeat([]byte("x"), 1<<20)
	writeSynced(t, filepath.Join(dir, "f"), want, false)
	if err := d.Set(t.Context(), flakey.Fault{Kind: flakey.Hang}); err != nil {
		t.Fatal(err)
	}
	if err := m.Unmount(t.Context(), machine.UnmountOptions{Dead: true}); err != nil {
		t.Error(err)
	}
	if on, err := machine.MountedAt(dir); err != nil || len(on) > 0 {
		t.Errorf("mounted: %v, %v", on, err)
	}
	if err := d.Set(t.Context()); err != nil {
		t.Fatal(err)
	}
	m = mount()
	if got, err := os.ReadFile(filepath.Join(dir, "f")); err != nil || !bytes.Equal(got, want) {
		t.Errorf("what was written: %d bytes, %v", len(got), err)
	}
	if err := m.Unmount(t.Context(), machine.UnmountOptions{}); err != nil {
		t.Error(err)
	}
}

// TestDisksOfOneName: programs that look for the file behind a loop device
// must not take one disk for the other.
func TestDisksOfOneName(t *testing.T) {
	if err := machine.SupportsFilesystem("btrfs"); err != nil {
		t.Skip(err)
	}
	l := newLab(t)
	open := func(dir string) *Disk {
		d := l.open(t, flakey.Options{Name: l.name("twin"), Dir: filepath.Join(l.dir, dir), Size: 128 * mib})
		if err := machine.Mkfs(t.Context(), d.Path(), "btrfs"); err != nil {
			t.Fatal(err)
		}
		return d
	}
	dir := filepath.Join(l.dir, "m")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	m, err := machine.Mount(t.Context(), l.ledger, open("one").Path(), dir, "btrfs", "")
	if err != nil {
		t.Fatal(err)
	}
	defer m.Unmount(t.Context(), machine.UnmountOptions{Force: true})
	open("another")
}

// mkfs makes a file system and mounts it.
func (l *lab) mkfs(t *testing.T, device, fs string) *machine.MountPoint {
	t.Helper()
	if err := machine.Mkfs(t.Context(), device, fs); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(l.dir, "mnt")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	point, err := machine.Mount(t.Context(), l.ledger, device, dir, fs, "")
	if err != nil {
		t.Fatal(err)
	}
	return point
}
