package volume_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/scenario"
)

// kept runs a scenario and gives its history, whatever its verdict.
func (l *lab) kept(text string) (*scenario.Outcome, []history.Record) {
	l.Helper()
	r := l.runner()
	r.Keep = true
	out, err := r.Run(l.ctx, l.plan(text))
	if err != nil {
		l.Fatal(err)
	}
	var all []history.Record
	for rec, err := range history.ReadDir(filepath.Join(out.Dir, "history")) {
		if err != nil {
			l.Fatal(err)
		}
		all = append(all, rec)
	}
	return out, all
}

// ends tells whether a record is the outcome of an operation.
func ends(r history.Record) bool {
	return r.Op != 0 && slices.Contains([]history.Phase{history.Acknowledged, history.Refused, history.Unknown, history.Synced}, r.Phase)
}

// TestRecordsOfAnOperation: each is issued before it ends, and syncs are told
// from writes.
func TestRecordsOfAnOperation(t *testing.T) {
	needDisk(t, "ext4")
	l := newLab(t)
	_, records := l.kept(onDisk("ext4", "64M") + files("{count: 1, size: 100B}", "write-files", ""))
	var got []string
	for _, r := range records {
		if r.Verb != "check" {
			got = append(got, strings.TrimSpace(r.Phase.String()+" "+r.Verb))
		}
	}
	want := "issued create, acknowledged, issued write, acknowledged, issued fsync, synced, issued syncdir, synced"
	if strings.Join(got, ", ") != want {
		t.Errorf("\n got %s\nwant %s", strings.Join(got, ", "), want)
	}
}
