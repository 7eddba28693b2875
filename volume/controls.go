package volume

import (
	"fmt"

	"github.com/seed-1b600011/assay/flakey/soft"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
)

// control is a scenario with one volume of files on a soft disk.
func control(check, fs, files, tests, faults string) string {
	if faults != "" {
		faults = "  faults: [" + faults + "]\n"
	}
	return fmt.Sprintf("- name: control\n  required: {volumes: [{device: soft, filesystem: %s, size: 320M}]}\n"+
		"  files: %s\n  concurrency: 4\n  tests: [%s]\n%s  checks: [%s]\n  timeout: 2m\n", fs, files, tests, faults, check)
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

func fileControls() []scenario.Control {
	const few = "{count: 20, size: 256K}"
	planted := func(name, fs, tests, faults string, wants verdict.Kind, also ...verdict.Kind) scenario.Control {
		return scenario.Control{Name: name + " (" + fs + ")", Wants: wants, Also: also, Needs: needs(fs),
			Scenario: control("check-files", fs, few, tests, faults)}
	}
	clean := func(name, fs, tests, faults string) scenario.Control { return planted(name, fs, tests, faults, "") }
	all := []scenario.Control{}
	for _, fs := range []string{"ext4", "xfs", "btrfs"} {
		all = append(all, clean("power cuts under writes, overwrites, appends, renames and deletes", fs,
			"write-files, rewrite-files, append-files: {writes: 2}, rename-files, delete-files", "power-cut: {every: {min: 100ms, max: 400ms}, times: 4}"))
	}
	return append(all,
		planted("flushes are acknowledged and not done, then power fails", "ext4", "write-files", "drop-flushes, power-cut: {after: 500ms, keep: none}", verdict.Lost),
		planted("overwrites are synced on a disk that drops flushes, then power fails", "ext4", "write-files, rewrite-files",
			"drop-flushes: {after: {operations: 125}}, power-cut: {after: {operations: 350}, keep: none}", verdict.Stale, verdict.Lost),
	)
}

func fsckControls() []scenario.Control {
	return []scenario.Control{
		{Name: "power cuts under writes and renames (ext4)", Needs: needs("ext4"),
			Scenario: control("check-fsck", "ext4", "{count: 50, size: 64K}", "write-files, rename-files", "power-cut: {every: {min: 100ms, max: 300ms}, times: 3}")},
		{Name: "writes to the inode tables are dropped (ext4)", Wants: verdict.Corrupt, Also: []verdict.Kind{verdict.Unreadable}, Needs: needs("ext4"),
			Scenario: control("check-fsck", "ext4", "{count: 200, size: 16K}", "write-files, delete-files, write-files", "misdirect-writes: {probability: 0.05}")},
	}
}

// Commands of controls. A shell appends numbers to a file and promises each; the
// reader wants all that it gets to be in it.
const (
	appendUnsynced = `[sh, -c, "n=0; while :; do n=$((n+1)); echo $n >> $0/log; echo $n; done", "{volume}"]`
	appendSynced   = `[sh, -c, "touch $0/log; sync $0; n=$(wc -l < $0/log); while :; do n=$((n+1)); echo $n >> $0/log; sync $0/log; echo $n; done", "{volume}"]`
	readLog        = `[sh, -c, "test -e $0/log || { echo no log; exit 1; }; want=$(sort -n | tail -n 1); have=$(grep -ac . $0/log); [ $have -ge ${want:-0} ] || { echo $have of $want; exit 1; }", "{volume}"]`
)

func execControls() []scenario.Control {
	of := func(writer, faults string) string {
		return "- name: control\n  required: {volumes: [{device: soft, filesystem: ext4, size: 64M, mount: commit=1000}]}\n" +
			"  tests:\n    - exec: {command: " + writer + "}\n  faults: [" + faults + "]\n  checks:\n    - exec: {command: " + readLog + ", expects: acknowledged}\n  timeout: 2m\n"
	}
	return []scenario.Control{
		{Name: "lines are promised without a sync, then power fails", Wants: verdict.Lost, Needs: needs("ext4"), Scenario: of(appendUnsynced, "power-cut: {after: 300ms, keep: none}")},
		{Name: "each line is synced, on a disk that drops flushes", Wants: verdict.Lost, Needs: needs("ext4"), Scenario: of(appendSynced, "drop-flushes, power-cut: {after: 500ms, keep: none}")},
		{Name: "each line is synced, then power fails", Needs: needs("ext4"), Scenario: of(appendSynced, "power-cut: {every: {min: 200ms, max: 400ms}, times: 3}")},
	}
}
