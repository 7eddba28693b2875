package volume_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-1b600011/assay/verdict"
)

// command is a scenario of one command of a user's and one that judges it, each
// a list of words, and faults.
func command(writer, reader, faults string) string {
	return onDisk("ext4", "64M") + "  tests:\n    - exec: {command: " + writer + "}\n  faults: [" + faults + "]\n  checks:\n    - exec: {command: " + reader + "}\n"
}

// TestPromises: what a command has said is handed to the check: whole lines,
// each once, also what was in the pipe when it was killed.
func TestPromises(t *testing.T) {
	needDisk(t, "ext4")
	l := newLab(t)
	out := l.passes(command(
		`[sh, -c, "trap '' TERM; (setsid sleep 1000 &) ; n=$(cat $0/n 2>/dev/null || echo 0); while :; do n=$((n+1)); echo $n > $0/n.new; mv $0/n.new $0/n; echo line $n; printf half; printf '\\r'; done", "{volume}"]`,
		`[sh, -c, "tr -d '\\r' | sed s/^half// | awk '$2 <= last {print \"resurrected: again\", $0; exit 1} {last=$2} END {print NR > \"/dev/stderr\"}'"]`,
		"kill: {every: {operations: 50}, times: 3}"))
	if out.Rounds != 3 || out.Tick.Acknowledged < 150 {
		t.Errorf("%d rounds with %d promises", out.Rounds, out.Tick.Acknowledged)
	}
}

// TestCommandLeavesNoProcess: after a power cut no process is there of those
// that the command had started, nor its number: a server that finds that of its
// predecessor in use takes it for alive.
func TestCommandLeavesNoProcess(t *testing.T) {
	needDisk(t, "ext4")
	l := newLab(t)
	out := l.passes(command(`[sh, -c, "sleep 1000 & echo $!; setsid sh -c 'echo $$; exec sleep 1000' & wait"]`,
		`[sh, -c, "while read n; do if [ -e /proc/$n ]; then echo resurrected: process $n; grep -E '^(Name|State|PPid)' /proc/$n/status; exit 1; fi; done"]`,
		"power-cut: {after: {operations: 2}, times: 4}"))
	if out.Rounds != 4 || out.Tick.Acknowledged < 8 {
		t.Errorf("%d rounds with %d promises", out.Rounds, out.Tick.Acknowledged)
	}
}

// TestMountsOfCommandsGo: what a command has mounted is not there after the end of
// the round, and holds nothing up.
func TestMountsOfCommandsGo(t *testing.T) {
	needDisk(t, "ext4")
	for _, fault := range []string{"power-cut", "kill"} {
		t.Run(fault, func(t *testing.T) {
			l := newLab(t)
			dir := filepath.Join(l.dir, "m")
			out := l.passes(command(`[sh, -ec, "mkdir -p $0; mount -t tmpfs none $0; mountpoint -q $0; echo x; sleep 1000", `+dir+`]`,
				`[sh, -c, "if mountpoint -q $0; then echo resurrected: a mount; exit 1; fi", `+dir+`]`, fault+": {every: {operations: 1}, times: 2}"))
			if out.Rounds != 2 {
				t.Errorf("%d rounds", out.Rounds)
			}
			if said := l.heard(); said != "" {
				t.Errorf("it said: %s", said)
			}
		})
	}
}

// TestCutAtAPromise: the promise at which the power is cut waits for the cut,
// which in its turn waits for all that the command has promised.
func TestCutAtAPromise(t *testing.T) {
	needDisk(t, "ext4")
	l := newLab(t)
	out := l.passes(command(`[sh, -c, "while :; do echo x; done"]`, `[sh, -c, "n=$(wc -l); [ $n -le 1 ] || [ $n -ge 1000 ] || { echo lost: there are $n; exit 1; }"]`, "power-cut: {every: {operations: 1000}, times: 3}"))
	if out.Rounds != 3 {
		t.Errorf("%d rounds", out.Rounds)
	}
}

