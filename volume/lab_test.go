package volume_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/flakey/soft"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/seed"
	"github.com/seed-1b600011/assay/verdict"
	"github.com/seed-1b600011/assay/volume"
)

// TestMain spares the children of a race-enabled run the second that the race
// detector sleeps at the end of each process.
func TestMain(m *testing.M) {
	if os.Getenv("GORACE") == "" {
		os.Setenv("GORACE", "atexit_sleep_ms=0")
	}
	os.Exit(m.Run())
}

// guard ends a test that hangs; it asserts nothing.
const guard = 20 * time.Minute

// full is whether the full counts are wanted.
func full() bool { return os.Getenv("ASSAY_FULL") != "" }

func count(few, many int) int {
	if full() {
		return many
	}
	return few
}

// watched makes soft disks and remembers them: what they are called, to look
// for what is left of them, and what they have done.
type watched struct {
	soft.Driver
	mu    *sync.Mutex
	disks *[]*spied
}

func (w watched) Open(ctx context.Context, o flakey.Options) (flakey.Disk, error) {
	d, err := w.Driver.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	s := &spied{Disk: d.(*soft.Disk)}
	w.mu.Lock()
	*w.disks = append(*w.disks, s)
	w.mu.Unlock()
	return s, nil
}

// lab runs scenarios in a directory of a test's own. At its end nothing may be
// left of it on the machine.
type lab struct {
	*testing.T
	ctx    context.Context
	dir    string
	ledger *machine.Ledger
	reg    *scenario.Registry
	driver watched
	mark   string // in the environment of every process that the test starts
	said   []string
	mu     sync.Mutex
	drawn  bool // how hard cuts are is drawn; else they are hard always in the same way
}

const markEnv = "ASSAY_TEST_MARK"

func newLab(t *testing.T) *lab {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), guard)
	t.Cleanup(cancel)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{T: t, ctx: ctx, dir: dir, reg: &scenario.Registry{}, mark: machine.Token(),
		driver: watched{mu: &sync.Mutex{}, disks: &[]*spied{}}}
	t.Setenv(markEnv, l.mark)
	if l.ledger, err = machine.OpenLedger(dir); err != nil {
		t.Fatal(err)
	}
	volume.Register(l.reg, l.driver)
	t.Cleanup(l.nothingLeft)
	return l
}

// needDisk skips what this machine cannot do.
func needDisk(t testing.TB, filesystems ...string) {
	t.Helper()
	if err := (soft.Driver{}).Supports(""); err != nil {
		t.Skip(err)
	}
	for _, fs := range filesystems {
		if err := machine.SupportsFilesystem(fs); err != nil {
			t.Skip(err)
		}
	}
}

// nothingLeft looks for whatever a run may leave. What ends by itself gets time
// to.
func (l *lab) nothingLeft() {
	l.Helper()
	if err := l.ledger.Close(); err != nil {
		l.Error(err)
	}
	var left []string
	for end := time.Now().Add(guard); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if left = l.left(); len(left) == 0 {
			return
		}
	}
	l.Errorf("left behind: %q", left)
}

func (l *lab) left() (left []string) {
	mounts, err := machine.Mounts()
	if err != nil {
		l.Fatal(err)
	}
	for _, m := range mounts {
		if strings.HasPrefix(m.Dir, l.dir) {
			left = append(left, "mount on "+m.Dir)
		}
	}
	backed, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, b := range backed {
		file, _ := os.ReadFile(b)
		if bytes.HasPrefix(file, []byte(l.dir)) {
			left = append(left, b)
		}
		for _, d := range *l.driver.disks {
			if strings.Trim(string(file), "/\n") == d.Name() {
				left = append(left, b+" of disk "+d.Name())
			}
		}
	}
	for _, pid := range l.processes() {
		name, _ := os.ReadFile(filepath.Join("/proc", pid, "cmdline"))
		left = append(left, fmt.Sprintf("process %s: %q", pid, name))
	}
	for _, dir := range []string{"disks", "ledgers"} {
		entries, _ := filepath.Glob(filepath.Join(l.dir, dir, "*"))
		left = append(left, entries...)
	}
	return left
}

// processes are the numbers of those that this test has started.
func (l *lab) processes() (all []string) {
	envs, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, e := range envs {
		env, _ := os.ReadFile(e)
		if pid := filepath.Base(filepath.Dir(e)); bytes.Contains(env, []byte(markEnv+"="+l.mark)) && pid != fmt.Sprint(os.Getpid()) {
			all = append(all, pid)
		}
	}
	return all
}

func (l *lab) hear(e verdict.Event) {
	if e.Message != "" {
		l.mu.Lock()
		l.said = append(l.said, e.Message)
		l.mu.Unlock()
	}
}

