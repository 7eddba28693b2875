package volume

import (
	"fmt"
	"strings"

	"github.com/seed-1b600011/assay/flakey/soft"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
)

// sound is a control on a soft disk: a check, its volume and what is done there.
type sound struct {
	check, fs, files, tests, faults string
	size                            string // of the volume; empty: the least that the file system takes, or more
}

func (c sound) scenario() string {
	faults := ""
	if c.faults != "" {
		faults = "  faults: [" + c.faults + "]\n"
	}
	hardness := ""
	if strings.Contains(c.faults, powerCutName) { // what a control shows is no matter of chance
		hardness = ", flusher: 10ms, neighbour: none"
	}
	if c.size == "" {
		c.size = map[string]string{"ext4": "64M", "xfs": "320M", "btrfs": "160M"}[c.fs]
	}
	return fmt.Sprintf("- name: control\n  required: {volumes: [{device: soft, filesystem: %s, size: %s%s}]}\n"+
		"  files: %s\n  concurrency: 4\n  tests: [%s]\n%s  checks: [%s]\n  timeout: 30m\n", c.fs, c.size, hardness, c.files, c.tests, faults, c.check)
}

// control names what is planted in it.
func (c sound) control(name string, wants verdict.Kind, also ...verdict.Kind) scenario.Control {
	return scenario.Control{Name: name + " (" + c.fs + ")", Wants: wants, Also: also, Exact: true, Needs: needs(c.fs), Scenario: c.scenario()}
}

// needs says why this machine cannot run a control on a file system.
func needs(fs string) func() error {
	return func() error {
		if err := (soft.Driver{}).Supports(""); err != nil {
			return err
		}
		return machine.SupportsFilesystem(fs)
	}
}

// Of twenty files of four blocks, write-files makes 140 operations: each is
// created, written, synced, and so is its directory. A fault that begins there
// meets only what the next test does.
const (
	twenty  = "{count: 20, size: 256K}"
	written = "after: {operations: 140}"
	third   = `path: "00000003", ` + written
)

func fileControls() []scenario.Control {
	files := func(fs, tests, faults string) sound {
		return sound{check: "check-files", fs: fs, files: twenty, tests: tests, faults: faults}
	}
	const all = "write-files, read-files, rewrite-files, read-files, append-files: {writes: 2}, rename-files, read-files, delete-files"
	unflushed := files("ext4", "write-files, rewrite-files: {direct: true, sync: none}, read-files", "stale-reads: {"+third+"}")
	unflushed.size = "64M, mount: commit=1000" // or the journal's commit flushes the disk
	return []scenario.Control{
		files("ext4", all, "power-cut: {every: {operations: {min: 20, max: 120}}, times: 4}").control("power cuts under all that is done to files", ""),
		files("xfs", all, "power-cut: {every: {operations: {min: 20, max: 120}}, times: 4}").control("power cuts under all that is done to files", ""),
		files("btrfs", all, "power-cut: {every: {operations: {min: 20, max: 120}}, times: 4}").control("power cuts under all that is done to files", ""),
		files("ext4", all, "kill: {every: {operations: {min: 20, max: 120}}, times: 3}").control("kills under all that is done to files", ""),
		files("xfs", "write-files, rewrite-files", "error-flushes: {count: 1, "+written+"}").control("flushes fail, and the file system says so", ""),
		files("ext4", "write-files, rewrite-files", "error-writes: {"+third+"}").control("the writes of a file fail, and fsync says so", ""),

		files("ext4", "write-files", "drop-flushes, power-cut: {after: {operations: 130}, keep: none}").control("new files are synced on a disk that drops flushes", verdict.Lost),
		files("ext4", "write-files, rewrite-files", "drop-flushes: {"+written+"}, power-cut: {after: {operations: 230}, keep: none}").control("overwrites are synced on a disk that drops flushes", verdict.Stale),
		files("ext4", "write-files, delete-files", "drop-flushes: {"+written+"}, power-cut: {after: {operations: 170}, keep: none}").control("unlinks are synced on a disk that drops flushes", verdict.Resurrected),
		files("ext4", "write-files, rewrite-files", "drop-writes: {"+third+"}").control("the writes of one file in 20 are dropped", verdict.Stale),
		files("xfs", "write-files, rewrite-files", "tear-writes: {"+third+", count: 1}").control("one write is torn", verdict.Stale),
		files("ext4", "write-files, rewrite-files", "corrupt-writes: {"+third+", count: 1}").control("one bit of one file in 20 is flipped on its way to the disk", verdict.Corrupt),
		files("ext4", "write-files, read-files", "corrupt-reads: {"+third+"}").control("reads of one file in 20 are altered while a test reads", verdict.Corrupt),
		unflushed.control("reads of one file in 20 give what was last flushed while a test reads", verdict.Stale),
		files("ext4", "write-files, rewrite-files: {direct: true, block: 16K, writes: 1}", "misdirect-writes: {"+third+", count: 1}").control("one block goes to another place", verdict.Misdirected, verdict.Stale),
	}
}

