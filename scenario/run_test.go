package scenario_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/owed"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
)

// shelf is a target in memory, to see in what order a run does what: the
// stores and disks of other packages are too good to show it.
type shelf struct {
	mu   sync.Mutex
	log  []string
	env  *scenario.Env
	hold chan struct{} // operations wait for it, if it is not nil

	prepareErr, testErr, healErr, judgeErr, closeErr error
	findings                                         []verdict.Finding
	panics                                           string
	operations                                       atomic.Int64
	lacks                                            error
	silent                                           bool // nothing is acknowledged
	untouched                                        bool // the faults touch nothing
	breaks                                           int  // something of assay's own fails before it is asked so often

	ending    sync.Once
	roundEnds chan struct{} // closed once the work has seen the end of a round; made by run

	stuck   string        // what heeds no context
	release chan struct{} // until this is closed
}

// sticks waits for release, where that is what is stuck.
func (s *shelf) sticks(where string) {
	if s.stuck == where {
		<-s.release
	}
}

func (s *shelf) note(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = append(s.log, fmt.Sprintf(format, args...))
}

func (s *shelf) Name() string    { return "bucket-1" }
func (s *shelf) Target() string  { return "shelf" }
func (s *shelf) Rule() owed.Rule { return owed.Rule{} }
func (s *shelf) Intact(context.Context) error {
	if s.breaks > 0 {
		if s.breaks--; s.breaks == 0 {
			return errors.New("the shelf's keeper is gone")
		}
	}
	return nil
}
func (s *shelf) Heal(context.Context) error {
	s.note("heal")
	s.sticks("heal")
	return s.healErr
}
func (s *shelf) Close(context.Context) error {
	s.note("close")
	s.sticks("close")
	return s.closeErr
}

type shelfFault struct {
	s    *shelf
	name string
}

func (f shelfFault) Touched(context.Context) (int64, error) {
	if f.s.untouched {
		return 0, nil
	}
	return 1, nil
}
func (f shelfFault) Stop(context.Context) error { f.s.note("%s off", f.name); return nil }

func (s *shelf) registry() *scenario.Registry {
	reg := &scenario.Registry{}
	reg.Target(scenario.Target{Kind: scenario.BucketKind, Lacks: func(*scenario.Spec) error { return s.lacks }, Prepare: func(_ context.Context, e *scenario.Env) ([]scenario.Live, error) {
		s.env = e
		s.note("prepare")
		s.sticks("prepare")
		if s.prepareErr != nil {
			return nil, s.prepareErr
		}
		return []scenario.Live{s}, nil
	}})
	reg.Test(scenario.Test{Name: "work", Target: scenario.BucketKind,
		Items: func(p *scenario.Plan, _ any) int64 { return int64(p.Objects.Count) },
		Run: func(ctx context.Context, e *scenario.Env, _ scenario.Live, task scenario.Task, _ any) error {
			if task.From == 0 {
				s.note("work")
				s.sticks("work")
			}
			if s.panics == "test" {
				panic("the test panics")
			}
			for range task.To - task.From {
				if s.hold != nil {
					select {
					case <-s.hold:
					case <-ctx.Done():
					}
				}
				if ctx.Err() != nil {
					s.ending.Do(func() { close(s.roundEnds) })
					return context.Cause(ctx)
				}
				s.operations.Add(1)
				phase := history.Acknowledged
				if s.silent {
					phase = history.Refused
				}
				op, err := e.History.Begin(history.Record{Verb: "put", Target: s.Target(), Object: "x", To: 1, Generation: 1})
				if err != nil {
					return err
				}
				if err := e.History.Append(history.Record{Op: op, Phase: phase}); err != nil {
					return err
				}
				e.Meter.Operation(ctx, phase, 1, time.Millisecond)
			}
			return s.testErr
		}})
	fault := func(name string, ends, instant bool) {
		effect := history.Effect(0)
		if ends {
			effect = history.Ends
		}
		reg.Fault(scenario.Fault{Name: name, Target: scenario.BucketKind, Effect: effect, Instant: instant,
			Inject: func(context.Context, *scenario.Env, scenario.Live, any) (scenario.Injected, error) {
				s.note("%s on at %d", name, s.operations.Load())
				return shelfFault{s, name}, nil
			}})
	}
	fault("noise", false, false)
	fault("blip", false, true)
	fault("cut", true, false)
	reg.Fault(scenario.Fault{Name: "slow", Target: scenario.BucketKind, Inject: func(ctx context.Context, _ *scenario.Env, _ scenario.Live, _ any) (scenario.Injected, error) {
		<-s.roundEnds
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		s.note("slow on")
		return shelfFault{s, "slow"}, nil
	}})
	reg.Fault(scenario.Fault{Name: "jam", Target: scenario.BucketKind, Inject: func(context.Context, *scenario.Env, scenario.Live, any) (scenario.Injected, error) {
		return nil, errors.New("the fault jams")
	}})
	controls := []scenario.Control{{Name: "planted", Wants: verdict.Lost}, {Name: "clean"}}
	reg.Check(scenario.Check{Name: "look", Target: scenario.BucketKind, Controls: controls,
		Judge: func(ctx context.Context, e *scenario.Env, _ scenario.Live, _ any) ([]verdict.Finding, error) {
			s.note("judge")
			s.sticks("judge")
			if s.panics == "check" {
				panic("the check panics")
			}
			return s.findings, s.judgeErr
		}})
	return reg
}

