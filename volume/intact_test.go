package volume_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-1b600011/assay/flakey/soft"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
)

// harms registers the test harm, which sends a signal to the process of the run
// whose command line begins with name, and waits until it has acted.
func (l *lab) harms(name string, signal syscall.Signal) {
	l.reg.Test(scenario.Test{Name: "harm", Target: scenario.VolumeKind,
		Run: func(context.Context, *scenario.Env, scenario.Live, scenario.Task, any) error {
			for _, pid := range l.processes() {
				words, _ := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
				if n, err := strconv.Atoi(pid); err == nil && strings.HasPrefix(string(words), name+"\x00") {
					if err := syscall.Kill(n, signal); err != nil {
						return err
					}
				}
			}
			l.await("the signal has acted", func() bool { return strings.Trim(l.states(name+"\x00"), "TZ") == "" })
			return nil
		}})
}

// voids runs a scenario in which something of assay's own fails: it must be
// inconclusive, find nothing, and say what failed.
func (l *lab) voids(text, why string) {
	l.Helper()
	l.Cleanup(func() { // a daemon that was killed leaves its ledger
		undoes := machine.Undoes()
		maps.Copy(undoes, soft.Undoes())
		if err := machine.Clean(context.Background(), l.dir, undoes, func(machine.Cleaned) {}); err != nil {
			l.Error(err)
		}
	})
	out := l.run(text)
	l.wants(out, verdict.Inconclusive, "")
	if len(out.Findings) > 0 {
		l.Errorf("%d findings, the first %+v", len(out.Findings), out.Findings[0])
	}
	if out.Err == nil || !strings.Contains(out.Err.Error(), why) {
		l.Errorf("it says %v, want %q", out.Err, why)
	}
}

// TestOurOwnFailures: what is done to a part of assay's own, and what its limits
// do to it, is never the file system's, be it seen in a check, at a mount, or not
// at all.
func TestOurOwnFailures(t *testing.T) {
	needDisk(t, "ext4")
	const stopped, killed = syscall.SIGSTOP, syscall.SIGKILL
	for _, c := range []struct {
		process string
		signal  syscall.Signal
		why     string
	}{
		{"softdisk", killed, "its daemon: process"},
		{"softdisk", stopped, "is stopped (SIGSTOP)"},
		{"softdisk-keeper", killed, "keeper"},
		{"softdisk-keeper", stopped, "its keeper: process"},
		{"softdisk-flusher", killed, "the flusher, which starts write-back: process"},
		{"softdisk-flusher", stopped, "the flusher, which starts write-back: process"},
		{"volume-worker", killed, "the process that touches the files: process"},
	} {
		if c.signal == stopped && c.process != "softdisk-flusher" && !full() {
			continue // cleaning up after them takes its time
		}
		t.Run(c.process+" "+c.signal.String(), func(t *testing.T) {
			l := newLab(t)
			l.harms("assay: "+c.process, c.signal)
			l.voids(on("device: soft, filesystem: ext4, size: 64M, flusher: 10ms")+files("{count: 20, size: 16K}", "write-files, harm", ""), c.why)
		})
	}
}

// TestOurOwnLimits: the disk's memory ends.
func TestOurOwnLimits(t *testing.T) {
	needDisk(t, "ext4")
	for name, c := range map[string]struct{ volume, tests, faults string }{
		"memory, nothing synced":   {"memory: 12M", "write-files: {sync: none}", ""},
		"memory, a power cut":      {"memory: 12M", "write-files: {sync: none}", "power-cut: {after: {operations: 300}}"},
		"memory, all of it synced": {"memory: 12M", "write-files: {sync: fsync}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			newLab(t).voids(on("device: soft, filesystem: ext4, size: 64M, "+c.volume)+files("{count: 40, size: 1M}", c.tests, c.faults), "the memory for content is used up")
		})
	}
}

// TestNoFailureOfOurOwn: what a scenario does to the parts is no failure of
// theirs, also when it comes together.
func TestNoFailureOfOurOwn(t *testing.T) {
	needDisk(t, "ext4")
	l := newLab(t)
	l.passes(onDisk("ext4", "64M") + files("{count: 20, size: 64K}", "write-files, rewrite-files, append-files",
		"power-cut: {every: {operations: {min: 60, max: 120}}, times: 3}, kill: {every: {operations: {min: 60, max: 120}}, times: 3}, "+
			"pause: {every: {operations: 50}, times: 4, for: 10ms}, hang: {every: {operations: 70}, times: 3, for: 20ms}, pressure: {disk: 1M, memory: 1M}"))
}
