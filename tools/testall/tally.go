package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
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

// took is how long something ran.
type took struct {
	name    string
	seconds float64
}

type tally struct {
	passed, failed int
	skipped        map[string]string // test to reason
	output         map[string][]string
	tests          []took // not those within others
	packages       []took
}

func newTally() *tally {
	return &tally{skipped: map[string]string{}, output: map[string][]string{}}
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
	failed := t.failed
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
	if err := cmd.Wait(); err != nil && t.failed == failed {
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
	switch {
	case e.Test == "":
		t.packages = append(t.packages, took{e.Package, e.Elapsed})
	case !strings.Contains(e.Test, "/"):
		t.tests = append(t.tests, took{name, e.Elapsed})
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

// slowest is how many tests the report names.
const slowest = 10

func (t *tally) report(all []budget) {
	byTime := func(a, b took) int { return cmp.Compare(b.seconds, a.seconds) }
	slices.SortStableFunc(t.tests, byTime)
	fmt.Println("\nslowest tests:")
	for _, test := range t.tests[:min(slowest, len(t.tests))] {
		fmt.Printf("  %6.1fs  %s\n", test.seconds, test.name)
	}
	slices.SortStableFunc(t.packages, byTime)
	fmt.Println("\npackages, and what they may take (tools/testall/budget.txt):")
	var sum, allowed time.Duration
	for _, p := range t.packages {
		b, ok := budgetOf(p.name, all)
		if p.seconds < 1 && !ok {
			continue // there are no tests
		}
		spent := time.Duration(p.seconds * float64(time.Second))
		sum, allowed = sum+spent, allowed+b.most
		fmt.Printf("  %6.1fs  of %4.0fs  %s%s\n", p.seconds, b.most.Seconds(), p.name, verdict(spent, b, ok))
	}
	fmt.Printf("  %6.1fs  of %4.0fs  together; two run at a time\n", sum.Seconds(), allowed.Seconds())
	if len(t.skipped) > 0 {
		fmt.Println("\nskipped:")
	}
	for _, name := range slices.Sorted(maps.Keys(t.skipped)) {
		fmt.Printf("  %s: %s\n", name, t.skipped[name])
	}
	fmt.Printf("\n%d passed, %d failed, %d skipped\n", t.passed, t.failed, len(t.skipped))
}

// verdict says what is remarkable about a package's time.
func verdict(spent time.Duration, b budget, known bool) string {
	switch {
	case !known:
		return "  has no budget"
	case spent > b.most:
		return "  IS OVER ITS BUDGET"
	}
	return ""
}
