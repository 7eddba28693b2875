package pressure

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// The names that the attacker below cannot know in advance are not needed: any
// home of a dead process does.
const trapName = homePrefix + "0123456789abcdef"

// tree are the paths below a directory, with the content of files.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		all[p] = e.Type().String()
		if e.Type().IsRegular() {
			b, err := os.ReadFile(p)
			all[p] += string(b)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestTrapsInTheDirectory: whatever another user puts into a directory in which
// all may write, a start neither hangs nor removes anything, and takes space.
func TestTrapsInTheDirectory(t *testing.T) {
	const another = 65534
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	file := func(t *testing.T, path, text string) {
		t.Helper()
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(text), 0o600))
	}
	for _, c := range []struct {
		name  string
		owner int
		set   func(t *testing.T, trap, victim string)
	}{
		{"links to directories, with a lock", another, func(t *testing.T, trap, victim string) {
			file(t, filepath.Join(trap, lockName), magic)
			must(t, os.Symlink(victim, filepath.Join(trap, filesName)))
			must(t, os.Symlink(victim, filepath.Join(trap, inodesName)))
		}},
		{"the same in a directory of ours", 0, func(t *testing.T, trap, victim string) {
			file(t, filepath.Join(trap, lockName), magic)
			must(t, os.Symlink(victim, filepath.Join(trap, filesName)))
			must(t, os.Symlink(victim, filepath.Join(trap, inodesName)))
		}},
		{"links with an empty lock", another, func(t *testing.T, trap, victim string) {
			file(t, filepath.Join(trap, lockName), "")
			must(t, os.Symlink(victim, filepath.Join(trap, inodesName)))
		}},
		{"a group that is a link", 0, func(t *testing.T, trap, victim string) {
			file(t, filepath.Join(trap, lockName), magic)
			must(t, os.Mkdir(filepath.Join(trap, inodesName), 0o755))
			must(t, os.Symlink(victim, filepath.Join(trap, inodesName, "00000")))
		}},
		{"a directory of ours that others may write", 0, func(t *testing.T, trap, victim string) {
			file(t, filepath.Join(trap, lockName), magic)
			file(t, filepath.Join(trap, filesName, "00000000"), "theirs")
			must(t, os.Chmod(trap, 0o777))
		}},
		{"a home that is a link", another, func(t *testing.T, trap, victim string) {
			file(t, filepath.Join(victim, lockName), magic)
			must(t, os.Remove(trap))
			must(t, os.Symlink(victim, trap))
		}},
		{"a FIFO for a lock", 0, func(t *testing.T, trap, victim string) {
			must(t, unix.Mkfifo(filepath.Join(trap, lockName), 0o666))
		}},
		{"a link for a lock", 0, func(t *testing.T, trap, victim string) {
			must(t, os.Symlink(filepath.Join(victim, "00000000"), filepath.Join(trap, lockName)))
		}},
		{"a directory for a lock", 0, func(t *testing.T, trap, victim string) {
			must(t, os.Mkdir(filepath.Join(trap, lockName), 0o755))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if os.Geteuid() != 0 {
				t.Skip("only root can give files to another user")
			}
			dir, victim := t.TempDir(), t.TempDir()
			must(t, os.Chmod(dir, 0o777|os.ModeSticky))
			file(t, filepath.Join(victim, "00000000"), magic)
			trap := filepath.Join(dir, trapName)
			must(t, os.Mkdir(trap, 0o755))
			c.set(t, trap, victim)
			must(t, os.Lchown(trap, c.owner, c.owner))
			trapped, before := tree(t, dir), tree(t, victim)
			d, err := NewDisk(DiskOptions{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			err = d.Set(t.Context(), mib)
			if closing := d.Close(); err != nil || closing != nil {
				t.Errorf("%v, %v", err, closing)
			}
			if after := tree(t, victim); !maps.Equal(after, before) {
				t.Errorf("the victim has %v, before %v", after, before)
			}
			if after := tree(t, dir); !maps.Equal(after, trapped) {
				t.Errorf("the directory has %v, before %v", after, trapped)
			}
		})
	}
}

// TestHomeIsMovedAway: files stay in the directory that was opened, whatever is
// put in its place.
func TestHomeIsMovedAway(t *testing.T) {
	dir, victim := t.TempDir(), t.TempDir()
	for _, name := range []string{filesName, inodesName + "/00000"} {
		if err := os.MkdirAll(filepath.Join(victim, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(victim, name, "00000000"), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := tree(t, victim)
	d, err := NewDisk(DiskOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	path := d.home.path()
	if err := os.Rename(path, path+"-away"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, path); err != nil {
		t.Fatal(err)
	}
	for _, bytes := range []int64{mib, 2*mib + 1, 5, 0} {
		if err := d.Set(context.Background(), bytes); err != nil {
			t.Error(err)
		}
	}
	for _, n := range []int64{3, 1, 0} {
		if err := d.SetInodes(context.Background(), n); err != nil {
			t.Error(err)
		}
	}
	_ = d.Close() // which cannot remove what is not there any more
	if after := tree(t, victim); !maps.Equal(after, before) {
		t.Errorf("the victim has %v, before %v", after, before)
	}
}

// TestLockOfTheDirectoryIsHeld: anyone may hold it, for as long as they like.
func TestLockOfTheDirectoryIsHeld(t *testing.T) {
	dir := t.TempDir()
	held, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := unix.Flock(int(held.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	d, err := NewDisk(DiskOptions{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