func (s *shelf) run(t *testing.T, ctx context.Context, extra string) (*scenario.Outcome, error) {
	t.Helper()
	s.roundEnds = make(chan struct{})
	all, err := scenario.Parse("test", []byte("- name: x\n  required: {buckets: 1}\n  objects: {count: 1000}\n  concurrency: 1\n  tests: [work]\n  checks: [look]\n"+extra), s.registry())
	if err != nil {
		t.Fatal(err)
	}
	p, err := all[0].Plan(1, 0, scenario.Adjust{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	ledger, err := machine.OpenLedger(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := scenario.Runner{Registry: s.registry(), Ledger: ledger, Dir: dir}
	out, err := r.Run(ctx, p)
	if err := ledger.Close(); err != nil {
		t.Errorf("left behind: %v", err)
	}
	if out != nil && out.Verdict == verdict.Pass {
		if left, _ := os.ReadDir(filepath.Join(dir, "runs")); len(left) > 0 {
			t.Errorf("a run that passed left %v", left)
		}
	}
	return out, err
}

func TestVerdicts(t *testing.T) {
	lost := []verdict.Finding{{Kind: verdict.Lost, Object: "a"}}
	torn := []verdict.Finding{{Kind: verdict.Lost, Object: "a"}, {Kind: verdict.Torn, Object: "b"}}
	broken := errors.New("broken")
	for _, c := range []struct {
		name  string
		shelf *shelf
		extra string
		want  verdict.Verdict
		why   string
	}{
		{"clean", &shelf{}, "", verdict.Pass, ""},
		{"a finding", &shelf{findings: lost}, "", verdict.Fail, ""},
		{"nothing acknowledged", &shelf{silent: true}, "", verdict.Inconclusive, "no operation that it judges was acknowledged"},
		{"a finding outranks that", &shelf{silent: true, findings: lost}, "", verdict.Fail, ""},
		{"an idle fault", &shelf{untouched: true}, "  faults: [noise]\n", verdict.Inconclusive, "fault noise touched nothing"},
		{"a fault that never began", &shelf{}, "  faults: [noise: {after: {operations: 5000}}]\n", verdict.Inconclusive, "fault noise touched nothing"},
		{"a fault that took hold", &shelf{}, "  faults: [noise]\n", verdict.Pass, ""},
		{"a check broke", &shelf{judgeErr: broken}, "", verdict.Inconclusive, "check look on bucket-1: broken"},
		{"a check broke after a finding", &shelf{judgeErr: broken, findings: lost}, "", verdict.Fail, ""},
		{"a check panicked", &shelf{panics: "check"}, "", verdict.Inconclusive, "the check panics"},
		{"a test broke", &shelf{testErr: broken}, "", verdict.Inconclusive, "test work: broken"},
		{"a test broke and its harm is found", &shelf{testErr: broken, findings: lost}, "", verdict.Fail, ""},
		{"a test panicked", &shelf{panics: "test"}, "", verdict.Inconclusive, "the test panics"},
		{"a fault that cannot be done", &shelf{}, "  faults: [jam]\n", verdict.Inconclusive, "the fault jams"},
		{"a fault that cannot be done later", &shelf{}, "  faults: [jam: {after: {operations: 500}}]\n", verdict.Inconclusive, "the fault jams"},
		{"not healed", &shelf{healErr: broken}, "", verdict.Inconclusive, "heal bucket-1: broken"},
		{"not cleaned", &shelf{closeErr: broken}, "", verdict.Inconclusive, "clean bucket-1: broken"},
		{"not prepared", &shelf{prepareErr: broken}, "", verdict.Inconclusive, "prepare buckets: broken"},
		{"expected and found", &shelf{findings: lost}, "  expect: {fail: [lost]}\n", verdict.Pass, "found what was expected"},
		{"expected and not found", &shelf{}, "  expect: {fail: [lost]}\n", verdict.Fail, "[lost] was expected, and nothing was found"},
		{"one of two expected", &shelf{findings: lost}, "  expect: {fail: [lost, torn]}\n", verdict.Fail, "torn was expected"},
		{"more than expected", &shelf{findings: torn}, "  expect: {fail: [lost]}\n", verdict.Fail, "torn was not expected"},
		{"assay itself fails before heal", &shelf{breaks: 1, findings: lost}, "", verdict.Inconclusive, "the shelf's keeper is gone"},
		{"assay itself fails before the judgement", &shelf{breaks: 2, findings: lost}, "", verdict.Inconclusive, "the shelf's keeper is gone"},
		{"assay itself fails while it judges", &shelf{breaks: 3, findings: lost}, "", verdict.Inconclusive, "the shelf's keeper is gone"},
		{"assay itself fails after a round with a finding", &shelf{breaks: 4, findings: lost}, "  faults: [cut: {every: {operations: 300}, times: 2}]\n", verdict.Fail, ""},
		{"assay itself fails, and a loss was expected", &shelf{breaks: 3, findings: lost}, "  expect: {fail: [lost]}\n", verdict.Inconclusive, "the shelf's keeper is gone"},
		{"expected, and a fault was idle", &shelf{findings: lost, untouched: true}, "  faults: [noise]\n  expect: {fail: [lost]}\n", verdict.Inconclusive, "fault noise touched nothing"},
		{"expected, and a check broke", &shelf{findings: lost, judgeErr: broken}, "  expect: {fail: [lost]}\n", verdict.Inconclusive, "check look on bucket-1: broken"},
		{"expected, and more than are kept", &shelf{findings: slices.Repeat(lost, 1001)}, "  expect: {fail: [lost]}\n", verdict.Inconclusive, "1 more findings were not kept"},
		{"another kind behind those that are kept", &shelf{findings: append(slices.Repeat(lost, 1000), torn[1])}, "  expect: {fail: [lost]}\n", verdict.Fail, "torn was not expected"},
		{"a cut before anything", &shelf{silent: true}, "  faults: [cut: {after: {operations: 300}}]\n", verdict.Inconclusive, "nothing was owed across any of 1 faults"},
		{"expected, but nothing at stake", &shelf{silent: true}, "  expect: {fail: [lost]}\n", verdict.Inconclusive, "no operation that it judges was acknowledged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := c.shelf.run(t, t.Context(), c.extra)
			if err != nil {
				t.Fatal(err)
			}
			if out.Verdict != c.want || !strings.Contains(out.Why, c.why) {
				t.Errorf("%v (%s), want %v (%s)", out.Verdict, out.Why, c.want, c.why)
			}
			if strings.Count(out.Why, "jams") > 1 || strings.Contains(c.name, "later") && c.shelf.operations.Load() > 600 {
				t.Errorf("%s after %d operations", out.Why, c.shelf.operations.Load())
			}
			if c.shelf.prepareErr == nil && c.shelf.log[len(c.shelf.log)-1] != "close" {
				t.Errorf("not closed: %v", c.shelf.log)
			}
		})
	}
}

func TestConfigErrorIsNoVerdict(t *testing.T) {
	s := shelf{prepareErr: scenario.Misconfigured("e.yaml", "no such thing")}
	out, err := s.run(t, t.Context(), "")
	if out != nil || !scenario.IsConfig(err) {
		t.Errorf("%v, %v", out, err)
	}
}

// TestOptional: what the machine cannot do is left out if the scenario allows
// it, proves nothing then, and touches nothing.
func TestOptional(t *testing.T) {
	s := shelf{lacks: errors.New("no such device here")}
	out, err := s.run(t, t.Context(), "  optional: true\n  expect: {fail: [lost]}\n")
	if err != nil || out.Skipped != "no such device here" || out.Verdict != verdict.Inconclusive || out.Dir != "" || len(s.log) > 0 {
		t.Errorf("%v, %+v, %v", err, out, s.log)
	}
	for name, s := range map[string]*shelf{
		"  optional: true\n":  {},
		"  optional: false\n": {lacks: errors.New("no such device here")}, // prepare has to say it
	} {
		if out, err := s.run(t, t.Context(), name); err != nil || out.Skipped != "" || out.Verdict != verdict.Pass {
			t.Errorf("%s: %v, %+v", name, err, out)
		}
	}
}

func TestOrder(t *testing.T) {
	for _, c := range []struct{ name, extra, want string }{
		{"no fault", "", "prepare; work; heal; judge; close"},
		{"always on", "  faults: [noise]\n", "prepare; noise on at 0; work; noise off; heal; judge; close"},
		{"at a count", "  faults: [noise: {after: {operations: 300}}]\n", "prepare; work; noise on at 300; noise off; heal; judge; close"},
		{"instant", "  faults: [blip: {every: {operations: 400}}]\n", "prepare; work; blip on at 400; blip off; blip on at 800; blip off; heal; judge; close"},
		{"instant, so often", "  faults: [blip: {every: {operations: 100}, times: 2}]\n", "prepare; work; blip on at 100; blip off; blip on at 200; blip off; heal; judge; close"},
		{"after, then every", "  faults: [blip: {after: {operations: 10}, every: {operations: 500}}]\n", "prepare; work; blip on at 10; blip off; blip on at 510; blip off; heal; judge; close"},
		{"a cut ends the round", "  faults: [cut: {after: {operations: 700}}]\n", "prepare; work; cut on at 700; cut off; heal; judge; close"},
		{"cuts and rounds", "  faults: [cut: {every: {operations: 600}, times: 2}]\n",
			"prepare; work; cut on at 600; cut off; heal; judge; work; cut on at 1200; cut off; heal; judge; close"},
		{"two cuts at once", "  faults: [cut: {after: {operations: 600}}, cut: {after: {operations: 600}}]\n",
			"prepare; work; cut on at 600; cut off; heal; judge; work; cut on at 1200; cut off; heal; judge; close"},
		{"a cut while another fault begins", "  faults: [slow: {after: {operations: 700}}, cut: {after: 200ms}]\n",
			"prepare; work; cut on at 700; cut off; slow on; slow off; heal; judge; close"},
		{"the cut comes after the work", "  faults: [cut: {after: 300ms}]\n", "prepare; work; cut on at 1000; cut off; heal; judge; close"},
		{"a count that is never reached", "  faults: [cut: {after: {operations: 1700}}, noise]\n", "prepare; noise on at 0; work; noise off; heal; judge; close"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s shelf
			out, err := s.run(t, t.Context(), c.extra)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(s.log, "; "); got != c.want {
				t.Errorf("\n got %s\nwant %s (%v)", got, c.want, out.Why)
			}
			if rounds := strings.Count(c.want, "judge"); out.Rounds != rounds {
				t.Errorf("%d rounds, want %d", out.Rounds, rounds)
			}
		})
	}
}

// TestFor: a fault with a stay is off again while the tests go on, whatever it
// began with: of the work that waits until it is off, none would end otherwise.
func TestFor(t *testing.T) {
	for trigger, c := range map[string]struct {
		before int // operations before the stay ends
		want   verdict.Verdict
	}{
		"after: {operations: 5}, for: 50ms": {5, verdict.Pass},
		"for: 50ms":                         {0, verdict.Inconclusive}, // nothing was owed across it
	} {
		s := shelf{hold: make(chan struct{})}
		go func() {
			for range c.before {
				s.hold <- struct{}{}
			}
			for off := false; !off; time.Sleep(time.Millisecond) {
				s.mu.Lock()
				off = slices.Contains(s.log, "noise off")
				s.mu.Unlock()
			}
			close(s.hold)
		}()
		out, err := s.run(t, t.Context(), "  faults: [noise: {"+trigger+"}]\n  timeout: 10m\n")
		if err != nil || out.Verdict != c.want || out.Err != nil || out.Faults[0].Touched != 1 {
			t.Errorf("%s: %v, %v (%s), %+v", trigger, err, out.Verdict, out.Why, out.Faults)
		}
	}
}

func TestTimeout(t *testing.T) {
	s := shelf{hold: make(chan struct{})}
	out, err := s.run(t, t.Context(), "  timeout: 200ms\n")
	if err != nil {
		t.Fatal(err)
	}
	if out.Verdict != verdict.Inconclusive || !strings.Contains(out.Why, "the timeout of 200ms has passed") {
		t.Errorf("%v: %s", out.Verdict, out.Why)
	}
	if s.log[len(s.log)-1] != "close" {
		t.Error(s.log)
	}
}

func TestInterrupt(t *testing.T) {
	for _, fault := range []string{"", "  faults: [noise]\n", "  faults: [cut: {after: 1h}]\n", "  faults: [noise: {every: 1ms, for: 1ms}]\n"} {
		s := shelf{hold: make(chan struct{})}
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() {
			for s.hold <- struct{}{}; ; {
				select {
				case s.hold <- struct{}{}:
				case <-time.After(20 * time.Millisecond):
					cancel(scenario.ErrInterrupted)
					return
				}
				if s.operations.Load() > 50 {
					cancel(scenario.ErrInterrupted)
					return
				}
			}
		}()
		out, err := s.run(t, ctx, fault)
		if err != nil {
			t.Fatal(err)
		}
		if out.Verdict != verdict.Inconclusive || !strings.Contains(out.Why, "interrupted") || s.log[len(s.log)-1] != "close" {
			t.Errorf("%s: %v: %s: %v", fault, out.Verdict, out.Why, s.log)
		}
		if on, off := strings.Count(strings.Join(s.log, ";"), " on at"), strings.Count(strings.Join(s.log, ";"), " off"); on != off {
			t.Errorf("%s: %d on, %d off", fault, on, off)
		}
	}
}

// TestFaultsAreInTheHistory reads the records of a run that was kept.
func TestFaultsAreInTheHistory(t *testing.T) {
	s := shelf{findings: []verdict.Finding{{Kind: verdict.Lost}}}
	out, err := s.run(t, t.Context(), "  faults: [noise: {after: {operations: 3}}, cut: {after: {operations: 9}}]\n")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for r, err := range history.ReadDir(filepath.Join(out.Dir, "history")) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Phase >= history.FaultOn {
			got = append(got, fmt.Sprintf("%v %s %s", r.Phase, r.Verb, r.Object))
		}
	}
	want := "[fault-on noise 1 fault-on cut 2 round cut 2 fault-off cut 2 fault-off noise 1]"
	slices.Sort(got[3:])
	if fmt.Sprint(got) != want {
		t.Errorf("\n got %v\nwant %s", got, want)
	}
	if _, err := os.Stat(filepath.Join(out.Dir, "plan.yaml")); err != nil {
		t.Error(err)
	}
}

func TestCheckWithoutControlIsRefused(t *testing.T) {
	for _, controls := range [][]scenario.Control{nil, {{Wants: verdict.Lost}}, {{Name: "clean"}}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("registered with %v", controls)
				}
			}()
			reg := &scenario.Registry{}
			reg.Check(scenario.Check{Name: "c", Controls: controls})
		}()
	}
}
