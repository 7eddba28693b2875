package fuzz_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/owed"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/scenario/fuzz"
	"github.com/seed-1b600011/assay/seed"
	"github.com/seed-1b600011/assay/verdict"
)

// product is a product that is as wrong as a test wants it, without storage.
type product struct {
	blames bool   // its check finds something wherever the fault "shake" is listed
	panics bool   // its check panics
	litter bool   // it leaves something behind
	slow   bool   // its test does not heed the end of its time
	misses bool   // its check finds no lie
	idle   bool   // it passes what has nothing at stake: its test counts a promise that it did not make
	option string // a target's, beyond those that there are
}

type live struct{ name string }

func (l live) Name() string                { return l.name }
func (l live) Target() string              { return l.name }
func (live) Rule() owed.Rule               { return owed.Rule{} }
func (live) Intact(context.Context) error  { return nil }
func (l live) Heal(context.Context) error  { return nil }
func (l live) Close(context.Context) error { return nil }

type once struct{}

func (once) Touched(context.Context) (int64, error) { return 1, nil }
func (once) Stop(context.Context) error             { return nil }

type shaking struct {
	Hard bool           `yaml:"hard"`
	Size scenario.Size  `yaml:"size"`
	Mode string         `yaml:"mode" enum:"left,right"`
	Part *scenario.Size `yaml:"part" min:"4" max:"8"`
}

func listed(p *scenario.Plan, fault string) bool {
	for _, f := range p.Faults {
		if f.Fault.Name == fault {
			return true
		}
	}
	return false
}

func (p product) registry() *scenario.Registry {
	reg := &scenario.Registry{}
	reg.Target(scenario.Target{Kind: scenario.BucketKind, Prepare: func(_ context.Context, e *scenario.Env) (all []scenario.Live, err error) {
		for _, b := range e.Plan.Required.Buckets {
			all = append(all, live{b.Name})
		}
		if p.litter {
			_, err = e.Ledger.Intend("directory", filepath.Join(e.Dir, "litter"))
		}
		return all, err
	}})
	for _, name := range []string{"work", "rest"} {
		reg.Test(scenario.Test{Name: name, Target: scenario.BucketKind, Run: func(ctx context.Context, e *scenario.Env, l scenario.Live, _ scenario.Task, _ any) error {
			if p.slow {
				time.Sleep(100 * time.Millisecond) // whatever ctx says
			}
			if name == "work" || p.idle {
				e.Meter.Operation(ctx, history.Acknowledged, 1, time.Millisecond)
				op, err := e.History.Begin(history.Record{Verb: "put", Target: l.Name(), Object: "x", To: 1, Generation: 1})
				if err != nil {
					return err
				}
				return e.History.Append(history.Record{Op: op, Phase: history.Acknowledged})
			}
			return nil
		}})
	}
	for _, name := range []string{"shake", "lie"} {
		reg.Fault(scenario.Fault{Name: name, Target: scenario.BucketKind, Instant: true, Options: shaking{}, Inject: func(context.Context, *scenario.Env, scenario.Live, any) (scenario.Injected, error) {
			return once{}, nil
		}})
	}
	reg.Check(scenario.Check{Name: "look", Target: scenario.BucketKind, Controls: []scenario.Control{{Wants: verdict.Lost}, {}},
		Judge: func(_ context.Context, e *scenario.Env, _ scenario.Live, _ any) ([]verdict.Finding, error) {
			if p.panics {
				panic("look: what is this?")
			}
			if p.blames && listed(e.Plan, "shake") || listed(e.Plan, "lie") && !p.misses {
				return []verdict.Finding{{Kind: verdict.Lost, Object: "it"}}, nil
			}
			return nil, nil
		}})
	return reg
}

func (p product) domain(plants ...fuzz.Plant) fuzz.Domain {
	return fuzz.Domain{
		Kind: scenario.BucketKind, Test: "work", Check: "look", Honest: []string{"shake"}, Plants: plants,
		Target: func(fuzz.Draw) (o fuzz.Options) {
			if p.option != "" {
				o.Add(p.option, "1")
			}
			return o
		},
		Items: func(d fuzz.Draw) (fuzz.Items, int64) {
			i := fuzz.Items{Name: "objects"}
			i.Options.Add("count", d.Number("count", 1, 100))
			return i, 4
		},
	}
}

// planted makes a scenario of one test and one fault, and asks for one verdict.
func planted(test, fault string, y fuzz.Duty) fuzz.Plant {
	return fuzz.Plant{Name: "planted", Duty: func(*scenario.Outcome) (fuzz.Duty, error) { return y, nil },
		Make: func(_ fuzz.Draw, s *fuzz.Scenario) {
			s.Targets = []fuzz.Target{{Kind: scenario.BucketKind}}
			s.Targets[0].Options.Add("name", "b")
			s.Tests, s.Checks = []fuzz.Use{{Name: test}}, []fuzz.Use{{Name: "look"}}
			if fault != "" {
				s.Faults = []fuzz.Use{{Name: fault}}
			}
		}}
}

func fuzzer(t *testing.T, p product, plants ...fuzz.Plant) *fuzz.Fuzzer {
	t.Helper()
	m, reg := p.domain(plants...), p.registry()
	fuzz.Register(reg, m)
	return &fuzz.Fuzzer{Registry: reg, Domains: []fuzz.Domain{m}, Dir: t.TempDir(), Patience: time.Hour, Breaks: 1}
}

