package main

import (
	"bufio"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/flakey/soft"
	"github.com/seed-1b600011/assay/report"
	"github.com/seed-1b600011/assay/seed"
	"golang.org/x/sys/unix"
)

func TestQuickstart(t *testing.T) {
	dir := t.TempDir()
	r := assay(t, dir, "run", "--scale", "0.1", "examples/quickstart.yaml")
	r.want(t, 0, "Write 0B", "Everything at once", "Power cuts under files", "pass (seed ")
	cut := "fault power-cut: began 5 times"
	if err := (soft.Driver{}).Supports(""); err != nil {
		cut = "Power cuts under files: skipped: "
	}
	r.want(t, 0, cut)
	nothingLeft(t, dir, 0)
}

func TestLyingStore(t *testing.T) {
	dir := t.TempDir()
	r := assay(t, dir, "run", "--seed", "7", "examples/lying-store.yaml")
	r.want(t, 1, "LOST, found by check-content", "LOST, found by check-list", "promised  generation 1, ", "no such object", "acknowledged", "fail (seed 7)")
	nothingLeft(t, dir, 1)

	// What it says is how to see it again is how to see it again.
	_, again, _ := strings.Cut(r.out, "again    assay run ")
	plan, _, _ := strings.Cut(again, "\n")
	assay(t, dir, "run", plan).want(t, 1, "LOST")
}

// TestHistoryOfARun: the records of a run that was kept can be read, those that
// a finding rests on by its number.
func TestHistoryOfARun(t *testing.T) {
	dir := t.TempDir()
	r := assay(t, dir, "run", "--quiet", "--seed", "7", "examples/lying-store.yaml")
	r.want(t, 1, "One of 2000 objects is lost: lost assay-bucket-1-", "fail (seed 7)\n")
	if r.errout != "" || strings.Count(r.out, "\n") != 3 { // it is found by two checks
		t.Errorf("%q and %q", r.out, r.errout)
	}
	runs, err := filepath.Glob(filepath.Join(dir, "assay", "runs", "*"))
	if err != nil || len(runs) != 1 {
		t.Fatalf("%v, %v", runs, err)
	}
	whole := assay(t, dir, "history", runs[0])
	whole.want(t, 0)
	if n := strings.Count(whole.out, " put "); n != 4000 {
		t.Errorf("%d lines of 2000 puts", n)
	}
	one := assay(t, dir, "history", runs[0], "--finding", "1")
	one.want(t, 0, "LOST, found by check-content", "    promised  generation 1", "lie            fault begins")
	if n := strings.Count(one.out, " put "); n != 2 {
		t.Errorf("%d lines of one put:\n%s", n, one.out)
	}
	assay(t, dir, "history", "--object", "00000000", filepath.Join(runs[0], "history")).want(t, 0, "00000000, size ")
	assay(t, dir, "history", runs[0], "--finding", "3").want(t, 2, "the run has findings 1 to 2")
	assay(t, dir, "history", runs[0], "--finding", "1", "--object", "x").want(t, 2, "not with --object")
	assay(t, dir, "history", dir).want(t, 2, "there is no history in it")
	assay(t, dir, "history", runs[0], "--output", "yaml").want(t, 2, "want text or json")

	file := filepath.Join(runs[0], "history", "000001.assay")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	assay(t, dir, "history", runs[0]).want(t, 3, "is damaged at byte ", "put            acknowledged")
}

func TestJSON(t *testing.T) {
	r := assay(t, t.TempDir(), "run", "--output", "json", "examples/lying-store.yaml")
	r.want(t, 1)
	var d report.Document
	decoder := json.NewDecoder(strings.NewReader(r.out))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&d); err != nil {
		t.Fatalf("%v in %s", err, r.out)
	}
	if d.Verdict.String() != "fail" || len(d.Runs) != 1 || len(d.Runs[0].Findings) != 2 || d.Runs[0].Faults[0].Touched != 1 {
		t.Errorf("%+v", d)
	}
	if d.Runs[0].Findings[0].Object != d.Runs[0].Faults[0].Planted[0] {
		t.Errorf("found at %s, planted at %v", d.Runs[0].Findings[0].Object, d.Runs[0].Faults[0].Planted)
	}
}

