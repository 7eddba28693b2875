package object_test

import (
	"context"
	"testing"

	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/object"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/seed"
	"github.com/seed-1b600011/assay/verdict"
)

// scale is how much of the controls' 10,000 objects the tests here use; assay
// selftest uses all of them, and cmd/assay runs it.
const scale = 0.02

func selftest(t *testing.T, reg *scenario.Registry) (ok bool, all []scenario.ControlOutcome) {
	t.Helper()
	ledger, err := machine.OpenLedger(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := ledger.Close(); err != nil {
			t.Error(err)
		}
	}()
	ok, err = scenario.SelfTest(t.Context(), scenario.Runner{Registry: reg, Ledger: ledger, Dir: ledger.Dir()}, seed.New(),
		scenario.Adjust{Scale: scale}, func(o scenario.ControlOutcome) { all = append(all, o) })
	if err != nil {
		t.Fatal(err)
	}
	return ok, all
}

func registry() *scenario.Registry {
	reg := &scenario.Registry{}
	object.Register(reg, object.World{})
	return reg
}

func TestEveryControl(t *testing.T) {
	ok, all := selftest(t, registry())
	for _, o := range all {
		if !o.OK {
			t.Errorf("%s: %s: %s", o.Check, o.Control, o.Problem)
		}
	}
	if !ok {
		t.Error("the selftest is red")
	}
}

// two are the first control that a check must find, and the first that it must pass.
func two(all []scenario.Control) (some []scenario.Control) {
	var planted, clean bool
	for _, k := range all {
		if wanted := k.Wants != ""; wanted && !planted || !wanted && !clean {
			planted, clean = planted || wanted, clean || !wanted
			some = append(some, k)
		}
	}
	return some
}

// TestSelfTestSeesABrokenCheck takes the logic out of each check in turn, and
// puts a check that blames without cause in its place.
func TestSelfTestSeesABrokenCheck(t *testing.T) {
	for _, c := range registry().Checks() {
		mutants := map[string]func(context.Context, *scenario.Env, scenario.Live, any) ([]verdict.Finding, error){
			"finds nothing": func(context.Context, *scenario.Env, scenario.Live, any) ([]verdict.Finding, error) {
				return nil, nil
			},
			"blames the first object": func(ctx context.Context, e *scenario.Env, l scenario.Live, options any) ([]verdict.Finding, error) {
				found, err := c.Judge(ctx, e, l, options)
				return append(found, verdict.Finding{Kind: verdict.Lost, Object: "00000000"}), err
			},
			"names every finding stale": func(ctx context.Context, e *scenario.Env, l scenario.Live, options any) ([]verdict.Finding, error) {
				found, err := c.Judge(ctx, e, l, options)
				for i := range found {
					found[i].Kind = verdict.Stale
				}
				return found, err
			},
		}
		for name, judge := range mutants {
			t.Run(c.Name+" "+name, func(t *testing.T) {
				mutant := *c
				mutant.Judge = judge
				mutant.Controls = two(c.Controls)
				ok, all := selftest(t, registry().With(mutant).Only(c.Name))
				if ok {
					t.Errorf("the selftest is green: %v", all)
				}
			})
		}
	}
}