// TestFuzzerFindsWhatIsWrong breaks a product in each way that an oracle is
// there for, and wants that found within a few hundred scenarios, and nothing of
// a product that is right.
func TestFuzzerFindsWhatIsWrong(t *testing.T) {
	find := fuzz.Duty{Must: fuzz.Find, Kinds: []verdict.Kind{verdict.Lost}}
	for name, c := range map[string]struct {
		product product
		plant   []fuzz.Plant
		wants   string // what breaks; empty: nothing does
	}{
		"nothing":                    {product{}, []fuzz.Plant{planted("work", "lie", find)}, ""},
		"an honest run is blamed":    {product{blames: true}, nil, "blamed: lost"},
		"a check panics":             {product{panics: true}, nil, "panic"},
		"something is left behind":   {product{litter: true}, nil, "left behind"},
		"a valid text is refused":    {product{option: "colour"}, nil, "refused"},
		"a lie is missed":            {product{misses: true}, []fuzz.Plant{planted("work", "lie", find)}, "must find"},
		"a lie is called otherwise":  {product{}, []fuzz.Plant{planted("work", "lie", fuzz.Duty{Must: fuzz.Find, Kinds: []verdict.Kind{verdict.Torn}})}, "must find"},
		"a lie that hit nothing":     {product{}, []fuzz.Plant{planted("work", "lie", fuzz.Duty{Must: fuzz.NotFail})}, "must not fail"},
		"nothing at stake":           {product{idle: true}, []fuzz.Plant{planted("rest", "", fuzz.Duty{Must: fuzz.NotPass})}, "must not pass"},
		"nothing at stake, and said": {product{}, []fuzz.Plant{planted("rest", "", fuzz.Duty{Must: fuzz.NotPass})}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := fuzzer(t, c.product, c.plant...)
			var what []string
			most := 300
			if c.wants == "" {
				most = 20
			}
			for i := 0; i < most && len(what) == 0; i++ {
				r, err := f.Again(t.Context(), f.Generate(1, i).Text(), 1)
				if err != nil {
					t.Fatal(err)
				}
				for _, found := range r.Found {
					what = append(what, found.What)
				}
			}
			if c.wants == "" && len(what) > 0 || c.wants != "" && (len(what) == 0 || what[0] != c.wants) {
				t.Errorf("%q broke, want %q", what, c.wants)
			}
		})
	}
}

func TestRunThatDoesNotEndIsFound(t *testing.T) {
	f := fuzzer(t, product{slow: true})
	f.Patience = time.Millisecond
	text := "- name: honest 1\n  seed: 1\n  required: {buckets: 1}\n  tests: [work]\n  checks: [look]\n  timeout: 1ms\n"
	r, err := f.Again(t.Context(), text, 1)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Found) != 1 || r.Found[0].What != "late" {
		t.Errorf("found %v", r.Found)
	}
}

// TestShrink wants what matters left, and nothing else.
func TestShrink(t *testing.T) {
	f := fuzzer(t, product{blames: true})
	f.ShrinkRuns = 1000
	r, err := f.Run(t.Context(), 1, 0, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	found := r.Found[0]
	t.Logf("of\n%s", found.Text)
	if found.Again != found.Runs || found.Runs < 2 {
		t.Errorf("%d of %d runs broke", found.Again, found.Runs)
	}
	shrunk := found.Shrunk
	if n := strings.Count(shrunk, "shake"); n != 1 {
		t.Errorf("%d faults in\n%s", n, shrunk)
	}
	if strings.Contains(shrunk, "shake: ") || strings.Count(shrunk, "look") != 1 || strings.Count(shrunk, "- work")+strings.Count(shrunk, "- rest") != 1 {
		t.Errorf("more is left than matters:\n%s", shrunk)
	}
	kept, err := os.ReadFile(found.File)
	if err != nil || string(kept) != shrunk {
		t.Errorf("the file holds %q (%v)", kept, err)
	}
	if _, err := os.Stat(found.Dir); err != nil {
		t.Errorf("the records of what was found are gone: %v", err)
	}
}

// TestSameText: the text of a scenario depends on seed and number only, and no
// two are alike.
func TestSameText(t *testing.T) {
	seen := map[string]bool{}
	for i := range 200 {
		a, b := fuzzer(t, product{}).Generate(7, i).Text(), fuzzer(t, product{}).Generate(7, i).Text()
		if a != b {
			t.Fatalf("scenario %d is\n%s\nand\n%s", i, a, b)
		}
		if c := fuzzer(t, product{}).Generate(seed.Seed(8), i).Text(); seen[a] || a == c {
			t.Fatalf("scenario %d comes again:\n%s", i, a)
		}
		seen[a] = true
	}
}

// TestUnusable: a fuzzer that can make no target says so, and is no success.
func TestUnusable(t *testing.T) {
	f := fuzzer(t, product{})
	f.Domains[0].Needs = func() error { return errors.New("no disk") }
	if _, err := f.Run(t.Context(), 1, 0, time.Hour); err == nil || !strings.Contains(err.Error(), "no disk") {
		t.Errorf("err = %v", err)
	}
}
