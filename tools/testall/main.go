// Command testall runs the project's tests and fuzz targets and tells at the
// end, in one place, what was skipped and why.
//
//	testall [-race] [-fuzz 3s] [-timeout 30m] PACKAGES…
//
// It runs "go test -json" from the working directory, prints the output of
// what fails and a line a package, then every fuzz target for the time given,
// and last a line "N passed, N failed, N skipped". The exit status is 1 if
// anything failed, or if nothing ran.
package main

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"sort"
	"strings"
	"time"
)

// event is a line of test2json (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64
}

type tally struct {
	passed, failed int
	skipped        map[string]string // test to reason
	output         map[string][]string
}

func main() {
	race := flag.Bool("race", false, "with the race detector")
	fuzz := flag.Duration("fuzz", 0, "how long every fuzz target runs; 0: only its seeds")
	timeout := flag.Duration("timeout", 30*time.Minute, "of one package's tests")
	flag.Parse()
	t := tally{skipped: map[string]string{}, output: map[string][]string{}}
	args := []string{"test", "-json", "-timeout", timeout.String()}
	if *race {
		args = append(args, "-race")
		// By default each process sleeps for 1 s at its end so that races may still
		// be seen, and disks and commands have a dozen in every round.
		if os.Getenv("GORACE") == "" {
			os.Setenv("GORACE", "atexit_sleep_ms=10")
		}
	}
	if err := t.run(append(args, flag.Args()...)); err != nil {
		fmt.Println("testall:", err)
		t.failed++
	}
	if *fuzz > 0 {
		t.fuzz(*fuzz, flag.Args())
	}
	t.report()
	if t.failed > 0 || t.passed+len(t.skipped) == 0 {
		os.Exit(1)
	}
}

// run runs go test and takes its events.
func (t *tally) run(args []string) error {
	cmd := exec.Command("go", args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				os.Stdout.Write(line)
			} else {
				t.take(e)
			}
		}
		if err != nil {
			break
		}
	}
	if err := cmd.Wait(); err != nil && t.failed == 0 {
		return err // it did not build, or broke outside a test
	}
	return nil
}

func (t *tally) take(e event) {
	name := e.Package + "." + e.Test
	switch e.Action {
	case "output", "build-output":
		t.output[name] = append(t.output[name], e.Output)
		if e.Action == "build-output" {
			fmt.Print(e.Output)
		}
		return
	case "pass":
		if e.Test == "" {
			fmt.Printf("ok    %s  %.1fs\n", e.Package, e.Elapsed)
		} else {
			t.passed++
		}
	case "fail":
		fmt.Printf("FAIL  %s  %.1fs\n%s", name, e.Elapsed, strings.Join(t.output[name], ""))
		t.failed++
	case "skip":
		if e.Test != "" {
			t.skipped[name] = reason(t.output[name])
		}
	default:
		return
	}
	delete(t.output, name)
}

var skipLine = regexp.MustCompile(`^\s+\S+\.go:\d+: (.*)`)

// reason is what the test said when it skipped.
func reason(output []string) string {
	for _, line := range output {
		if m := skipLine.FindStringSubmatch(line); m != nil {
			return m[1]
		}
	}
	return "it did not say why"
}

// fuzz runs every fuzz target of the packages for a while.
func (t *tally) fuzz(d time.Duration, packages []string) {
	list := exec.Command("go", append([]string{"test", "-json", "-list", "^Fuzz"}, packages...)...)
	out, err := list.Output()
	if err != nil {
		fmt.Println("testall: list the fuzz targets:", err)
		t.failed++
		return
	}
	for line := range strings.Lines(string(out)) {
		var e event
		if json.Unmarshal([]byte(line), &e) != nil || e.Action != "output" || !strings.HasPrefix(e.Output, "Fuzz") {
			continue
		}
		target := strings.TrimSpace(e.Output)
		cmd := exec.Command("go", "test", "-run", "^$", "-fuzz", "^"+target+"$", "-fuzztime", d.String(), "-parallel", "2", e.Package)
		text, err := cmd.CombinedOutput()
		if err != nil && !endedLate(string(text)) {
			fmt.Printf("FAIL  %s.%s (fuzzed)\n%s", e.Package, target, text)
			t.failed++
			continue
		}
		fmt.Printf("ok    %s.%s  fuzzed %v\n", e.Package, target, d)
		t.passed++
	}
}

// endedLate is whether a fuzz target failed only because its time was over
// while an input was running: the engine tells that as a failure now and then,
// with no failing input and no message but this.
func endedLate(output string) bool {
	return strings.Contains(output, "    context deadline exceeded\n") && !strings.Contains(output, "Failing input")
}

func (t *tally) report() {
	if len(t.skipped) > 0 {
		fmt.Println("\nskipped:")
	}
	var names []string
	for name := range t.skipped {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Printf("  %s: %s\n", name, t.skipped[name])
	}
	fmt.Printf("\n%d passed, %d failed, %d skipped\n", t.passed, t.failed, len(t.skipped))
}
