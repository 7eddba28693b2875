package volume_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-1b600011/assay/scenario"
)

// TestDirectory: a volume that is a directory gets one of its own in it, and
// all else there stays.
func TestDirectory(t *testing.T) {
	l, place := newLab(t), t.TempDir()
	if err := os.WriteFile(filepath.Join(place, "mine"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	l.passes(on("path: "+place) + files("{count: 10, size: 10K}", "write-files, rewrite-files, delete-files, write-files", "kill: {every: {operations: 40}, times: 3}"))
	if left, err := os.ReadDir(place); err != nil || len(left) != 1 || left[0].Name() != "mine" {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestRecordsOnTheTarget: a volume does not hold the records that judge it.
func TestRecordsOnTheTarget(t *testing.T) {
	l := newLab(t)
	p := l.plan(on("path: "+filepath.Dir(l.dir)) + files("{count: 1}", "write-files", ""))
	if out, err := l.tryRun(l.ctx, p); !scenario.IsConfig(err) {
		t.Errorf("%v, %v", out, err)
	}
}

// TestRefusals come before anything is made.
func TestRefusals(t *testing.T) {
	l := newLab(t)
	for _, c := range []struct{ volume, faults, why string }{
		{"device: hard", "", `no device "hard"`},
		{"device: soft, path: /tmp", "", "a path is of a volume without a device"},
		{"path: relative", "", "absolute"},
		{"path: /tmp", "drop-writes", "needs a breakable disk"},
		{"device: none", "", "wants a path"},
		{"size: 1K", "", "want a multiple of 4096 from 1 MiB"},
		{"size: 67108865", "", "want a multiple of 4096 from 1 MiB"},
		{"sector: 1000", "", "want 512 or 4096"},
		{"filesystem: xfs, size: 64M", "", "xfs needs 314572800"},
		{"mount: bind", "", "is one of mount(8)"},
		{"device: /dev/none, mount: loop", "", "is one of mount(8)"},
	} {
		_, err := l.tryPlan(on(c.volume) + files("{count: 1}", "write-files", c.faults))
		if !scenario.IsConfig(err) || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v, want %q", c.volume, err, c.why)
		}
	}
}