func TestJUnit(t *testing.T) {
	r := assay(t, t.TempDir(), "run", "--output", "junit", "examples/lying-store.yaml")
	r.want(t, 1)
	var suite struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
	}
	if err := xml.Unmarshal([]byte(r.out), &suite); err != nil || suite.Tests != 1 || suite.Failures != 1 {
		t.Errorf("%v, %+v in %s", err, suite, r.out)
	}
}

func TestPlanRunsAgainAsPrinted(t *testing.T) {
	r := assay(t, t.TempDir(), "run", "--plan", "--seed", "5", "--scale", "0.01", "examples/quickstart.yaml")
	r.want(t, 0)
	plan := write(t, "plan.yaml", r.out)
	if again := assay(t, t.TempDir(), "run", "--plan", plan); again.out != r.out {
		t.Errorf("printed again:\n%s\nwas:\n%s", again.out, r.out)
	}
	assay(t, t.TempDir(), "run", "--only", "Many small objects,Power cuts under files", plan).want(t, 0, "Many small objects", "Power cuts under files")
}

func TestFlags(t *testing.T) {
	dir := t.TempDir()
	small := write(t, "s.yaml", "- {name: a, required: {buckets: 1}, objects: {count: 5}, tests: [put], checks: [check-list]}\n"+
		"- {name: b, required: {buckets: 1}, objects: {count: 5}, tests: [put], checks: [check-list], repeat: 2}\n")
	if r := assay(t, dir, "run", "--only", "b", "--repeat", "3", small); r.code != 0 || strings.Count(r.out, "pass  ") != 3 || strings.Contains(r.out, "\na ") {
		t.Errorf("%d: %s", r.code, r.out)
	}
	if r := assay(t, dir, "run", "--only", "b", small); strings.Count(r.out, "pass  ") != 2 {
		t.Errorf("%d: %s", r.code, r.out)
	}
	comma := write(t, "comma.yaml", "- {name: 'a, and b', required: {buckets: 1}, objects: {count: 5}, tests: [put], checks: [check-list]}\n")
	if r := assay(t, dir, "run", "--only", "a, and b", "--only", "a,b", small, comma); r.code != 0 || strings.Count(r.out, "pass  ") != 4 {
		t.Errorf("%d: %s", r.code, r.out)
	}
	if r := assay(t, dir, "run", "--only", "a, and b", small, comma); r.code != 0 || strings.Count(r.out, "pass  ") != 1 {
		t.Errorf("%d: %s", r.code, r.out)
	}
	nothingLeft(t, dir, 0)
	assay(t, dir, "run", "--keep", "--only", "a", small).want(t, 0)
	nothingLeft(t, dir, 1)
	assay(t, t.TempDir(), "run", "--duration", "2s", small).want(t, 0)
	assay(t, dir, "clean").want(t, 0, "nothing was left behind")
}

