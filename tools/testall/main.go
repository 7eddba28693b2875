// Command testall runs the project's tests and fuzz targets and says at the
// end, in one place, what was skipped and why, which tests took longest, and
// how each package did against its budget.
//
//	testall [-race] [-fuzz 100x] [-timeout 80m] PACKAGES…
//
// It runs "go test -json" from the working directory, prints the output of
// what fails and a line a package, then every fuzz target for the time or the
// number of inputs given, and last a line "N passed, N failed, N skipped". With
// -race the packages that budget.txt marks plain run without the race detector.
// The exit status is 1 if anything failed, or if nothing ran; a budget that was
// exceeded is reported and no failure, as a machine may be busy.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

func main() {
	race := flag.Bool("race", false, "with the race detector")
	fuzz := flag.String("fuzz", "", "how long every fuzz target runs, or with an x how many inputs it gets; empty: only its seeds")
	timeout := flag.Duration("timeout", 80*time.Minute, "of one package's tests")
	flag.Parse()
	t := newTally()
	if err := t.all(flag.Args(), *race, *fuzz, *timeout); err != nil {
		fmt.Println("testall:", err)
		t.failed++
	}
	t.report(budgets())
	if t.failed > 0 || t.passed+len(t.skipped) == 0 {
		os.Exit(1)
	}
}

// all runs the tests of the packages, and then their fuzz targets.
func (t *tally) all(patterns []string, race bool, fuzz string, timeout time.Duration) error {
	packages, err := list(patterns)
	if err != nil {
		return err
	}
	args := []string{"test", "-json", "-timeout", timeout.String()}
	plain, raced := packages, []string(nil)
	if race {
		plain, raced = split(packages, budgets())
		// By default each process sleeps for 1 s at its end so that races may still
		// be seen, and disks and commands have a dozen in every round.
		if os.Getenv("GORACE") == "" {
			os.Setenv("GORACE", "atexit_sleep_ms=10")
		}
	}
	if len(raced) > 0 {
		if err := t.run(append(append(args, "-race"), raced...)); err != nil {
			return err
		}
	}
	if len(plain) > 0 {
		if err := t.run(append(args, plain...)); err != nil {
			return err
		}
	}
	if fuzz != "" {
		return t.fuzz(fuzz, packages)
	}
	return nil
}

// list gives the import paths of the packages.
func list(patterns []string) ([]string, error) {
	list := exec.Command("go", append([]string{"list"}, patterns...)...)
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("list the packages: %w", err)
	}
	return strings.Fields(string(out)), nil
}

// split gives the packages that run without the race detector, and the others.
func split(packages []string, all []budget) (plain, raced []string) {
	for _, p := range packages {
		if b, ok := budgetOf(p, all); ok && b.plain {
			plain = append(plain, p)
		} else {
			raced = append(raced, p)
		}
	}
	return plain, raced
}
