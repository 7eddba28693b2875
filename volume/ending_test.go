package volume_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/verdict"
)

// TestKills: after the end of its processes a file system owes all that had
// returned, synced or not.
func TestKills(t *testing.T) {
	for i, fs := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(fs, func(t *testing.T) {
			needDisk(t, fs)
			for j, tests := range mixes {
				if !full() && j%3 != i {
					continue
				}
				t.Run(fmt.Sprint("mix ", j+1), func(t *testing.T) {
					l := newLab(t)
					kills := count(3, 50)
					out := l.settled(onDisk(fs, sizeOf(fs)) + files("{count: 8, size: {min: 0B, max: 200K}}", tests,
						fmt.Sprintf("kill: {every: {min: 5ms, max: 100ms}, times: %d}, pause: {after: {operations: 1}, every: {operations: 40}, for: 5ms}", kills)))
					l.wants(out, verdict.Pass, "")
					if out.Rounds != kills {
						t.Errorf("%d rounds of %s", out.Rounds, tests)
					}
				})
			}
		})
	}
}

// paused are what is done while the processes are stopped.
var paused = map[string]struct{ tests, process string }{
	"files": {"write-files, rewrite-files: {block: 4K, sync-every: 1}", "assay: volume-worker"},
	"exec":  {`exec: {command: [sh, -c, "(setsid sh -c 'n=0; while [ $n -lt 20000 ]; do n=$((n+1)); echo $n; done') & n=0; while [ $n -lt 20000 ]; do n=$((n+1)); echo $n; done; wait"]}`, "sh"},
}

// TestPauseStops: all that a test does is stopped, in whatever session, and a
// run that is ended then ends.
func TestPauseStops(t *testing.T) {
	needDisk(t, "ext4")
	for name, c := range paused {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.interruptedWhen("its processes are stopped", func() bool { return l.stopped(c.process) }, onDisk("ext4", "64M")+files("{count: 50, size: 200K}", c.tests, "pause: {after: {operations: 100}, for: 1h}"))
		})
	}
}

// stopped tells whether there are such processes of the test, all stopped.
func (l *lab) stopped(process string) bool {
	states := l.states(process)
	return len(states) > 0 && strings.Trim(states, "T") == ""
}

// await waits until it is so.
func (l *lab) await(what string, so func() bool) {
	l.Helper()
	for end := time.Now().Add(guard); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if so() {
			return
		}
	}
	l.Fatalf("it never was so: %s", what)
}

// states are the states (proc_pid_stat(5)) of the processes of this test whose
// command line begins so, one letter each.
func (l *lab) states(of string) (all string) {
	for _, pid := range l.processes() {
		name, _ := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
		stat, _ := os.ReadFile(filepath.Join("/proc", pid, "stat"))
		_, after, found := strings.Cut(string(stat), ") ")
		if strings.HasPrefix(string(name), of) && found {
			all += after[:1]
		}
	}
	return all
}

// TestPauseEnds: afterwards all goes on, to its end.
func TestPauseEnds(t *testing.T) {
	needDisk(t, "ext4")
	for name, c := range paused {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			text := files("{count: 50, size: 200K}", c.tests, "pause: {after: {operations: 100}, for: 50ms}")
			if name == "exec" { // of whose files assay knows nothing
				text = strings.Replace(text, "checks: [check-files]", `checks: [exec: {command: [sh, -c, "cat > /dev/null"]}]`, 1)
			}
			out, records := l.kept(onDisk("ext4", "64M") + text)
			l.wants(out, verdict.Pass, "")
			off, after := false, 0
			for _, r := range records {
				off = off || r.Phase == history.FaultOff
				if off && ends(r) {
					after++
				}
			}
			if after == 0 {
				t.Errorf("the pause ended: %v; %d operations after it", off, after)
			}
		})
	}
}
