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
	stakes := verdict.Stakes{Acknowledged: run.env.Meter.Promises(), Broken: out.Err}
	for _, f := range out.Faults {
		if f.Touched == 0 {
			stakes.IdleFaults = append(stakes.IdleFaults, f.Name)
		}
	}
	out.Verdict = verdict.Of(out.Findings, stakes)
	if out.Verdict == verdict.Inconclusive {
		out.Why = stakes.Why()
	}
	if run.dropped > 0 {
		out.Why = fmt.Sprintf("%d more findings were not kept", run.dropped)
	}
	if e := out.Plan.Expect; e != nil {
		out.Verdict, out.Why = e.decide(out)
	}
}

// decide turns the verdict round: findings of exactly the kinds expected pass.
func (e *Expect) decide(out *Outcome) (verdict.Verdict, string) {
	if len(out.Findings) == 0 {
		if out.Verdict == verdict.Inconclusive {
			return out.Verdict, out.Why
		}
		return verdict.Fail, fmt.Sprintf("%v was expected, and nothing was found", e.Fail)
	}
	for _, k := range e.Fail {
		if !slices.ContainsFunc(out.Findings, func(f verdict.Finding) bool { return f.Kind == k }) {
			return verdict.Fail, fmt.Sprintf("%s was expected, and not found", k)
		}
	}
	for _, f := range out.Findings {
		if !slices.Contains(e.Fail, f.Kind) {
			return verdict.Fail, fmt.Sprintf("%s was not expected", f.Kind)
		}
	}
	return verdict.Pass, "found what was expected"
}
