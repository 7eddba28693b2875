package scenario

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/seed-1b600011/assay/seed"
	"github.com/seed-1b600011/assay/verdict"
)

// ControlOutcome is what a check made of one of its controls.
type ControlOutcome struct {
	Check   string
	Control string
	Wants   verdict.Kind // empty: a clean run
	OK      bool
	Skipped string // why this machine cannot run the control
	Problem string // what is wrong, where it is not OK
	Found   []verdict.Finding
	Took    time.Duration
}

// SelfTest runs every control of every check: each planted fault must be
// found, with the right kind and at the objects that it damaged and no others,
// and each clean run must pass. tell is called after each.
func SelfTest(ctx context.Context, r Runner, run seed.Seed, a Adjust, tell func(ControlOutcome)) (ok bool, err error) {
	ok = true
	for _, c := range r.Registry.Checks() {
		for _, k := range c.Controls {
			o := r.control(ctx, c, k, run, a)
			if ctx.Err() != nil {
				return false, context.Cause(ctx)
			}
			ok = ok && (o.OK || o.Skipped != "")
			tell(o)
		}
	}
	return ok, nil
}

func (r *Runner) control(ctx context.Context, c *Check, k Control, sd seed.Seed, a Adjust) ControlOutcome {
	o := ControlOutcome{Check: c.Name, Control: k.Name, Wants: k.Wants}
	if k.Needs != nil {
		if err := k.Needs(); err != nil {
			o.Skipped = err.Error()
			return o
		}
	}
	began := time.Now()
	out, err := r.runControl(ctx, c, k, sd, a)
	o.Took = time.Since(began)
	if err != nil {
		o.Problem = err.Error()
		return o
	}
	o.Found = out.Findings
	o.Problem = k.misjudged(out)
	o.OK = o.Problem == ""
	return o
}

func (r *Runner) runControl(ctx context.Context, c *Check, k Control, sd seed.Seed, a Adjust) (*Outcome, error) {
	scenarios, err := Parse(fmt.Sprintf("control %q of %s", k.Name, c.Name), []byte(k.Scenario), r.Registry)
	if err != nil {
		return nil, err
	}
	if len(scenarios) != 1 || len(scenarios[0].Checks) != 1 || scenarios[0].Checks[0].Check.Name != c.Name {
		return nil, fmt.Errorf("control %q of %s wants one scenario with that check alone", k.Name, c.Name)
	}
	if k.Exact {
		a.Scale = 0
	}
	p, err := scenarios[0].Plan(sd, 0, a)
	if err != nil {
		return nil, err
	}
	return r.Run(ctx, p)
}

// misjudged says how the outcome differs from what the control wants, or "".
func (k Control) misjudged(out *Outcome) string {
	if k.Wants == "" {
		switch out.Verdict {
		case verdict.Pass:
			return ""
		case verdict.Fail:
			return fmt.Sprintf("a clean run is blamed: %v", out.Findings[0])
		default:
			return "a clean run is inconclusive: " + out.Why
		}
	}
	if len(out.Findings) == 0 {
		return fmt.Sprintf("missed: the verdict is %s %s", out.Verdict, out.Why)
	}
	var planted, blamed []string
	wanted := false
	for _, f := range out.Faults {
		planted = append(planted, f.Planted...)
	}
	for _, f := range out.Findings {
		wanted = wanted || f.Kind == k.Wants
		if f.Kind != k.Wants && !slices.Contains(k.Also, f.Kind) {
			return fmt.Sprintf("misnamed: %v", f)
		}
		blamed = append(blamed, f.Object)
	}
	if !wanted {
		return fmt.Sprintf("found, but nothing is %s: %v", k.Wants, out.Findings[0])
	}
	if len(planted) == 0 { // the fault does not know what it damaged
		return ""
	}
	for _, object := range planted {
		if !slices.Contains(blamed, object) {
			return fmt.Sprintf("missed at %s", object)
		}
	}
	for _, f := range out.Findings {
		if !slices.Contains(planted, f.Object) {
			return fmt.Sprintf("blamed without cause: %v", f)
		}
	}
	return ""
}
