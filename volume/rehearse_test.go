package volume_test

import (
	"testing"

	"github.com/seed-1b600011/assay/verdict"
)

const (
	appends = `[sh, -c, "while :; do echo x >> $0/f; sync -f $0; date +%s%N; done", "{volume}"]`
	cuts    = "power-cut: {every: {operations: 5}, times: 2}"
)

// TestRehearsal: a pair of commands that would blame an honest disk is seen before
// the first fault, and proves nothing.
func TestRehearsal(t *testing.T) {
	needDisk(t, "ext4")
	for _, c := range []struct{ name, writer, reader, faults, why string }{
		{"a reader that always finds something", appends, `[sh, -c, "echo lost; exit 1"]`, "kill: {every: {operations: 5}, times: 2}", "do not agree before any fault"},
		{"a reader that crashes", appends, `[sh, -ec, "false"]`, cuts, "do not agree before any fault: sh ended with status 1 and named no kind"},
		{"a writer that fails before its first line", `[sh, -c, "echo oh no >&2; exit 2"]`, `[sh, -c, "echo lost: all; exit 1"]`, cuts, "ended with status 2 while no fault was on"},
		{"a writer that promises what it never does", `[sh, -c, "while :; do date +%s%N; sleep 0.01; done"]`, `[sh, -c, "while read n; do [ -e $0/$n ] || { echo lost: $n; exit 1; }; done", "{volume}"]`, cuts, "do not agree before any fault"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			out := l.run(command(c.writer, c.reader, c.faults))
			l.wants(out, verdict.Inconclusive, c.why)
			if out.Rounds != 0 || out.Tick.Acknowledged != 0 {
				t.Errorf("%d rounds, %d promises", out.Rounds, out.Tick.Acknowledged)
			}
		})
	}
}

// TestRehearsalLeavesNothing: neither a file nor a line nor a round, and the kind
// of finding that standard error stands before is the kind that is found.
func TestRehearsalLeavesNothing(t *testing.T) {
	needDisk(t, "ext4")
	l := newLab(t)
	out := l.run(command(`[sh, -c, "ls $0 | wc -l; touch $0/f; sync -f $0; echo line; sleep 1000", "{volume}"]`,
		`[sh, -c, "read n; [ $n = 0 ] || { echo corrupt: there were $n files; exit 1; }; n=$(wc -l); [ $n -lt 1 ] || { echo a note >&2; echo stale: there were $n more lines; exit 1; }", "{volume}"]`,
		"power-cut: {after: {operations: 2}}"))
	l.wants(out, verdict.Fail, "")
	if len(out.Findings) != 1 || out.Findings[0].Kind != verdict.Stale || out.Findings[0].Found != "stale: there were 1 more lines\non standard error: a note" {
		t.Errorf("%v", out.Findings)
	}
	if out.Rounds != 1 || out.Tick.Acknowledged != 2 {
		t.Errorf("%d rounds, %d promises", out.Rounds, out.Tick.Acknowledged)
	}
}

// TestDatabaseThatCannotBeOpened: a reader that crashes while it opens what a cut
// has left, and has opened what no cut had touched, has found something.
func TestDatabaseThatCannotBeOpened(t *testing.T) {
	needDisk(t, "ext4")
	for name, c := range map[string]struct {
		opening string
		v       verdict.Verdict
	}{
		"it says so":      {"echo opening: the table", verdict.Fail},
		"it says no word": {"true", verdict.Inconclusive},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			out := l.run(on("device: soft, filesystem: ext4, size: 64M, mount: commit=1000") + "  tests:\n    - exec: {command: " +
				`[sh, -c, "echo whole > $0/f; while :; do date +%s%N; sleep 0.01; done", "{volume}"]` + "}\n  faults: [power-cut: {after: {operations: 3}, keep: none}]\n  checks:\n    - exec: {command: " +
				`[sh, -c, "` + c.opening + `; [ -s $0/f ] || kill -SEGV $$; echo opened", "{volume}"]` + "}\n")
			l.wants(out, c.v, "")
			if c.v == verdict.Fail && (out.Findings[0].Kind != verdict.Unreadable || out.Findings[0].Found != "the reader ended with status 139 (SIGSEGV) while it opened the table, as it did not before the first fault") {
				t.Errorf("%v", out.Findings)
			}
		})
	}
}
