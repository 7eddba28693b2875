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
	} {
		_, err := l.tryPlan(on(c.volume) + files("{count: 1}", "write-files", c.faults))
		if err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v, want %q", c.volume, err, c.why)
		}
	}
}

// TestTooSmall: what mkfs refuses is the scenario's fault, not the target's.
func TestTooSmall(t *testing.T) {
	needDisk(t, "xfs")
	l := newLab(t)
	if out, err := l.tryRun(l.ctx, l.plan(onDisk("xfs", "64M")+files("{count: 1}", "write-files", ""))); !scenario.IsConfig(err) {
		t.Errorf("xfs of 64M: %v, %v", out, err)
	}
}