func TestWrongUsage(t *testing.T) {
	ok := write(t, "s.yaml", "- {name: a, required: {buckets: 1}, tests: [put], checks: [check-list]}\n")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"frobnicate"}, `unknown command "frobnicate"`},
		{[]string{"run"}, "requires at least 1 arg"},
		{[]string{"run", "--nope", ok}, "unknown flag: --nope"},
		{[]string{"run", "--seed", "x", ok}, `seed "x"`},
		{[]string{"run", "--scale", "0", ok}, "--scale"},
		{[]string{"run", "--concurrency", "-1", ok}, "--concurrency"},
		{[]string{"run", "--output", "xml", ok}, "--output"},
		{[]string{"run", "--patience", "0s", ok}, "--patience"},
		{[]string{"run", write(t, "big.yaml", "- name: a\n  required: {buckets: 1}\n  objects:\n    size: 8000000T\n  tests: [put]\n  checks: [check-list]\n")}, "big.yaml:4:11: 8000000T: size is at most 131072T"},
		{[]string{"run", write(t, "big.yaml", "- name: a\n  required: {buckets: 1}\n  objects:\n    size: {min: 1K, max: 200000T}\n  tests: [put]\n  checks: [check-list]\n")}, "big.yaml:4:11: 200000T: size is at most 131072T"},
		{[]string{"run", "--only", "z", ok}, `no scenario is named "z": there are a`},
		{[]string{"run", "/nonexistent.yaml"}, "/nonexistent.yaml: no such file"},
		{[]string{"run", ok, ok}, `a scenario is named "a" in`},
		{[]string{"run", "--endpoint", "/nonexistent", ok}, "/nonexistent: no such file"},
		{[]string{"run", "--backends", "x", ok}, "give its --endpoint too"},
		{[]string{"run", "--endpoint", write(t, "e.yaml", "host: x\n"), ok}, `the key "access_key" is missing`},
		{[]string{"run", "--endpoint", write(t, "e.yaml", "{host: 'ftp://x', access_key: a, secret_key: b}"), ok}, "is no address of a store"},
		{[]string{"clean", "x"}, "unknown command"},
		{[]string{"selftest", "--output", "junit"}, "--output"},
	} {
		dir := t.TempDir()
		r := assay(t, dir, c.args...)
		r.want(t, 2, c.want)
		nothingLeft(t, dir, 0)
	}
}

// TestBadDir: a directory that takes no data is told before anything is made.
func TestBadDir(t *testing.T) {
	ok := write(t, "s.yaml", "- {name: a, required: {buckets: 1}, tests: [put], checks: [check-list]}\n")
	dir := t.TempDir()
	assay(t, dir, "run", "--dir", write(t, "file", ""), ok).want(t, 2, "--dir", "not a directory")
	assay(t, dir, "run", "--dir", "/proc/nowhere", ok).want(t, 2, "--dir")
	if os.Getuid() != 0 {
		t.Skip("a full and a read-only file system need root")
	}
	full := t.TempDir()
	if err := unix.Mount("tmpfs", full, "tmpfs", 0, "size=64k,mode=0700"); err != nil {
		t.Skip("a full file system needs to be mounted: ", err)
	}
	defer unix.Unmount(full, unix.MNT_DETACH)
	if err := os.WriteFile(filepath.Join(full, "fill"), make([]byte, 60<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	assay(t, dir, "run", "--dir", full, ok).want(t, 2, "--dir", "no space left")
	if err := unix.Mount("", full, "", unix.MS_REMOUNT|unix.MS_RDONLY, "mode=0700"); err != nil {
		t.Fatal(err)
	}
	assay(t, dir, "run", "--dir", full, ok).want(t, 2, "--dir", "read-only")
	nothingLeft(t, dir, 0)
}

const long = `- name: long
  required: {buckets: 2}
  objects: {count: 200000, size: 2K}
  tests: [put, mixed]
  checks: [check-content, check-list]
`

// started starts assay and waits until it drives.
func started(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	c := command(t.Context(), t, dir, args...)
	drives(t, c)
	return c
}

// drives starts a command and waits until it drives.
func drives(t *testing.T, c *exec.Cmd) {
	t.Helper()
	errout, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(errout)
	for lines.Scan() {
		if strings.HasSuffix(lines.Text(), ": drive") {
			go func() {
				for lines.Scan() {
				}
			}()
			return
		}
	}
	t.Fatalf("it never drove: %v", c.Wait())
}

// TestInterrupt sends SIGINT at moments drawn from a seed: it is cleaned up,
// and the verdict says what happened.
func TestInterrupt(t *testing.T) {
	file := write(t, "long.yaml", long)
	sd := seed.New()
	t.Log("seed ", sd)
	for i := range uint64(4) {
		dir := t.TempDir()
		c := started(t, dir, "run", file)
		time.Sleep(time.Duration(sd.Between(i, 0, 1500)) * time.Millisecond)
		c.Process.Signal([]os.Signal{syscall.SIGINT, syscall.SIGTERM}[i%2])
		c.Wait()
		if code := c.ProcessState.ExitCode(); code != exitInconclusive {
			t.Errorf("exit code %d", code)
		}
		nothingLeft(t, dir, 1)
	}
}

// TestInterruptBeforeAnything sends SIGINT while it is still starting.
func TestInterruptBeforeAnything(t *testing.T) {
	file := write(t, "long.yaml", long)
	for i := range 6 {
		dir := t.TempDir()
		c := command(t.Context(), t, dir, "run", file)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i*15) * time.Millisecond)
		c.Process.Signal(syscall.SIGINT)
		c.Wait()
		if left, _ := filepath.Glob(filepath.Join(dir, "assay", "ledgers", "*")); len(left) > 0 {
			t.Errorf("after %d ms ledgers are left: %v", i*15, left)
		}
	}
}

