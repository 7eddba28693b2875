package volume_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/flakey/soft"
	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/seed"
	"github.com/seed-1b600011/assay/verdict"
)

func needDisk(t testing.TB) {
	t.Helper()
	if err := (soft.Driver{}).Supports(""); err != nil {
		t.Skip(err)
	}
}

func full() bool { return os.Getenv("ASSAY_FULL") != "" }

// lab runs scenarios with a state directory of its own, of which nothing that
// was made may be left.
type lab struct {
	t   *testing.T
	dir string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	needDisk(t)
	return &lab{t, t.TempDir()}
}

func (l *lab) plan(text string) *scenario.Plan {
	l.t.Helper()
	all, err := scenario.Parse("test", []byte(text), registry())
	if err != nil {
		l.t.Fatal(err)
	}
	sd := seed.New()
	l.t.Logf("seed %v", sd)
	p, err := all[0].Plan(sd, 0, scenario.Adjust{})
	if err != nil {
		l.t.Fatal(err)
	}
	return p
}

func (l *lab) with(do func(*scenario.Runner) (*scenario.Outcome, error)) (*scenario.Outcome, error) {
	l.t.Helper()
	ledger, err := machine.OpenLedger(l.dir)
	if err != nil {
		l.t.Fatal(err)
	}
	out, err := do(&scenario.Runner{Registry: registry(), Ledger: ledger, Dir: l.dir})
	if err := ledger.Close(); err != nil {
		l.t.Errorf("left behind: %v", err)
	}
	mounts, reading := os.ReadFile("/proc/self/mountinfo")
	if reading != nil || strings.Contains(string(mounts), l.dir) {
		l.t.Errorf("a mount is left below %s (%v)", l.dir, reading)
	}
	return out, err
}

func (l *lab) run(text string) *scenario.Outcome {
	l.t.Helper()
	p := l.plan(text)
	out, err := l.with(func(r *scenario.Runner) (*scenario.Outcome, error) { return r.Run(l.t.Context(), p) })
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

func wantVerdict(t *testing.T, out *scenario.Outcome, want verdict.Verdict) {
	t.Helper()
	if out.Verdict != want {
		t.Errorf("%v: %s: %v", out.Verdict, out.Why, out.Err)
		for i, f := range out.Findings {
			if i == 5 {
				break
			}
			t.Errorf("finding: %v", f)
		}
	}
}

func files(volume, files, tests, faults string) string {
	if faults != "" {
		faults = "  faults: [" + faults + "]\n"
	}
	return fmt.Sprintf("- name: test\n  required: {volumes: [{%s}]}\n  files: %s\n  concurrency: 4\n  tests: [%s]\n%s  checks: [check-files]\n  timeout: 5m\n",
		volume, files, tests, faults)
}

// TestHonestCuts: on a disk that keeps its word no file system is blamed,
// whatever is done to files in whatever way.
func TestHonestCuts(t *testing.T) {
	ways := []string{
		"write-files, rewrite-files, append-files: {writes: 3}, rename-files, delete-files",
		"write-files: {sync: none}, rewrite-files: {sync: none}, rename-files: {sync: none}, delete-files: {sync: none}",
		"write-files: {sync: fdatasync, order: reverse}, rewrite-files: {sync: O_DSYNC, order: random}, append-files: {sync: O_SYNC, block: 1000B}",
		"write-files: {sync: syncfs, preallocate: true}, rewrite-files: {sync: msync, writes: 3}, append-files: {sync: msync, writes: 2}",
		"write-files: {direct: true, queue-depth: 4, block: 4K}, rewrite-files: {direct: true, queue-depth: 8, block: 4K, order: random, punch: 2, sync-every: 5}",
		"write-files: {replace: rename}, rename-files: {hard-links: true}, write-files: {replace: unlink, sync-directory: false}",
		"rewrite-files: {sparse: true, writes: 8, block: 5000B}",
	}
	cuts := 3
	if full() {
		cuts = 72 // of each way: 504 on each file system
	}
	for fs, size := range map[string]string{"ext4": "128M", "xfs": "320M", "btrfs": "256M"} {
		for _, way := range ways {
			t.Run(fs+"/"+way[:min(len(way), 40)], func(t *testing.T) {
				out := newLab(t).run(files("device: soft, filesystem: "+fs+", size: "+size, "{count: 12, size: {min: 0B, max: 300K}, prefix: a/b}", way,
					fmt.Sprintf("power-cut: {every: {min: 40ms, max: 250ms}, times: %d}", cuts)))
				wantVerdict(t, out, verdict.Pass)
				if out.Rounds != cuts {
					t.Errorf("%d rounds, want %d", out.Rounds, cuts)
				}
			})
		}
	}
}

// TestAgain: a round with a finding shows it again from its recording, and a
// second time.
func TestAgain(t *testing.T) {
	for name, fault := range map[string]string{
		"a power cut":  "drop-flushes: {after: {operations: 140}}, power-cut: {every: {operations: 230}, times: 2, keep: none}",
		"no power cut": "corrupt-writes: {path: \"00000003\", after: {operations: 140}, count: 1}",
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			out := l.run(files("device: soft, filesystem: ext4, size: 64M", "{count: 20, size: 256K}", "write-files, rewrite-files", fault))
			wantVerdict(t, out, verdict.Fail)
			if !out.Again {
				t.Fatalf("no evidence was kept: %v", out.Err)
			}
			for range 2 {
				again, err := l.with(func(r *scenario.Runner) (*scenario.Outcome, error) { return r.Again(t.Context(), out.Dir) })
				if err != nil {
					t.Fatal(err)
				}
				if len(again.Findings) == 0 || len(again.Findings) > len(out.Findings) {
					t.Fatalf("%d findings and then %d: %v", len(out.Findings), len(again.Findings), again.Err)
				}
				for i, f := range again.Findings {
					if o := out.Findings[i]; f.Kind != o.Kind || f.Object != o.Object || f.From != o.From || f.To != o.To || f.Found != o.Found || f.Blame != o.Blame {
						t.Errorf("%v, and then %v", o, f)
					}
				}
			}
		})
	}
}

