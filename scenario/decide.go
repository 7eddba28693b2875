package scenario

import (
	"errors"
	"fmt"
	"slices"

	"github.com/seed-1b600011/assay/verdict"
)

// decide gives the outcome its verdict.
func (run *run) decide(out *Outcome) {
	out.Err = errors.Join(run.broken...)
	stakes := verdict.Stakes{Broken: out.Err}
	var unowed []string // faults across which nothing was owed: what the checks had at stake says more
	for i := range out.Faults {
		f := &out.Faults[i]
		ends := run.faults[i].use.Fault.EndsRound()
		if ends {
			f.Touched = run.account.touched[i]
		}
		switch why := fmt.Sprintf("fault %s touched nothing", f.Name); {
		case f.Touched > 0:
		case f.Began > 0 && ends:
			unowed = append(unowed, why)
		default:
			stakes.Vacuous = append(stakes.Vacuous, why)
		}
	}
	stakes.Vacuous = slices.Concat(stakes.Vacuous, run.account.unproved, unowed)
	out.Verdict = verdict.Of(out.Findings, stakes)
	if out.Verdict == verdict.Inconclusive {
		out.Why = stakes.Why()
	}
	if run.dropped > 0 {
		out.Why = fmt.Sprintf("%d more findings were not kept", run.dropped)
	}
	if e := out.Plan.Expect; e != nil {
		out.Verdict, out.Why = e.decide(run.kinds, run.dropped, stakes)
	}
}

// decide turns the verdict round: findings of exactly the kinds expected pass,
// if the run as a whole proves something.
func (e *Expect) decide(kinds map[verdict.Kind]int, dropped int, stakes verdict.Stakes) (verdict.Verdict, string) {
	for _, k := range verdict.Kinds() {
		if kinds[k] > 0 && !slices.Contains(e.Fail, k) {
			return verdict.Fail, fmt.Sprintf("%s was not expected, and was found %d times", k, kinds[k])
		}
	}
	if why := stakes.Why(); why != "" {
		return verdict.Inconclusive, why
	}
	if dropped > 0 {
		return verdict.Inconclusive, fmt.Sprintf("%d more findings were not kept", dropped)
	}
	if len(kinds) == 0 {
		return verdict.Fail, fmt.Sprintf("%v was expected, and nothing was found", e.Fail)
	}
	for _, k := range e.Fail {
		if kinds[k] == 0 {
			return verdict.Fail, fmt.Sprintf("%s was expected, and not found", k)
		}
	}
	return verdict.Pass, "found what was expected"
}