// TestKilled ends assay by SIGKILL, and by a second SIGINT while it cleans:
// assay clean does the rest.
func TestKilled(t *testing.T) {
	file := write(t, "long.yaml", long)
	dir := t.TempDir()
	c := started(t, dir, "run", file)
	c.Process.Kill()
	c.Wait()
	assay(t, dir, "clean").want(t, 0, "removed directory", "removed process")
	nothingLeft(t, dir, 0)
	assay(t, dir, "clean").want(t, 0, "nothing was left behind")
}

// TestSchema holds the committed schema of the JSON report to its types.
func TestSchema(t *testing.T) {
	for path, want := range map[string][]byte{"../../docs/run.schema.json": report.Schema()} {
		if os.Getenv("ASSAY_GENERATE") != "" {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != string(want) {
			t.Errorf("%s is not what the types say (%v): make generate", path, err)
		}
	}
}

// TestHostile: files that no person writes, through the whole program.
func TestHostile(t *testing.T) {
	huge := filepath.Join(t.TempDir(), "huge.yaml")
	if err := os.WriteFile(huge, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(huge, 100<<20); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	assay(t, dir, "run", huge).want(t, 2, huge+": a scenario file has at most")
	assay(t, dir, "run", write(t, "b.yaml", strings.Repeat("[", 64000))).want(t, 2, "b.yaml:1:")
	var many strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&many, "- {name: s%d, required: {buckets: 1}, tests: [put], checks: [check-list]}\n", i)
	}
	assay(t, dir, "run", "--only", "s7777", write(t, "many.yaml", many.String())).want(t, 0, "s7777")
	nothingLeft(t, dir, 0)
}

// watched is output that is kept; seen is closed when the word is in it. One
// process writes to it.
type watched struct {
	strings.Builder
	word string
	seen chan struct{}
}

func (w *watched) Write(p []byte) (int, error) {
	before := strings.Contains(w.String(), w.word)
	w.Builder.Write(p)
	if !before && strings.Contains(w.String(), w.word) {
		close(w.seen)
	}
	return len(p), nil
}

// TestStoreDies kills the reference store in mid-run: that is no finding, and
// nothing can be proved any more.
func TestStoreDies(t *testing.T) {
	dir := t.TempDir()
	c := command(t.Context(), t, dir, "run", write(t, "long.yaml", long))
	out := &watched{word: ": drive\n", seen: make(chan struct{})}
	c.Stdout, c.Stderr = out, out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	<-out.seen
	killed := 0
	for path := range strings.FieldsSeq(childrenOf(dir)) {
		var pid int
		if fmt.Sscanf(filepath.Base(path), "%d", &pid); pid != c.Process.Pid && syscall.Kill(pid, syscall.SIGKILL) == nil {
			killed++
		}
	}
	c.Wait()
	if killed != 1 || c.ProcessState.ExitCode() != exitInconclusive || !strings.Contains(out.String(), "the reference store has ended") {
		t.Errorf("killed %d, exit code %d:\n%s", killed, c.ProcessState.ExitCode(), out.String())
	}
	if strings.Contains(out.String(), "finding") {
		t.Errorf("a finding without cause:\n%s", out.String())
	}
	nothingLeft(t, dir, 1)
}
