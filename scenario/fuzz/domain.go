package fuzz

import (
	"fmt"
	"slices"
	"strings"

	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
)

// Domain is what the fuzzer has to know of one kind of target beyond what the
// registry says.
type Domain struct {
	Kind  string       // scenario.VolumeKind or scenario.BucketKind
	Needs func() error // why this machine cannot make such targets; nil: any can

	// Targets describes one target.
	Target func(d Draw) Options
	// Items says what the tests work on, and about how many operations one pass
	// of one test over them is.
	Items func(d Draw) (items Items, operations int64)

	// Test and Check are in most scenarios: they promise, and judge, the most.
	Test, Check string
	// With names, for a check or a test, the test or check without which it says nothing.
	With map[string]string
	// Values are options whose values are not drawn by their type: by
	// "word.option" or, for all words, by "option". An empty value leaves it out.
	Values map[string]Value
	// Counts are what triggers may count, besides operations.
	Counts []string
	// Mend makes a scenario valid where its parts do not fit one another, and
	// takes out what the storage is known not to survive.
	Mend func(d Draw, s *Scenario)

	// Honest are the faults that an honest stack must survive.
	Honest []string
	// Processes are those of assay's own that serve the targets, by the names in
	// their titles.
	Processes []string
	// Plants are the lies whose effect can be known.
	Plants []Plant
}

// Value draws the value of an option as YAML text; s is what there is of the
// scenario so far.
type Value struct {
	Draw   func(d Draw, s *Scenario) string
	Always bool // it is never left to its default
}

// Plant makes scenarios of which it can say what their verdict must be.
type Plant struct {
	Name string // one word, unlike that of any other plant
	// Make fills in the scenario.
	Make func(d Draw, s *Scenario)
	// Duty is what the verdict must be. The records of the run are in its
	// Dir; kept are they until Duty has returned.
	Duty func(out *scenario.Outcome) (Duty, error)
}

// Duty is what a verdict must be.
type Duty struct {
	Must  Must
	Kinds []verdict.Kind // one of which must be found, with Find
	Why   string         // in a few words: what was hit, or why that is not known
}

// Must is a verdict, or several.
type Must int

// The verdicts that there may be.
const (
	Anything Must = iota // it is not known what was hit
	Find                 // a finding
	NotFail              // no finding
	NotPass              // nothing was at stake
)

// String is for reports.
func (m Must) String() string {
	return [...]string{"undecided", "must find", "must not fail", "must not pass"}[m]
}

// broken says how an outcome is not what it must be, or "".
func (y Duty) broken(out *scenario.Outcome) string {
	switch y.Must {
	case Find:
		if !slices.ContainsFunc(out.Findings, func(f verdict.Finding) bool { return slices.Contains(y.Kinds, f.Kind) }) {
			return fmt.Sprintf("nothing of %v was found (%s), although %s", y.Kinds, out.Verdict, y.Why)
		}
	case NotFail:
		if len(out.Findings) > 0 {
			return fmt.Sprintf("%v, although %s", out.Findings[0], y.Why)
		}
	case NotPass:
		if out.Verdict == verdict.Pass {
			return "a pass, although " + y.Why
		}
	}
	return ""
}

// honestName is the oracle under which nothing may be found.
const honestName = "honest"

// plant is the one of that name; nil: the honest oracle.
func (f *Fuzzer) plant(scenarioName string) (*Plant, error) {
	word, _, _ := strings.Cut(scenarioName, " ")
	if word == honestName {
		return nil, nil
	}
	for _, m := range f.Domains {
		for i := range m.Plants {
			if m.Plants[i].Name == word {
				return &m.Plants[i], nil
			}
		}
	}
	return nil, fmt.Errorf("fuzz: scenario %q: its first word names no oracle", scenarioName)
}
