package volume_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
)

// hung are what is under way when the disk hangs: of 30 files of two blocks,
// write-files makes 150 operations. waits are the verbs of those of which one,
// at least, has no answer then.
var hung = []struct {
	name, fs, tests string
	after           int
	waits, faults   string
}{
	{"write-files", "ext4", "write-files", 60, "create write fsync syncdir", ""},
	{"rewrite-files", "xfs", "write-files, rewrite-files", 160, "write fsync", ""},
	{"append-files", "ext4", "write-files, append-files", 160, "write truncate fsync", ""},
	{"rename-files", "ext4", "write-files, rename-files", 160, "rename syncdir", ""},
	{"rename-files by links", "btrfs", "write-files, rename-files: {hard-links: true}", 160, "link unlink syncdir", ""},
	{"delete-files", "xfs", "write-files, delete-files", 160, "unlink syncdir", ""},
	{"read-files", "ext4", "write-files, read-files", 152, "get", ""},
	{"on btrfs", "btrfs", "write-files, rewrite-files", 160, "write fsync", ""},
	{"through a mapping", "ext4", "write-files, rewrite-files: {sync: msync}", 160, "write fsync", ""},
	{"direct, many at once", "ext4", "write-files, rewrite-files: {direct: true, queue-depth: 16, block: 4K}", 160, "write fsync", ""},
	{"exec", "ext4", `exec: {command: [sh, -c, "while :; do echo x >> $0/f; sync $0/f; echo x; done", "{volume}"]}`, 60, "", ""},
	{"exec in sessions of its own", "xfs", `exec: {command: [sh, -c, "for i in 1 2 3; do setsid sh -c 'trap \"\" TERM HUP; while :; do echo x >> $0/$1; sync $0/$1; echo x; done' $0 $i & done; wait", "{volume}"]}`, 60, "", ""},
	{"with a power cut to come", "ext4", "write-files", 60, "", ", power-cut: {after: 1h}"},
	{"with a count to come", "ext4", "write-files", 60, "", ", power-cut: {after: {flushes: 100000}}"},
}

// TestHungDisk: whoever ends a run whose disk hangs does not wait for the disk,
// and nothing is left that waits for it.
func TestHungDisk(t *testing.T) {
	for _, c := range hung {
		t.Run(c.name, func(t *testing.T) {
			needDisk(t, c.fs)
			l := newLab(t)
			what := "requests hang"
			if c.waits != "" {
				what += ", and one of " + c.waits + " has no answer"
			}
			l.interruptedWhen(what, func() bool { return l.hangs(strings.Fields(c.waits)) },
				onDisk(c.fs, sizeOf(c.fs))+files("{count: 30, size: 100K}", c.tests, fmt.Sprintf("hang: {after: {operations: %d}}%s", c.after, c.faults)))
		})
	}
}

// unanswered are the operations of the run under way that have no outcome yet,
// each with its verb.
func (l *lab) unanswered() map[uint64]string {
	l.Helper()
	open := map[uint64]string{}
	dirs, _ := filepath.Glob(filepath.Join(l.dir, "runs", "*", "history"))
	for _, dir := range dirs {
		for r, err := range history.ReadDir(dir) {
			if errors.Is(err, fs.ErrNotExist) {
				break // it has not begun
			}
			if err != nil {
				l.Fatal(err)
			}
			if r.Phase == history.Issued {
				open[r.Op] = r.Verb
			}
			if ends(r) {
				delete(open, r.Op)
			}
		}
	}
	return open
}

// TestPausedOnAHungDisk: nor does it wait for processes that are stopped there.
func TestPausedOnAHungDisk(t *testing.T) {
	needDisk(t, "ext4")
	l := newLab(t)
	l.interruptedWhen("the worker is stopped", func() bool { return l.stopped("assay: volume-worker") },
		onDisk("ext4", "64M")+files("{count: 30, size: 100K}", "write-files", "hang: {after: {operations: 60}}, pause: {after: {operations: 61}, for: 1h}"))
}

// interruptedWhen ends a run, as Ctrl-C does, when it is so. All that a run waits
// for when it ends has a bound, and who meets that says so: nobody may.
func (l *lab) interruptedWhen(what string, so func() bool, text string) {
	l.Helper()
	p := l.plan(text)
	ctx, cancel := context.WithCancelCause(l.ctx)
	defer cancel(nil)
	done := make(chan struct{})
	var out *scenario.Outcome
	var err error
	go func() {
		defer close(done)
		out, err = l.tryRun(ctx, p)
	}()
	l.await(what, func() bool {
		select {
		case <-done:
			if err != nil {
				l.Fatalf("the run ended before %s: %v", what, err)
			}
			l.Fatalf("the run ended before %s: %v (%s), %v", what, out.Verdict, out.Why, out.Err)
		default:
		}
		return so()
	})
	at := machine.Boottime()
	cancel(scenario.ErrInterrupted)
	<-done
	l.Logf("it ended after %v", (machine.Boottime() - at).Round(time.Millisecond))
	if err != nil {
		l.Fatal(err)
	}
	if out.Verdict != verdict.Inconclusive || !errors.Is(out.Err, scenario.ErrInterrupted) || out.Err.Error() != scenario.ErrInterrupted.Error() {
		l.Errorf("%v: %v", out.Verdict, out.Err)
	}
	if said := l.heard(); said != "" {
		l.Errorf("it said: %s", said)
	}
}

// hangs reports whether requests hang on the disk and an operation of one of the
// verbs has no answer, which it had not a moment before either. Without verbs
// there need be none.
func (l *lab) hangs(verbs []string) bool {
	l.driver.mu.Lock()
	disks := *l.driver.disks
	l.driver.mu.Unlock()
	if len(disks) == 0 {
		return false
	}
	st, err := disks[0].Stats(l.ctx)
	if err != nil || st.Touched[flakey.Hang] == 0 {
		return false
	}
	before := l.unanswered()
	time.Sleep(100 * time.Millisecond)
	for op, verb := range l.unanswered() {
		if _, still := before[op]; still && slices.Contains(verbs, verb) {
			return true
		}
	}
	return len(verbs) == 0
}

// TestHungDiskThatGoesOn: a hang that ends loses nothing.
func TestHungDiskThatGoesOn(t *testing.T) {
	needDisk(t, "ext4")
	l := newLab(t)
	out := l.passes(onDisk("ext4", "64M") + files("{count: 30, size: 100K}", "write-files, rewrite-files", "hang: {after: {operations: 60}, for: 300ms}"))
	if n := began(out, "hang"); n != 1 {
		t.Errorf("it hung %d times", n)
	}
}

// TestRoundThatEndsWhileTheDiskHangs: a power cut while everything hangs is one
// like any other, and so is a kill.
func TestRoundThatEndsWhileTheDiskHangs(t *testing.T) {
	needDisk(t, "ext4")
	for _, fault := range []string{"power-cut", "kill"} {
		t.Run(fault, func(t *testing.T) {
			// Nothing but time ends a round in which all hangs. How long it takes
			// until something hangs is the machine's: it is waited for twice as long
			// each time that it was too short.
			for after := 300 * time.Millisecond; after < guard; after *= 2 {
				l := newLab(t)
				out := l.run(onDisk("ext4", "64M") + files("{count: 30, size: 100K}", "write-files, rewrite-files", fmt.Sprintf("hang: {after: {operations: 60}}, %s: {after: %v}", fault, after)))
				if touched(out, "hang") > 0 && began(out, fault) == 1 {
					l.wants(out, verdict.Pass, "")
					return
				}
			}
			t.Error("nothing ever hung")
		})
	}
}
