package volume_test

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
)

// namesComeBack is whether the btrfs of this kernel has a defect of which
// examples/btrfs-names/without-assay.sh is the proof, on a loop device and with
// nothing of ours: a name that was taken away, with its directory synced, is there
// again after a power cut.
//
// What happens, as the log on that device tells (btrfs inspect-internal
// dump-tree): an entry of a directory is first kept in memory, and gets into the
// tree when there are 128 of all directories. If it is renamed away after that, and
// before the first fsync of the directory in a transaction, that fsync writes the
// old entry into the log beside the new one, and no later one takes it out. As long
// as the file has a name, the log has that too, and its replay puts the old one
// right. Without, the old one is there.
func namesComeBack(t testing.TB) bool { return has(t, "without-assay.sh") }

// syncsReturnEarly is whether it has another one: of several fsyncs of one
// directory at once some return before the disk has been asked for anything, when
// another of them commits. What they promised is lost if the power fails then.
func syncsReturnEarly(t testing.TB) bool { return has(t, "concurrent-syncs.sh") }

// has is what a script, which uses nothing of ours, says of this kernel.
func has(t testing.TB, script string) bool {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "../examples/btrfs-names/"+script).CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("%s", out)
	return err == nil
}

// namesBack counts the findings that the defect makes: a name that is there
// though it was taken away, or that leads to a file that once had it.
func namesBack(out *scenario.Outcome) (n int) {
	for _, f := range out.Findings {
		if (f.Kind == verdict.Resurrected || f.Kind == verdict.Misdirected) && strings.Contains(f.Promised, "no such name (") {
			n++
		}
	}
	return n
}

// TestNamesThatComeBack: assay finds that defect where it is, with a test of files
// that does not know of it, and finds nothing where it is not. The file has lost
// its last name too, as the defect needs, when write-files unlinks it, and what
// fills the memory are the files that each replay of the log leaves to be deleted,
// so it comes after a dozen cuts; it is tried until it has come.
func TestNamesThatComeBack(t *testing.T) {
	needDisk(t, "btrfs")
	defect := namesComeBack(t)
	for range 10 {
		l := newLab(t)
		out := l.run(onDisk("btrfs", "160M") + "  files: {count: 1, size: 20K}\n  concurrency: 1\n  checks: [check-files]\n  tests: [" + renamedAnew + "]\n" +
			fmt.Sprintf("  faults: [power-cut: {every: {operations: {min: 20, max: 40}}, times: %d, keep: all}]\n", count(40, 100)))
		if out.Err != nil {
			t.Error(out.Err)
		}
		n := namesBack(out)
		if !defect || n < len(out.Findings) || t.Failed() {
			l.wants(out, verdict.Pass, "")
			return
		}
		if n > 0 {
			t.Logf("%v: %d findings in %d rounds", out.Verdict, n, out.Rounds)
			return
		}
	}
	t.Error("no name came back, and this kernel has the defect")
}
