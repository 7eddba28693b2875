package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// leaver goes into the cgroup args[0], leaves, and tells where it was, where
// it went, and where it is.
var leaver = Daemon("test-leaver", func(_ context.Context, args []string, _ io.Reader, stdout io.Writer) error {
	if len(args) > 0 {
		if err := os.WriteFile(filepath.Join(args[0], "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0); err != nil {
			return err
		}
	}
	moved, err := ResistPressure()
	refused := (*PressureError)(nil)
	if err != nil && !errors.As(err, &refused) {
		return err
	}
	tree, own, cannot := memoryCgroup()
	if cannot != nil {
		return cannot
	}
	_, err = fmt.Fprintf(stdout, "%q %q\n", moved, filepath.Join(tree.dir, own))
	return err
})

// counter goes into the cgroup args[0] and tells how much memory it can get
// there, and could after leaving it.
var counter = Daemon("test-counter", func(_ context.Context, args []string, _ io.Reader, stdout io.Writer) error {
	if err := os.WriteFile(filepath.Join(args[0], "cgroup.procs"), []byte(strconv.Itoa(os.Getpid())), 0); err != nil {
		return err
	}
	for _, leaving := range []bool{false, true} {
		n, err := AvailableMemory(leaving)
		if err != nil {
			return err
		}
		fmt.Fprintln(stdout, n)
	}
	return nil
})

// run runs a program to its end and gives what it printed.
func run(t *testing.T, p *Program, args ...string) string {
	t.Helper()
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	l := openLedger(t)
	c, err := p.Start(boundedContext(t), l, args...)
	if err != nil {
		t.Fatal(err)
	}
	out, _ := io.ReadAll(c.Stdout)
	<-c.Done()
	if err := errors.Join(c.Err(), l.Close()); err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func leave(t *testing.T, args ...string) (moved, now string) {
	t.Helper()
	out := run(t, leaver, args...)
	if _, err := fmt.Sscanf(out, "%q %q", &moved, &now); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	return moved, now
}

// The cgroups of this test are below its own, so nothing leaves that.
func TestLeaveCgroup(t *testing.T) {
	tree, own, err := memoryCgroup()
	if err != nil {
		t.Skipf("needs memory cgroups: %v", err)
	}
	home := filepath.Join(tree.dir, own)
	for dir := home; ; dir = filepath.Dir(dir) {
		if _, file := tree.limit(dir); file != "" {
			t.Skipf("needs to be in no limited cgroup: %s has %s", dir, file)
		}
		if dir == tree.dir {
			break
		}
	}
	if moved, now := leave(t); moved != "" || now != home {
		t.Errorf("without a limit it moved to %q and is in %q", moved, now)
	}
	outer := filepath.Join(home, "assay-test-"+Token())
	middle := filepath.Join(outer, "middle")
	inner := filepath.Join(middle, "inner")
	for _, dir := range []string{outer, middle, inner} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Skipf("needs the right to make cgroups: %v", err)
		}
		t.Cleanup(func() {
			if err := os.Remove(dir); err != nil {
				t.Error(err)
			}
		})
	}
	limit := func(dir, bytes string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, tree.limits[0]), []byte(bytes), 0); err != nil {
			t.Skipf("needs the right to limit cgroups: %v", err)
		}
	}
	limit(inner, "134217728")
	var here, there int64
	if _, err := fmt.Sscan(run(t, counter, inner), &here, &there); err != nil || here < 64<<20 || here > 128<<20 || there <= here {
		t.Errorf("below a limit of 128 MiB there are %d bytes, and after leaving it %d; %v", here, there, err)
	}
	if moved, now := leave(t, inner); moved != middle || now != middle {
		t.Errorf("from a limited cgroup it moved to %q and is in %q", moved, now)
	}
	limit(outer, "268435456")
	if moved, now := leave(t, inner); moved != home || now != home {
		t.Errorf("from one of two limited cgroups it moved to %q and is in %q", moved, now)
	}
}

func TestPressureErrorsSayWhat(t *testing.T) {
	err := error(&PressureError{What: "lock memory", Err: os.ErrPermission})
	wantError(t, err, os.ErrPermission, "cannot lock memory")
}

func TestLimitOfACgroup(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tree := cgroupV2(dir)
	for _, c := range []struct {
		most, high string
		limit      int64
		file       string
	}{
		{"max", "max", 0, ""},
		{"9223372036854771712", "", 0, ""},
		{"max", "67108864", 67108864, "memory.high"},
		{"67108864", "67108865", 67108864, "memory.max"},
		{"67108864", "67108863", 67108863, "memory.high"},
	} {
		put("memory.max", c.most)
		put("memory.high", c.high)
		if limit, file := tree.limit(dir); limit != c.limit || file != c.file {
			t.Errorf("%s and %s: %d of %q", c.most, c.high, limit, file)
		}
	}
	put("memory.current", "5000")
	put("memory.stat", "anon 1000\ninactive_file 3000\nactive_file 500\nfile_dirty 400\nfile_writeback 100")
	if left, err := tree.left(dir, 6000); left != 4000 || err != nil {
		t.Errorf("%d bytes are left, %v", left, err)
	}
	put("memory.stat", "inactive_file 3000\nactive_file 500\nfile_dirty 4000")
	if left, err := tree.left(dir, 6000); left != 1000 || err != nil {
		t.Errorf("%d bytes are left, %v", left, err)
	}
	if own, err := placeIn(MountInfo{Root: "/a", Dir: dir}, "/a/b/c"); own != "b/c" || err != nil {
		t.Errorf("%q, %v", own, err)
	}
	for _, root := range []string{"/a/b", "/x"} {
		if own, err := placeIn(MountInfo{Root: root, Dir: dir}, "/a"); err == nil || !strings.Contains(err.Error(), root) {
			t.Errorf("%q, %v", own, err)
		}
	}
}
