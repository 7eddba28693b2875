package volume_test

import (
	"testing"

	"github.com/seed-1b600011/assay/verdict"
)

// TestLatencyOfNothing: that nothing was probed, or that no probe went well, is
// no pass, whatever else was acknowledged: files are created and written in memory.
func TestLatencyOfNothing(t *testing.T) {
	needDisk(t, "ext4")
	const text = "- name: nothing\n  required: {volumes: [{device: soft, filesystem: ext4, size: 64M}]}\n  files: {count: 3, size: 64K}\n"
	for name, c := range map[string]struct{ more, why string }{
		"no probe":    {"  tests: [write-files]\n  checks: [check-latency: {max: 1s}]\n", "there was no probe"},
		"all refused": {"  tests: [write-files, probe-latency: {check: write, for: 1s}]\n  faults: [error-writes]\n  checks: [check-latency: {max: 1m}]\n", "every probe that ended was refused"},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.wants(l.run(text+c.more), verdict.Inconclusive, c.why)
		})
	}
}
