package volume_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/seed-1b600011/assay/flakey/soft"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/seed"
	"github.com/seed-1b600011/assay/verdict"
	"github.com/seed-1b600011/assay/volume"
)

func registry() *scenario.Registry {
	reg := &scenario.Registry{}
	volume.Register(reg, soft.Driver{})
	return reg
}

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
	sd := seed.New()
	t.Logf("seed %v", sd)
	ok, err = scenario.SelfTest(t.Context(), scenario.Runner{Registry: reg, Ledger: ledger, Dir: ledger.Dir()}, sd,
		scenario.Adjust{}, func(o scenario.ControlOutcome) { all = append(all, o) })
	if err != nil {
		t.Fatal(err)
	}
	return ok, all
}

// TestEveryControl: a control that proves nothing, as one with a time in it may
// on a slow machine, is run again until it does.
func TestEveryControl(t *testing.T) {
	needDisk(t)
	for _, c := range registry().Checks() {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			for _, k := range c.Controls {
				one := *c
				one.Controls = []scenario.Control{k}
				var o scenario.ControlOutcome
				for range 10 {
					_, all := selftest(t, registry().With(one).Only(c.Name))
					if len(all) != 1 {
						t.Fatalf("%s: %d outcomes", k.Name, len(all))
					}
					if o = all[0]; !strings.Contains(o.Problem, "inconclusive") {
						break
					}
					t.Logf("%s: again: %s", k.Name, o.Problem)
				}
				if o.Skipped != "" {
					t.Logf("%s: skipped: %s", k.Name, o.Skipped)
				} else if !o.OK {
					t.Errorf("%s: %s", k.Name, o.Problem)
				}
			}
		})
	}
}

// TestSelfTestSeesABrokenCheck takes the logic out of each check in turn, which
// one of its planted controls must show, and puts a check that blames without
// cause in its place, which one of its clean ones must.
func TestSelfTestSeesABrokenCheck(t *testing.T) {
	needDisk(t)
	for _, c := range registry().Checks() {
		for name, judge := range map[string]func(context.Context, *scenario.Env, scenario.Live, any) ([]verdict.Finding, error){
			"finds nothing": func(context.Context, *scenario.Env, scenario.Live, any) ([]verdict.Finding, error) { return nil, nil },
			"blames all": func(context.Context, *scenario.Env, scenario.Live, any) ([]verdict.Finding, error) {
				return []verdict.Finding{{Kind: verdict.Lost}}, nil
			},
		} {
			t.Run(c.Name+" "+name, func(t *testing.T) {
				t.Parallel()
				mutant := *c
				mutant.Judge = judge
				mutant.Controls = []scenario.Control{firstOf(c, func(k scenario.Control) bool { return (k.Wants == "") == (name == "blames all") })}
				if ok, _ := selftest(t, registry().With(mutant).Only(c.Name)); ok {
					t.Error("the selftest is green")
				}
			})
		}
	}
}

// firstOf is the first control of one sort: the others would take long.
func firstOf(c *scenario.Check, wanted func(scenario.Control) bool) scenario.Control {
	return c.Controls[slices.IndexFunc(c.Controls, wanted)]
}
