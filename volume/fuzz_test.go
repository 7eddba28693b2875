package volume_test

import (
	"context"
	"testing"

	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/scenario/fuzz"
	"github.com/seed-1b600011/assay/verdict"
	"github.com/seed-1b600011/assay/volume"
)

func fuzzer(t *testing.T, reg *scenario.Registry) *fuzz.Fuzzer {
	t.Helper()
	m := volume.Fuzz()
	fuzz.Register(reg, m)
	return &fuzz.Fuzzer{Registry: reg, Domains: []fuzz.Domain{m}, Dir: t.TempDir(), Patience: guard}
}

// Scenarios with one lie each of which it is certain what it hits.
var certain = map[string]struct{ text, wants string }{
	"a flipped bit that stays": {`
- name: written 1
  seed: 1
  required: {volumes: [{filesystem: ext4, size: 64M}]}
  files: {count: 4, size: 256K}
  tests: [write-files, rewrite-files]
  faults: [corrupt-writes: {path: "00000002", count: 1, after: {operations: 28}}]
  checks: [check-files]
  timeout: 2m
`, "must find"},
	"flushes that are dropped before a cut": {`
- name: flushed 1
  seed: 1
  required: {volumes: [{filesystem: ext4, size: 64M, mount: commit=1000}]}
  files: {count: 4, size: 256K}
  concurrency: 1
  tests: [write-files, read-files]
  faults: [drop-flushes, power-cut: {keep: none, after: {operations: 30}}]
  checks: [check-files]
  timeout: 2m
`, "must find"},
	"a lie that touches nothing": {`
- name: written 1
  seed: 1
  required: {volumes: [{filesystem: ext4, size: 64M}]}
  files: {count: 4, size: 256K}
  tests: [write-files]
  faults: [corrupt-writes: {after: {operations: 1000}}]
  checks: [check-files]
  timeout: 2m
`, "must not fail"},
	"a flipped bit that is written over": {`
- name: written 1
  seed: 1
  required: {volumes: [{filesystem: ext4, size: 64M}]}
  files: {count: 4, size: 256K}
  tests: [write-files, rewrite-files, rewrite-files]
  faults: [corrupt-writes: {path: "00000002", count: 1, after: {operations: 28}}]
  checks: [check-files]
  timeout: 2m
`, "must not fail"},
	"a cut of what was never synced": {`
- name: unpromised 1
  seed: 1
  required: {volumes: [{filesystem: ext4, size: 64M}]}
  files: {count: 4, size: 256K}
  tests: [write-files: {sync: none, sync-directory: false}]
  faults: [power-cut: {after: {operations: 8}}]
  checks: [check-files]
  timeout: 2m
`, "must not pass"},
}

// TestFuzzersOracle holds the oracle of the planted to scenarios of which it must
// know what they hit: with a check that says the opposite of what is right, each
// breaks, and with the one that there is, none does.
func TestFuzzersOracle(t *testing.T) {
	needDisk(t)
	for name, c := range certain {
		t.Run(name, func(t *testing.T) {
			for _, wrong := range []bool{false, true} {
				reg := registry()
				if wrong {
					reg = reg.With(mutant(reg, c.wants != "must find"))
				}
				r, err := fuzzer(t, reg).Again(t.Context(), c.text, 1)
				if err != nil {
					t.Fatal(err)
				}
				if got := len(r.Found) > 0; got != wrong && c.wants != "must not pass" {
					t.Errorf("%s, with a check that is wrong (%v): it broke: %v %v", c.wants, wrong, got, r.Found)
				}
				if r.Duties[oracle(c.text)][must(c.wants)] != 1 {
					t.Errorf("of %s the oracle says %v, want %s", name, r.Duties, c.wants)
				}
			}
		})
	}
}

func oracle(text string) string {
	for _, name := range []string{"written", "flushed", "unpromised"} {
		if len(text) > 9+len(name) && text[9:9+len(name)] == name {
			return name
		}
	}
	return ""
}

func must(name string) fuzz.Must {
	for _, m := range []fuzz.Must{fuzz.Find, fuzz.NotFail, fuzz.NotPass} {
		if m.String() == name {
			return m
		}
	}
	return fuzz.Anything
}

// mutant is check-files that finds something in all, or nothing in anything.
func mutant(reg *scenario.Registry, finds bool) scenario.Check {
	for _, c := range reg.Checks() {
		if c.Name == "check-files" {
			m := *c
			m.Judge = func(context.Context, *scenario.Env, scenario.Live, any) ([]verdict.Finding, error) {
				if finds {
					return []verdict.Finding{{Kind: verdict.Lost}}, nil
				}
				return nil, nil
			}
			return m
		}
	}
	return scenario.Check{}
}
