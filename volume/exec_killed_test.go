package volume_test

import (
	"context"
	"testing"

	"github.com/seed-1b600011/assay/flakey/soft"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
	"github.com/seed-1b600011/assay/volume"
)

// outcomeOf runs the one scenario of the text.
func outcomeOf(t *testing.T, text string) *scenario.Outcome {
	t.Helper()
	if err := (soft.Driver{}).Supports(""); err != nil {
		t.Skip(err)
	}
	reg := &scenario.Registry{}
	volume.Register(reg, soft.Driver{})
	all, err := scenario.Parse("test", []byte(text), reg)
	if err != nil {
		t.Fatal(err)
	}
	p, err := all[0].Plan(1, 0, scenario.Adjust{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ledger, err := machine.OpenLedger(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := scenario.Runner{Registry: reg, Ledger: ledger, Dir: dir}
	out, err := r.Run(context.WithoutCancel(t.Context()), p)
	if closing := ledger.Close(); err != nil || closing != nil {
		t.Fatal(err, closing)
	}
	return out
}

// TestCommandLeavesNoProcess: after a power cut no process is there of those
// that the command had started, nor its number: a server that finds that of its
// predecessor in use takes it for alive.
func TestCommandLeavesNoProcess(t *testing.T) {
	out := outcomeOf(t, `
- name: a background process and one in a session of its own
  required: {volumes: [{device: soft, filesystem: ext4, size: 64M}]}
  tests:
    - exec: {command: [sh, -c, "sleep 1000 & echo $!; setsid sh -c 'echo $$; exec sleep 1000' & wait"]}
  faults: [power-cut: {after: {operations: 2}, times: 4}]
  checks:
    - exec: {command: [sh, -c, "while read n; do if [ -e /proc/$n ]; then grep -E '^(Name|State|PPid)' /proc/$n/status; exit 1; fi; done"]}
  timeout: 2m
`)
	if out.Verdict != verdict.Pass || out.Rounds != 4 || out.Tick.Acknowledged < 8 {
		t.Errorf("%v after %d rounds with %d promises: %s %v", out.Verdict, out.Rounds, out.Tick.Acknowledged, out.Why, out.Findings)
	}
}

// TestCutAtAPromise: the promise at which the power is cut waits for the cut,
// which in its turn waits for all that the command has promised.
func TestCutAtAPromise(t *testing.T) {
	out := outcomeOf(t, `
- name: counted
  required: {volumes: [{device: soft, filesystem: ext4, size: 64M}]}
  tests:
    - exec: {command: [sh, -c, "while :; do echo x; done"]}
  faults: [power-cut: {every: {operations: 1000}, times: 3}]
  checks:
    - exec: {command: [sh, -c, "test $(wc -l) -ge 3000"]}
  timeout: 1m
`)
	if out.Verdict != verdict.Pass || out.Rounds != 3 {
		t.Errorf("%v after %d rounds: %s %v %v", out.Verdict, out.Rounds, out.Why, out.Err, out.Findings)
	}
}