// TestCountedCuts: a cut that waits for so many writes or flushes of the disk
// meets exactly that one.
func TestCountedCuts(t *testing.T) {
	for _, of := range []string{"writes", "flushes"} {
		t.Run(of, func(t *testing.T) {
			out := newLab(t).run(files("device: soft, filesystem: ext4, size: 64M", "{count: 8, size: 16K}", "write-files", "power-cut: {every: {"+of+": 9}, times: 4}"))
			wantVerdict(t, out, verdict.Pass)
			if out.Rounds != 4 {
				t.Errorf("%d rounds, want 4", out.Rounds)
			}
		})
	}
}

// TestKills: after kills alone all that had returned is there.
func TestKills(t *testing.T) {
	out := newLab(t).run(files("device: soft, filesystem: xfs, size: 320M", "{count: 8, size: 100K}", "write-files: {sync: none}, rewrite-files: {sync: none}",
		"kill: {every: {min: 30ms, max: 150ms}, times: 6}, pause: {every: {min: 20ms, max: 60ms}, for: 5ms}"))
	wantVerdict(t, out, verdict.Pass)
}

// TestFullDisk: that there is no space left is an answer, and no finding.
func TestFullDisk(t *testing.T) {
	for _, sync := range []string{"fsync", "msync"} {
		out := newLab(t).run(files("device: soft, filesystem: ext4, size: 16M", "{count: 64, size: 1M}", "write-files: {sync: "+sync+"}, rewrite-files",
			"power-cut: {after: 1s}"))
		wantVerdict(t, out, verdict.Pass)
		if out.Tick.Refused == 0 {
			t.Error("the disk was never full")
		}
	}
}

// TestOddNames: every byte that a name may have, and as long as one may be.
func TestOddNames(t *testing.T) {
	out := newLab(t).run(files("device: soft, filesystem: ext4, size: 64M", "{count: 256, size: 100B, names: odd}", "write-files, rename-files, delete-files",
		"power-cut: {every: 200ms, times: 3}"))
	wantVerdict(t, out, verdict.Pass)
}

