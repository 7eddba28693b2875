package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestBudgets: there is room for what comes next, and no line is for a package
// that is gone.
func TestBudgets(t *testing.T) {
	var sum time.Duration
	for _, b := range budgets() {
		sum += b.most
		if files, _ := filepath.Glob(filepath.Join("../..", b.pkg, "*_test.go")); len(files) == 0 {
			t.Errorf("%s has no tests", b.pkg)
		}
	}
	if most := 10 * time.Minute; sum > most {
		t.Errorf("the budgets together are %v, want at most %v", sum, most)
	}
	if _, err := os.Stat("../../go.mod"); err != nil {
		t.Fatal(err)
	}
}

// TestSplit: plain packages run without the race detector, all others, unknown
// ones too, with it.
func TestSplit(t *testing.T) {
	all := []budget{{pkg: "a", plain: true}, {pkg: "b"}}
	plain, raced := split([]string{module + "a", module + "b", module + "c"}, all)
	if len(plain) != 1 || plain[0] != module+"a" || len(raced) != 2 {
		t.Errorf("%v, %v", plain, raced)
	}
}

// TestTake: what is counted and what is reported.
func TestTake(t *testing.T) {
	tally := newTally()
	for _, e := range []event{
		{Action: "output", Package: "p", Test: "TestS", Output: "    s_test.go:1: no disk\n"},
		{Action: "skip", Package: "p", Test: "TestS"},
		{Action: "pass", Package: "p", Test: "TestA/sub", Elapsed: 3},
		{Action: "pass", Package: "p", Test: "TestA", Elapsed: 4},
		{Action: "pass", Package: "p", Elapsed: 5},
	} {
		tally.take(e)
	}
	if tally.passed != 2 || tally.failed != 0 || tally.skipped["p.TestS"] != "no disk" {
		t.Errorf("%+v", tally)
	}
	if len(tally.tests) != 2 || tally.tests[1] != (took{"p.TestA", 4}) || len(tally.packages) != 1 {
		t.Errorf("%v, %v", tally.tests, tally.packages)
	}
}