func (l *lab) heard() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.said, "\n")
}

// plan makes the one plan of a scenario.
func (l *lab) plan(text string) *scenario.Plan {
	l.Helper()
	p, err := l.tryPlan(text)
	if err != nil {
		l.Fatalf("%v in\n%s", err, text)
	}
	return p
}

func (l *lab) tryPlan(text string) (*scenario.Plan, error) {
	if !l.drawn && strings.Contains(text, "power-cut") && !strings.Contains(text, "flusher:") {
		text = strings.ReplaceAll(text, "{device: soft, ", "{device: soft, flusher: 10ms, neighbour: none, ")
	}
	all, err := scenario.Parse("test", []byte(text), l.reg)
	if err != nil {
		return nil, err
	}
	sd := seed.New()
	l.Logf("seed %v", sd)
	return all[0].Plan(sd, 0, scenario.Adjust{})
}

// run runs a scenario.
func (l *lab) run(text string) *scenario.Outcome {
	l.Helper()
	return l.runIn(l.ctx, text)
}

// settled runs a scenario until it proves something: where faults come by time,
// a slow machine may have done nothing before the last of them.
func (l *lab) settled(text string) (out *scenario.Outcome) {
	l.Helper()
	for range 20 {
		if out = l.run(text); out.Verdict != verdict.Inconclusive || out.Err != nil {
			break
		}
		l.Logf("again: %s", out.Why)
	}
	return out
}

func (l *lab) runIn(ctx context.Context, text string) *scenario.Outcome {
	l.Helper()
	out, err := l.tryRun(ctx, l.plan(text))
	if err != nil {
		l.Fatal(err)
	}
	return out
}

func (l *lab) runner() scenario.Runner {
	return scenario.Runner{Registry: l.reg, Ledger: l.ledger, Dir: l.dir, Events: l.hear}
}

func (l *lab) tryRun(ctx context.Context, p *scenario.Plan) (*scenario.Outcome, error) {
	l.Helper()
	r := l.runner()
	out, err := r.Run(ctx, p)
	if out != nil && out.Verdict == verdict.Pass {
		if left, _ := filepath.Glob(filepath.Join(l.dir, "runs", "*")); len(left) > 0 {
			l.Errorf("a run that passed left %v", left)
		}
	}
	if left := l.ledger.Left(); len(left) > 0 {
		l.Errorf("the ledger has %v after the run", left)
	}
	return out, err
}

// passes runs a scenario that must find nothing, with all of it at stake.
func (l *lab) passes(text string) *scenario.Outcome {
	l.Helper()
	out := l.run(text)
	l.wants(out, verdict.Pass, "")
	return out
}

func (l *lab) wants(out *scenario.Outcome, v verdict.Verdict, why string) {
	l.Helper()
	if out.Verdict != v || !strings.Contains(out.Why, why) {
		l.Errorf("%v (%s), want %v (%s)", out.Verdict, out.Why, v, why)
		for i, f := range out.Findings {
			if i == 10 {
				l.Logf("and %d more", len(out.Findings)-i)
				break
			}
			l.Logf("%s %s [%d:%d]: promised %s; found %s [%s] %v", f.Kind, short(f.Object), f.From, f.To, f.Promised, f.Found, f.Blame, f.Ops)
		}
		l.explain(out)
		l.keepEvidence(out)
	}
	if out.Err != nil && v != verdict.Inconclusive {
		l.Error(out.Err)
	}
}

// on is the beginning of a scenario with one volume.
func on(volume string) string {
	return fmt.Sprintf("- name: test\n  timeout: 30m\n  required: {volumes: [{%s}]}\n", volume)
}

// onDisk is the same, of a soft disk with a file system.
func onDisk(fs string, size string) string {
	return on(fmt.Sprintf("device: soft, filesystem: %s, size: %s", fs, size))
}

// files is what is done to files there, four at once, and judged after it.
func files(files, tests, faults string) string {
	return fmt.Sprintf("  files: %s\n  concurrency: 4\n  tests: [%s]\n  faults: [%s]\n  checks: [check-files]\n", files, tests, faults)
}

// sizeOf is the least size that a file system takes, or a little more.
func sizeOf(fs string) string {
	return map[string]string{"ext4": "64M", "xfs": "320M", "btrfs": "160M"}[fs]
}

func began(out *scenario.Outcome, fault string) (n int) {
	for _, f := range out.Faults {
		if f.Name == fault {
			n += f.Began
		}
	}
	return n
}

func touched(out *scenario.Outcome, fault string) (n int64) {
	for _, f := range out.Faults {
		if f.Name == fault {
			n += f.Touched
		}
	}
	return n
}
