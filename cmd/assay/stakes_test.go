package main

import "testing"

// TestStakes holds verdicts to what was at stake: runs that look well and show
// nothing, and faults of one target beside another.
func TestStakes(t *testing.T) {
	needsVolumes(t, "ext4")
	const (
		one = "  required: {volumes: [{device: soft, size: 64M, mount: commit=1000}]}\n  files: {count: 4, size: 64K}\n"
		two = "  required: {volumes: [{name: a, device: soft, size: 64M}, {name: b, device: soft, size: 64M, mount: commit=1000}]}\n  files: {count: 4, size: 64K}\n"
	)
	for name, c := range map[string]struct {
		scenario string
		code     int
		words    []string
	}{
		"a cut before anything was done": {one + "  tests: [exec: {command: [sleep, '60']}]\n  faults: [power-cut: {after: 1ms}]\n  checks: [check-files]\n",
			3, []string{"nothing was owed across any of 1 faults", "touched 0"}},
		"a cut of what is never synced": {one + "  tests: [write-files: {sync: none, sync-directory: false}]\n  faults: [power-cut: {after: {operations: 20}, keep: none}]\n  checks: [check-files]\n",
			3, []string{"nothing was owed across any of 1 faults"}},
		"and its structure, which a cut may not break": {one + "  tests: [write-files: {sync: none, sync-directory: false}]\n  faults: [power-cut: {after: {operations: 20}, keep: none}]\n  checks: [check-fsck]\n",
			0, nil},
		"a cut and a pause of a volume that nothing uses": {two + "  tests: [write-files: {on: a}]\n  faults: [power-cut: {on: b, after: {operations: 8}}, pause: {on: b}]\n  checks: [check-files: {on: b}]\n",
			3, []string{"fault pause touched nothing", "fault power-cut: began once, touched 0"}},
		"a probe promises nothing": {one + "  tests: [probe-latency: {check: list, for: 50ms}]\n  checks: [check-files]\n",
			3, []string{"nothing was at stake for check-files"}},
		"flushes that are dropped, and no cut": {one + "  tests: [write-files]\n  faults: [drop-flushes]\n  checks: [check-files]\n",
			2, []string{"drop-flushes: nothing can show it"}},
		"the cut of one volume takes nothing from another": {two + "  tests: [write-files: {on: b}, rewrite-files: {on: b, sync: none, direct: true}, write-files: {on: a}]\n" +
			"  faults: [drop-writes: {on: b, after: {operations: 17}}, power-cut: {on: a, after: {operations: 50}}]\n  checks: [check-files]\n",
			1, []string{"b 0000", "drop-writes touched"}},
		"a bucket beside a volume whose power fails": {"  required: {buckets: 1, volumes: [{device: soft, size: 64M}]}\n  files: {count: 4, size: 64K}\n  objects: {count: 40, size: 1K}\n" +
			"  tests: [put, write-files]\n  faults: [power-cut: {after: {operations: 50}}]\n  checks: [check-content, check-files]\n",
			0, nil},
		"what was expected, and a check without an answer": {one + "  tests: [write-files]\n  faults: [drop-flushes, power-cut: {after: {operations: 15}, keep: none}]\n" +
			"  checks: [check-files, exec: {command: [sh, -c, exit 7]}]\n  expect: {fail: [lost]}\n",
			3, []string{"status 7"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := write(t, "s.yaml", "- name: x\n"+c.scenario+"  timeout: 10m\n")
			assay(t, dir, "run", "--seed", "1", file).want(t, c.code, c.words...)
		})
	}
}
