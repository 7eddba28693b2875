package soft

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/flakey/recording"
	"github.com/seed-1b600011/assay/machine"
)

// recorded is a recording of real work on ext4, and what is to be true of it.
type recorded struct {
	path  string
	end   []byte              // what the live disk read last
	marks map[string]int      // records before each mark
	holds map[string][]string // the files that are there, whole, in what a power cut at that mark leaves
}

const recordedSize = 32 * mib

func bodyOf(name string) []byte { return bytes.Repeat([]byte(name+" is whole. "), 20_000) }

// record works on ext4: files that are synced and that are not, a power cut
// that keeps nothing, and a fault that drops the last flushes.
func record(t *testing.T, l *lab) recorded {
	t.Helper()
	r := recorded{path: filepath.Join(l.dir, "recording")}
	d := l.open(t, flakey.Options{Name: l.name("live"), Size: recordedSize, Record: r.path})
	point := l.mkfs(t, d.Path(), "ext4")
	put := func(name string, sync bool) { writeSynced(t, filepath.Join(point.Dir, name), bodyOf(name), sync) }
	mark := func(text string) {
		if err := d.Mark(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	put("a", true)
	mark("a is synced")
	put("b", false)
	mark("b is written")
	put("c", true) // its journal commit has the names of both; of b no data
	mark("c is synced")
	if err := os.Remove(filepath.Join(point.Dir, "b")); err != nil {
		t.Fatal(err)
	}
	put("d", true)
	mark("d is synced and b gone")
	put("e", false)
	cut, err := d.PowerCut(t.Context(), flakey.Keep{})
	if err != nil {
		t.Fatal(err)
	}
	mark("power was cut")
	if err := point.Unmount(t.Context(), machine.UnmountOptions{Force: true}); err != nil {
		t.Fatal(err)
	}
	if point, err = machine.Mount(t.Context(), l.ledger, cut.Path, point.Dir, "ext4", "commit=1000"); err != nil {
		t.Fatal(err)
	}
	put("f", true)
	mark("f is synced")
	if err := d.Set(t.Context(), flakey.Fault{Kind: flakey.DropFlushes, Seed: 1}); err != nil {
		t.Fatal(err)
	}
	put("g", true) // so it says
	mark("g was lied about")
	if err := point.Unmount(t.Context(), machine.UnmountOptions{}); err != nil {
		t.Fatal(err)
	}
	r.end = content(t, d.Path(), recordedSize)
	if err := d.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.marks = marksOf(t, r.path)
	r.holds = map[string][]string{
		"a is synced": {"a"}, "b is written": {"a"},
		"d is synced and b gone": {"a", "c", "d"}, "power was cut": {"a", "c", "d"},
		"f is synced": {"a", "c", "d", "f"}, "g was lied about": {"a", "c", "d", "f"},
	}
	return r
}

// content reads the beginning of a device.
func content(t *testing.T, path string, n int) []byte {
	t.Helper()
	dev := device(t, path)
	defer dev.Close()
	return dev.get(t, 0, n)
}

func marksOf(t *testing.T, path string) map[string]int {
	t.Helper()
	r, err := recording.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	marks := map[string]int{}
	for i := range r.Len() {
		if rec, err := r.Record(i); err != nil {
			t.Fatal(err)
		} else if rec.Kind == recording.Mark {
			text, err := r.Mark(i)
			if err != nil {
				t.Fatal(err)
			}
			marks[text] = i
		}
	}
	return marks
}

// TestFromRecording: what is plugged in from a recording is, at its end, what
// the live disk read, and at a mark what had been synced by then.
func TestFromRecording(t *testing.T) {
	if err := machine.SupportsFilesystem("ext4"); err != nil {
		t.Skip(err)
	}
	l := newLab(t)
	r := record(t, l)
	before, err := os.ReadFile(r.path)
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.driver.OpenFrom(t.Context(), flakey.Options{Name: l.name("again"), Ledger: l.ledger},
		From{Recording: r.path, At: -1, Keep: flakey.Keep{Mode: flakey.KeepAll}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if got := content(t, d.Path(), recordedSize); !bytes.Equal(got, r.end) {
		t.Error("the end is not what the live disk read")
	}
	// Out of order, and each twice: mounting writes to a view, to none other.
	for range 2 {
		for mark, files := range r.holds {
			cut, drop, err := d.View(t.Context(), r.marks[mark], flakey.Keep{})
			if err != nil {
				t.Fatal(mark, err)
			}
			if got := l.wholeFiles(t, cut.Path); !slices.Equal(got, files) {
				t.Errorf("%s: there are %q, want %q", mark, got, files)
			}
			if err := drop(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	// What the disk that lied would have kept, had it been honest.
	cut, _, err := d.View(t.Context(), r.marks["g was lied about"], flakey.Keep{Mode: flakey.KeepAll})
	if err != nil || cut.AtStake == 0 || cut.Lost != 0 {
		t.Fatalf("%+v, %v", cut, err)
	}
	if got := l.wholeFiles(t, cut.Path); !slices.Contains(got, "g") {
		t.Errorf("with all that was written there are %q", got)
	}
	if after, err := os.ReadFile(r.path); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the recording has changed (%v)", err)
	}
	st, err := d.Status(t.Context())
	if err != nil || st.From == nil || st.From.At <= r.marks["g was lied about"] || len(st.Clones) != 1 {
		t.Errorf("%+v, %v", st, err)
	}
}

// wholeFiles mounts a device, gives the names of the files on it that are as
// they were written, and unmounts it. One of another content is an error; an
// empty one was never promised.
func (l *lab) wholeFiles(t *testing.T, device string) (names []string) {
	t.Helper()
	dir := filepath.Join(l.dir, "view")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	point, err := machine.Mount(t.Context(), l.ledger, device, dir, "ext4", "")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			continue // lost+found
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		switch {
		case err != nil || len(b) > 0 && !bytes.Equal(b, bodyOf(e.Name())):
			t.Errorf("%s has %d bytes that nobody wrote so, %v", e.Name(), len(b), err)
		case len(b) > 0:
			names = append(names, e.Name())
		}
	}
	if err := point.Unmount(t.Context(), machine.UnmountOptions{}); err != nil {
		t.Fatal(err)
	}
	return names
}

// TestFromRecordingAtACut: a power cut to the rebuilt disk takes what the live
// one would have lost, and a disk may be rebuilt while its recorder lives.
func TestFromRecordingAtACut(t *testing.T) {
	l := newLab(t)
	path := filepath.Join(l.dir, "recording")
	live := l.open(t, flakey.Options{Name: l.name("live"), Record: path})
	dev := device(t, live.Path())
	dev.put(t, 0, pattern(4096, 'a'))
	dev.flush(t)
	dev.put(t, 0, pattern(4096, 'b'))
	if err := live.Mark(t.Context(), "b"); err != nil {
		t.Fatal(err)
	}
	// What was recorded is in the file as soon as the write before it is done.
	eventually(t, "the mark to be in the file", func() bool { _, there := marksOf(t, path)["b"]; return there })
	d, err := l.driver.CreateFrom(t.Context(), flakey.Options{Name: l.name("again"), Ledger: l.ledger}, From{Recording: path, At: -1})
	if err != nil {
		t.Fatal(err)
	}
	if got := content(t, d.Path(), 4096); got[0] != 'a' {
		t.Errorf("after a cut that keeps nothing it reads %q", got[0])
	}
	if err := d.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestFromRecordingRefusals(t *testing.T) {
	l := newLab(t)
	path, junk := filepath.Join(l.dir, "recording"), filepath.Join(l.dir, "junk")
	w, err := recording.Create(path, recording.Header{Size: 16 * mib, BlockSize: 512})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := w.Write(0, pattern(512, 'x'), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := slices.Clone(whole)
	damaged[128+64+512+64] ^= 1 // in the data of the second record
	damagedPath := filepath.Join(l.dir, "damaged")
	for p, b := range map[string][]byte{junk: []byte("no recording"), damagedPath: damaged} {
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		o    flakey.Options
		from From
		want string
	}{
		"no file":           {from: From{Recording: "/nonexistent/r"}, want: "no such file"},
		"no recording":      {from: From{Recording: junk}, want: "recording"},
		"too far":           {from: From{Recording: path, At: 4}, want: "there are 3"},
		"a mode":            {from: From{Recording: path, Keep: flakey.Keep{Mode: "some"}}, want: "some"},
		"another size":      {o: flakey.Options{Size: 32 * mib}, from: From{Recording: path}, want: "16777216 bytes"},
		"a recording of it": {o: flakey.Options{Record: filepath.Join(l.dir, "new")}, from: From{Recording: path}, want: "neither"},
		"damage":            {from: From{Recording: damagedPath, At: -1}, want: "1 records before"},
		"behind the damage": {from: From{Recording: damagedPath, At: 2}, want: "there are 1"},
	} {
		c.o.Name, c.o.Ledger = "x", l.ledger
		entries := len(l.ledger.Left())
		if _, err := l.driver.OpenFrom(t.Context(), c.o, c.from); !IsRefused(err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if len(l.ledger.Left()) != entries {
			t.Errorf("%s changed something", name)
		}
	}
	d, err := l.driver.OpenFrom(t.Context(), flakey.Options{Name: l.name("d"), Ledger: l.ledger}, From{Recording: damagedPath, At: 1, Keep: flakey.Keep{Mode: flakey.KeepAll}})
	if err != nil {
		t.Fatalf("before the damage: %v", err)
	}
	if got := content(t, d.Path(), 512); got[0] != 'x' {
		t.Errorf("before the damage it reads %q", got[0])
	}
	if _, _, err := d.View(t.Context(), 2, flakey.Keep{}); !IsRefused(err) {
		t.Errorf("a view behind the damage: %v", err)
	}
	if err := d.Close(t.Context()); err != nil {
		t.Error(err)
	}
	other := l.open(t, flakey.Options{Name: l.name("plain")})
	if _, _, err := other.View(t.Context(), 0, flakey.Keep{}); !IsRefused(err) {
		t.Errorf("a view of a disk that was not recorded: %v", err)
	}
}
