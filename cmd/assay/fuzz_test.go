package main

import (
	"slices"
	"testing"

	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/scenario/fuzz"
	"github.com/seed-1b600011/assay/seed"
)

// generated is how many scenarios are enough to see every word and option. They
// are those of a seed that does not change, so that chance has no part in it.
const generated = 2500

// TestFuzzerKnowsTheLanguage makes scenarios, without running them, and wants
// each to be valid, and every test, honest fault and check in one of them, with every
// option that it has. What is registered later and cannot be drawn shows here.
func TestFuzzerKnowsTheLanguage(t *testing.T) {
	f := newFuzzer(t.TempDir())
	for i := range f.Domains {
		f.Domains[i].Needs = nil // nothing is made
	}
	seen := map[string]bool{}
	const sd = seed.Seed(1)
	for i := range generated {
		s := f.Generate(sd, i)
		all, err := scenario.Parse("", []byte(s.Text()), f.Registry)
		if err != nil {
			t.Fatalf("scenario %d: %v\n%s", i, err, s.Text())
		}
		if _, err := all[0].Plan(0, 0, scenario.Adjust{}); err != nil {
			t.Fatalf("scenario %d: %v\n%s", i, err, s.Text())
		}
		for _, u := range slices.Concat(s.Tests, s.Faults, s.Checks) {
			seen[u.Name] = true
			for _, o := range u.Options {
				seen[u.Name+"."+o.Key] = true
			}
		}
	}
	for _, w := range words(f) {
		if !seen[w] {
			t.Errorf("%s is in none of %d scenarios", w, generated)
		}
	}
}

// words are the tests, faults and checks that may be in a scenario of the
// fuzzer's, and word.option for each option.
func words(f *fuzz.Fuzzer) (all []string) {
	// The value of these follows from the rest, or would make the run say nothing.
	left := []string{"exec.acknowledges", "exec.expects", "exec.timeout", "check-latency.p99", "hang.for", "pause.for",
		"lie.key", "lie.probability", // not needed to know what was damaged
		"corrupt-writes.byte", "corrupt-writes.value", "corrupt-writes.sectors", "drop-writes.sectors", "tear-writes.sectors", "misdirect-writes.sectors",
		"drop-flushes.sectors", "drop-flushes.path", "drop-flushes.count"}
	add := func(name string, options any) {
		all = append(all, name)
		for _, o := range scenario.OptionsOf(options) {
			if w := name + "." + o.Name; !slices.Contains(left, w) {
				all = append(all, w)
			}
		}
	}
	for _, v := range f.Registry.Tests() {
		add(v.Name, v.Options)
	}
	for _, v := range f.Registry.Checks() {
		add(v.Name, v.Options)
	}
	for _, v := range f.Registry.Faults() {
		if !slices.Contains([]string{"corrupt-reads", "stale-reads"}, v.Name) { // what they hit is not in a recording
			add(v.Name, v.Options)
		}
	}
	return all
}