func fsckControls() []scenario.Control {
	const all = "write-files, rename-files, delete-files, write-files, rename-files, delete-files, write-files"
	fsck := func(fs, faults string) sound {
		return sound{check: "check-fsck", fs: fs, files: "{count: 200, size: 4K}", tests: all, faults: faults}
	}
	dropped := fsck("ext4", "drop-writes: {probability: 0.3}")
	dropped.size = "16M, sector: 512" // with the smallest blocks and journal, what is dropped soon is the inode tables too
	return []scenario.Control{
		fsck("ext4", "power-cut: {every: {operations: {min: 50, max: 400}}, times: 3}").control("power cuts", ""),
		fsck("xfs", "power-cut: {every: {operations: {min: 50, max: 400}}, times: 3}").control("power cuts", ""),
		fsck("btrfs", "power-cut: {every: {operations: {min: 50, max: 400}}, times: 3}").control("power cuts", ""),
		dropped.control("one in three writes is dropped", verdict.Corrupt, verdict.Unreadable),
	}
}

// Commands of controls. A shell appends numbers to a file and promises each; the
// reader wants all that it gets to be in it.
const (
	appendUnsynced = `[sh, -c, "n=0; while :; do n=$((n+1)); echo $n >> $0/log; echo $n; done", "{volume}"]`
	appendSynced   = `[sh, -c, "touch $0/log; sync $0; n=$(wc -l < $0/log); while :; do n=$((n+1)); echo $n >> $0/log; sync $0/log; echo $n; done", "{volume}"]`
	readLog        = `[sh, -c, "want=$(sort -n | tail -n 1); [ -n \"$want\" ] || exit 0; have=$(grep -ac . $0/log); [ ${have:-0} -ge $want ] || { echo \"lost: there are ${have:-none} of $want\"; exit 1; }", "{volume}"]`
)

func execControls() []scenario.Control {
	of := func(writer, faults string) string {
		return "- name: control\n  required: {volumes: [{device: soft, filesystem: ext4, size: 64M, mount: commit=1000, flusher: 10ms, neighbour: none}]}\n" +
			"  tests:\n    - exec: {command: " + writer + "}\n  faults: [" + faults + "]\n  checks:\n    - exec: {command: " + readLog + ", expects: acknowledged}\n  timeout: 30m\n"
	}
	return []scenario.Control{
		{Name: "lines are promised without a sync, then power fails", Wants: verdict.Lost, Needs: needs("ext4"), Scenario: of(appendUnsynced, "power-cut: {after: {operations: 50}, keep: none}")},
		{Name: "each line is synced, on a disk that drops flushes", Wants: verdict.Lost, Needs: needs("ext4"), Scenario: of(appendSynced, "drop-flushes, power-cut: {after: {operations: 20}, keep: none}")},
		{Name: "each line is synced, then power fails", Needs: needs("ext4"), Scenario: of(appendSynced, "power-cut: {every: {operations: {min: 3, max: 30}}, times: 3}")},
	}
}

func latencyControls() []scenario.Control {
	probes := func(fs, checks, tests, faults string) sound {
		return sound{check: checks, fs: fs, files: "{count: 5, size: 64K}", tests: tests, faults: faults}
	}
	return []scenario.Control{
		probes("ext4", "check-latency: {max: 1m, p99: 1m}", "probe-latency: {for: 1s}, probe-latency: {check: write, for: 1s}, probe-latency: {check: stat, for: 500ms}, probe-latency: {check: list, for: 500ms}", "").
			control("probes of all kinds on a disk that answers", ""),
		probes("ext4", "check-latency: {max: 500ms}", "probe-latency: {check: write, for: 4s}", "hang: {after: 2s, for: 1s}").control("a disk that hangs for a second", verdict.Late),
		probes("xfs", "check-latency: {p99: 50ms}", "write-files, probe-latency: {for: 2s}", "delay: {time: 200ms, after: {operations: 60}}").control("a disk that takes 200 ms", verdict.Late),
		probes("ext4", "check-latency: {max: 500ms}", "write-files, probe-latency: {check: write, for: 10s}", "hang: {after: {operations: 24}}").control("a disk that hangs for ever", verdict.Late),
	}
}
