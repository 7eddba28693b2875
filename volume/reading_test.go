package volume_test

import (
	"strings"
	"testing"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/verdict"
)

// What a disk does to the reads of one file of twenty, once all are written,
// which takes 140 operations.
const (
	altered = `corrupt-reads: {path: "00000003", after: {operations: 140}}`
	refused = `error-reads: {path: "00000003", after: {operations: 140}}`
	twenty  = "{count: 20, size: 256K}"
)

// TestReadsWhileAFaultIsOn: what only reads show is found by who reads while it
// is on, and by nobody else; who is to blame is told.
func TestReadsWhileAFaultIsOn(t *testing.T) {
	needDisk(t, "ext4", "xfs", "btrfs")
	for _, fs := range []string{"ext4", "xfs"} {
		l := newLab(t)
		out := l.run(onDisk(fs, sizeOf(fs)) + files(twenty, "write-files, read-files", altered))
		l.wants(out, verdict.Fail, "")
		for _, f := range out.Findings {
			if f.Kind != verdict.Corrupt || f.Object != "00000003" || !strings.Contains(f.Blame, "corrupt-reads") {
				t.Errorf("%s: %+v", fs, f)
			}
		}
	}
	t.Run("nobody reads", func(t *testing.T) {
		l := newLab(t)
		out := l.run(onDisk("ext4", "64M") + files(twenty, "write-files, rewrite-files", altered))
		l.wants(out, verdict.Inconclusive, "touched nothing")
	})
	t.Run("btrfs sees it", func(t *testing.T) { // by its checksums, and says so
		l := newLab(t)
		out, records := l.kept(onDisk("btrfs", sizeOf("btrfs")) + files(twenty, "write-files, read-files", altered))
		l.wants(out, verdict.Pass, "")
		l.sawRefusal(records)
	})
}

// TestReadsThatFail are an answer, and no finding.
func TestReadsThatFail(t *testing.T) {
	needDisk(t, "ext4")
	l := newLab(t)
	out, records := l.kept(onDisk("ext4", "64M") + files(twenty, "write-files, read-files", refused))
	l.wants(out, verdict.Pass, "")
	l.sawRefusal(records)
}

// sawRefusal wants a get that was refused.
func (l *lab) sawRefusal(records []history.Record) {
	l.Helper()
	gets := map[uint64]bool{}
	for _, r := range records {
		if r.Phase == history.Issued && r.Verb == "get" {
			gets[r.Op] = true
		}
		if r.Phase == history.Refused && gets[r.Op] {
			return
		}
	}
	l.Error("no read was refused")
}

// TestReadsAreToldOnce: in the round in which they were seen, and from the
// history when that is looked at again.
func TestReadsAreToldOnce(t *testing.T) {
	needDisk(t, "ext4")
	l := newLab(t)
	fault := strings.Replace(altered, "}}", "}, for: 1h}", 1)
	out := l.run(onDisk("ext4", "64M") + files(twenty, "write-files, read-files", fault+", power-cut: {every: {operations: 170}, times: 3}"))
	l.wants(out, verdict.Fail, "")
	if out.Rounds != 3 {
		t.Errorf("%d rounds", out.Rounds)
	}
	type place struct {
		kind     verdict.Kind
		from, to int64
		op       string
	}
	told := map[place]int{}
	for _, f := range out.Findings {
		told[place{f.Kind, f.From, f.To, f.Found}]++
	}
	for p, n := range told {
		if n > 1 {
			t.Errorf("%+v is told %d times", p, n)
		}
	}
	r := l.runner()
	again, err := r.Again(l.ctx, out.Dir)
	if err != nil || len(again.Findings) == 0 || len(again.Findings) > len(out.Findings) {
		t.Fatalf("looked at again: %+v, %v", again, err)
	}
}