// TestManyFiles: a volume of many files is walked, read and gone on with.
func TestManyFiles(t *testing.T) {
	count := 2000
	if full() {
		count = 100_000
	}
	out := newLab(t).run(files("device: soft, filesystem: xfs, size: 2G", fmt.Sprintf("{count: %d, size: 30B}", count), "write-files: {sync: none}",
		fmt.Sprintf("kill: {after: {operations: %d}}", 2*count)))
	wantVerdict(t, out, verdict.Pass)
}

// TestHugeSparseFile: of 100 GiB only what was written costs anything.
func TestHugeSparseFile(t *testing.T) {
	out := newLab(t).run(files("device: soft, filesystem: xfs, size: 200G, memory: 1G, record: false", "{count: 1, size: 100G}", "rewrite-files: {sparse: true, writes: 40, block: 1M}",
		"power-cut: {every: 300ms, times: 2}"))
	wantVerdict(t, out, verdict.Pass)
}

// TestHungDisk: whoever ends a run whose disk hangs does not wait for the disk.
func TestHungDisk(t *testing.T) {
	for _, test := range []string{"write-files", "rewrite-files", "append-files", "rename-files", "delete-files"} {
		t.Run(test, func(t *testing.T) {
			l := newLab(t)
			p := l.plan(files("device: soft, filesystem: ext4, size: 64M", "{count: 8, size: 64K}", "write-files, "+test, "hang: {after: {operations: 36}}"))
			ctx, cancel := context.WithCancelCause(t.Context())
			var once sync.Once
			out, err := l.with(func(r *scenario.Runner) (*scenario.Outcome, error) {
				time.AfterFunc(1500*time.Millisecond, func() { once.Do(func() { cancel(scenario.ErrInterrupted) }) })
				return r.Run(ctx, p)
			})
			if err != nil {
				t.Fatal(err)
			}
			if out.Verdict != verdict.Inconclusive || !errors.Is(out.Err, scenario.ErrInterrupted) {
				t.Errorf("%v: %s, %v", out.Verdict, out.Why, out.Err)
			}
		})
	}
}

