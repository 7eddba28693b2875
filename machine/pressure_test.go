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

func leave(t *testing.T, args ...string) (moved, now string) {
	t.Helper()
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	l := openLedger(t)
	c, err := leaver.Start(boundedContext(t), l, args...)
	if err != nil {
		t.Fatal(err)
	}
	out, _ := io.ReadAll(c.Stdout)
	<-c.Done()
	if err := errors.Join(c.Err(), l.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(string(out), "%q %q", &moved, &now); err != nil {
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
		if limit := tree.limit(dir); limit != "" {
			t.Skipf("needs to be in no limited cgroup: %s has %s", dir, limit)
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
		if err := os.WriteFile(filepath.Join(dir, tree.limits[0]), []byte(bytes), 0); err != nil {
			t.Skipf("needs the right to limit cgroups: %v", err)
		}
	}
	limit(inner, "134217728")
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
	tree := cgroupTree{dir: dir, limits: []string{"memory.max", "memory.high"}}
	for text, want := range map[string]string{"max": "", "9223372036854771712": "", "67108864": "67108864 bytes (memory.high)"} {
		if err := os.WriteFile(filepath.Join(dir, "memory.high"), []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := tree.limit(dir); got != want {
			t.Errorf("%s: %q", text, got)
		}
	}
	if _, own, err := placeIn(MountInfo{Root: "/a", Dir: dir}, "/a/b/c"); own != "b/c" || err != nil {
		t.Errorf("%q, %v", own, err)
	}
	for _, root := range []string{"/a/b", "/x"} {
		if _, own, err := placeIn(MountInfo{Root: root, Dir: dir}, "/a"); err == nil || !strings.Contains(err.Error(), root) {
			t.Errorf("%q, %v", own, err)
		}
	}
}