// TestCommandsThatMisbehave are told of, bounded and killed.
func TestCommandsThatMisbehave(t *testing.T) {
	needDisk(t, "ext4")
	for _, c := range []struct{ name, writer, reader, why string }{
		{"a writer that fails", `[sh, -c, "echo x; echo oh no >&2; exit 3"]`, `["true"]`, "ended with status 3"},
		{"a writer that is not there", `[/no/such/program]`, `["true"]`, "no such file"},
		{"a reader without an answer", `[echo, x]`, `[sh, -c, "exit 2"]`, "is no answer"},
		{"a reader that hangs", `[echo, x]`, `[sh, -c, "trap '' TERM; setsid sleep 1000 & sleep 1000"], timeout: 1s`, "had not ended after 1s and was killed"},
		{"a line that is too long", `[sh, -c, "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo x"]`, `["true"]`, "is no promise"},
		{"a line without end", `[sh, -c, "exec tr '\\0' x </dev/zero"]`, `["true"]`, "is no promise"},
		{"a reader that names no kind", `[echo, x]`, `[sh, -c, "echo it was lost: x; exit 1"]`, "named no kind of finding"},
		{"a reader whose finding is on standard error", `[echo, x]`, `[sh, -c, "echo lost: x >&2; exit 1"]`, "on standard error: lost: x"},
		{"a writer that kills its keeper", `[sh, -c, "echo x; kill -9 $PPID; sleep 1000"]`, `["true"]`, "signal: killed"},
		{"a reader that kills its keeper", `[echo, x]`, `[sh, -c, "kill -9 $PPID; sleep 1000"]`, "signal: killed"},
		{"a silent writer", `["true"]`, `["true"]`, "no operation that it judges was acknowledged"},
		{"half a line alone", `[printf, half]`, `["true"]`, "no operation that it judges was acknowledged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			out := l.run(command(c.writer, c.reader, ""))
			l.wants(out, verdict.Inconclusive, c.why)
		})
	}
}

// TestTimeoutSaysWhatWasRunning, and what that had printed.
func TestTimeoutSaysWhatWasRunning(t *testing.T) {
	needDisk(t, "ext4")
	for name, c := range map[string]struct{ writer, reader, want string }{
		"a writer": {`[sh, -c, "echo 7; echo waiting >&2; sleep 1000"]`, `["true"]`, `sleep 1000 was running in round 1, and had promised 1 lines, the last "7" at `},
		"a reader": {`[echo, x]`, `[sh, -c, "echo opening: a table; echo waiting >&2; sleep 1000"]`, "sleep 1000 was running in round 1 while it opened a table; it printed: opening: a table"},
	} {
		t.Run(name, func(t *testing.T) {
			for timeout := 4; ; timeout *= 2 { // on a slow machine it may not have come so far
				l := newLab(t)
				out, err := l.tryRun(l.ctx, l.plan(strings.Replace(command(c.writer, c.reader, ""), "timeout: 30m", fmt.Sprintf("timeout: %ds", timeout), 1)))
				if err == nil && strings.Contains(out.Why, "has passed; volume-1: sh -c ") && strings.Contains(out.Why, c.want) && strings.Contains(out.Why, "; on standard error: waiting") {
					return
				}
				if timeout > 60 {
					t.Fatalf("%+v, %v", out, err)
				}
			}
		})
	}
}

// TestVolumesThatAreNotThere: a command's word for one is refused when the
// scenario is read, with the line.
func TestVolumesThatAreNotThere(t *testing.T) {
	l := newLab(t)
	for name, c := range map[string]struct{ text, want string }{
		"of a test":  {command(`[echo, "{volume:volume-1}", "--to={volume:typo}/x"]`, `["true"]`, ""), "test:5:7: {volume:typo}: no volume has that name: there are volume-1"},
		"of a check": {command(`[echo, "{volume}"]`, `["true", "{volume:}"]`, ""), "test:8:7: {volume:}: no volume has that name"},
	} {
		if _, err := l.tryPlan(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestCommandsThatAreOdd do nothing that is forbidden, and keep what they say.
func TestCommandsThatAreOdd(t *testing.T) {
	needDisk(t, "ext4")
	for _, c := range []struct{ name, writer, reader, faults string }{
		{"a writer of 100 MB that closes its output and goes on", `[sh, -c, "yes $(printf %01023d 7) | head -n 100000; exec >&-; echo on > $0/on; sync $0/on", "{volume}"]`,
			`[sh, -c, "test -e $0/on && test $(wc -c) = 102400000", "{volume}"]`, ""},
		{"a writer whose child has the last word", `[sh, -c, "(trap '' HUP; setsid sh -c 'sleep 0.1; echo late') & echo early"]`, `[grep, -q, early]`, ""},
		{"a writer that prints half a line at its end", `[sh, -c, "echo whole; printf half"]`, `[sh, -c, "test $(cat) = whole"]`, ""},
		{"a writer that ignores what ends others, and what it forks too", `[sh, -c, "trap '' TERM HUP INT; setsid sh -c 'trap \"\" TERM HUP INT; while :; do echo y; done' & while :; do echo x; done"]`,
			`[sh, -c, "sort | uniq -c | grep -q x"]`, "kill: {every: {operations: 500}, times: 3}"},
		{"a reader that reads nothing", `[sh, -c, "yes | head -n 100000"]`, `["true"]`, ""},
		{"a reader that says much", `[echo, x]`, `[sh, -c, "head -c 100000000 /dev/zero"]`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			newLab(t).passes(command(c.writer, c.reader, c.faults))
		})
	}
}