// TestDirectory: a volume that is a directory gets one of its own in it, and
// all else there stays.
func TestDirectory(t *testing.T) {
	l, place := newLab(t), t.TempDir()
	if err := os.WriteFile(filepath.Join(place, "mine"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := l.run(files("path: "+place, "{count: 10, size: 10K}", "write-files, rewrite-files, delete-files, write-files", "kill: {every: 100ms, times: 3}"))
	wantVerdict(t, out, verdict.Pass)
	if left, err := os.ReadDir(place); err != nil || len(left) != 1 || left[0].Name() != "mine" {
		t.Errorf("left: %v, %v", left, err)
	}
	p := l.plan(files("path: "+filepath.Dir(l.dir), "{count: 1}", "write-files", ""))
	if out, err := l.with(func(r *scenario.Runner) (*scenario.Outcome, error) { return r.Run(t.Context(), p) }); err == nil || !scenario.IsConfig(err) {
		t.Errorf("records in the volume that they judge: %v, %v", out, err)
	}
}

// TestPromises: what a command has said is handed to the check: whole lines,
// each once, also what was in the pipe when it was killed.
func TestPromises(t *testing.T) {
	l := newLab(t)
	out := l.run(`- name: test
  required: {volumes: [{device: soft, filesystem: ext4, size: 64M}]}
  tests:
    - exec: {command: [sh, -c, "trap '' TERM; (setsid sleep 1000 &) ; n=$(cat $0/n 2>/dev/null || echo 0); while :; do n=$((n+1)); echo $n > $0/n.new; mv $0/n.new $0/n; echo line $n; printf half; printf '\\r'; done", "{volume}"]}
  faults: [kill: {every: 150ms, times: 3}]
  checks:
    - exec: {command: [sh, -c, "tr -d '\\r' | sed s/^half// | awk '$2 <= last {print \"again\", $0; exit 1} {last=$2} END {print NR > \"/dev/stderr\"; exit NR < 1}'"]}
`)
	wantVerdict(t, out, verdict.Pass)
	if out.Rounds != 3 {
		t.Errorf("%d rounds", out.Rounds)
	}
}

// TestCommandsThatMisbehave are told of, bounded and killed.
func TestCommandsThatMisbehave(t *testing.T) {
	for _, c := range []struct{ name, writer, reader, why string }{
		{"a writer that fails", `[sh, -c, "echo x; echo oh no >&2; exit 3"]`, `["true"]`, "ended with status 3"},
		{"a writer that is not there", `[/no/such/program]`, `["true"]`, "no such file"},
		{"a reader that hangs", `[echo, x]`, `[sleep, "1000"]`, "had not ended after 1s"},
		{"a reader without an answer", `[echo, x]`, `[sh, -c, "exit 2"]`, "is no answer"},
		{"a line without end", `[sh, -c, "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo x"]`, `["true"]`, "is no promise"},
		{"a silent writer", `["true"]`, `["true"]`, "acknowledged no operation"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out := newLab(t).run("- name: test\n  required: {volumes: [{device: soft, size: 64M}]}\n  tests:\n    - exec: {command: " + c.writer +
				"}\n  checks:\n    - exec: {command: " + c.reader + ", timeout: 1s}\n")
			if out.Verdict != verdict.Inconclusive || !strings.Contains(out.Why, c.why) {
				t.Errorf("%v: %s, want %q", out.Verdict, out.Why, c.why)
			}
		})
	}
	t.Run("a writer of much that closes its output", func(t *testing.T) {
		wantVerdict(t, newLab(t).run(`- name: test
  required: {volumes: [{device: soft, size: 64M}]}
  tests:
    - exec: {command: [sh, -c, "yes 123456789 | head -n 1000000; exec >&-; sleep 0.2"]}
  checks:
    - exec: {command: [sh, -c, "test $(wc -l) = 1000000"]}
`), verdict.Pass)
	})
}

// TestRefusals come before anything is made.
func TestRefusals(t *testing.T) {
	for _, c := range []struct{ volume, faults, why string }{
		{"device: hard", "", `no device "hard"`},
		{"device: soft, path: /tmp", "", "a path is of a volume without a device"},
		{"path: relative", "", "absolute"},
		{"path: /tmp", "drop-writes", "needs a breakable disk"},
		{"device: none", "", "wants a path"},
	} {
		_, err := scenario.Parse("test", []byte(files(c.volume, "{count: 1}", "write-files", c.faults)), registry())
		if err == nil || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %v, want %q", c.volume, err, c.why)
		}
	}
	l := newLab(t)
	p := l.plan(files("device: soft, filesystem: xfs, size: 64M", "{count: 1}", "write-files", ""))
	if out, err := l.with(func(r *scenario.Runner) (*scenario.Outcome, error) { return r.Run(t.Context(), p) }); !scenario.IsConfig(err) {
		t.Errorf("xfs of 64M: %v, %v", out, err)
	}
}

// TestRecordsOfAnOperation: each is issued before it ends, and syncs are told
// from writes.
func TestRecordsOfAnOperation(t *testing.T) {
	l := newLab(t)
	p := l.plan(files("device: soft, filesystem: ext4, size: 64M", "{count: 1, size: 100B}", "write-files", ""))
	var got []string
	_, err := l.with(func(r *scenario.Runner) (*scenario.Outcome, error) {
		r.Keep = true
		out, err := r.Run(t.Context(), p)
		if err != nil {
			return nil, err
		}
		for rec, err := range history.ReadDir(filepath.Join(out.Dir, "history")) {
			if err != nil {
				return nil, err
			}
			if rec.Verb != "check" {
				got = append(got, strings.TrimSpace(rec.Phase.String()+" "+rec.Verb))
			}
		}
		return out, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "issued create, acknowledged, issued write, acknowledged, issued fsync, synced, issued syncdir, synced"
	if strings.Join(got, ", ") != want {
		t.Errorf("\n got %s\nwant %s", strings.Join(got, ", "), want)
	}
}
