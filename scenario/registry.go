package scenario

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/owed"
	"github.com/seed-1b600011/assay/verdict"
)

// Registry knows the kinds of target, the tests, the faults and the checks by
// their names. It is a value that main fills before anything is parsed; after
// that it is only read, and safe for concurrent use. Registering a name twice,
// or a check without controls, is a mistake in the program and panics.
type Registry struct {
	Clouds []string // backend types that there are; nil: any

	targets map[string]*Target
	tests   map[string]*Test
	faults  map[string]*Fault
	checks  map[string]*Check
}

// The kinds of target.
const (
	BucketKind = "buckets"
	VolumeKind = "volumes"
)

// Target is a kind of target.
type Target struct {
	Kind string
	// Prepare makes all targets of this kind that a plan names, in its order.
	// Where it fails it has undone what it did. An error of the user's is a
	// ConfigError.
	Prepare func(ctx context.Context, e *Env) ([]Live, error)
	// Again makes the targets as they were when they were judged in a run whose
	// records are in dir, from what their Evidence gave; nil: that cannot be done.
	Again func(ctx context.Context, e *Env, dir string, kept map[string]json.RawMessage) ([]Live, error)
	// Fill makes the choices of a plan that are this kind's own and that the
	// scenario leaves open, and writes each into target number i of the kind; nil:
	// there are none.
	Fill func(p *Plan, set func(i int, key, value string))
	// Refuse tells what of a scenario's targets of this kind cannot be made;
	// nil: nothing.
	Refuse func(s *Spec) error
	// Lacks tells what this machine lacks to make a scenario's targets of this
	// kind; nil: nothing.
	Lacks func(s *Spec) error
}

// Live is a target that is there. The live types of a kind write the history
// themselves, so that whoever writes a test cannot forget to.
type Live interface {
	// Name is the target's name in the plan.
	Name() string
	// Target is what the history calls it.
	Target() string
	// Rule is what it promises.
	Rule() owed.Rule
	// Intact returns what has failed of assay's own parts below the target (a
	// daemon, a recording, a store that assay started), or nil if all of them are
	// whole. What the target shows while one of them has failed proves nothing.
	// It is called while no test, fault or check is at work, and is bounded in
	// time also where the target hangs.
	Intact(ctx context.Context) error
	// Heal brings the target back after the faults have been taken away.
	Heal(ctx context.Context) error
	// Close undoes what Prepare did; with Env.Keep it leaves what a person
	// may want to look at.
	Close(ctx context.Context) error
}

// Counter is a Live that counts what the Meter does not see: the writes and
// flushes of a disk.
type Counter interface {
	// At asks to be told when so many more writes or flushes have come. The one
	// that reaches the count waits until on is called.
	At(of string, more int64) (ready <-chan struct{}, on func(), err error)
}

// Test drives operations against a target.
type Test struct {
	Name   string
	Doc    string // one line
	Target string // the kind
	// Options is the zero value (or the defaults) of a struct whose tagged
	// fields are the options; Run gets a pointer to one.
	Options any
	// Objects are what the test works on where the scenario does not say.
	Objects Objects
	// Items is over how many items the test can be spread; nil: it is one task.
	Items func(p *Plan, options any) int64
	// Generations is how many generations of an object the test may write;
	// nil: one. Later tests count on above them.
	Generations func(p *Plan, options any) int64
	// Repeats: while a fault that ends the round is still to come, the test is
	// done again and again, so that it finds something under way.
	Repeats bool
	// Run does the items [t.From, t.To). It is called from several goroutines
	// at once and returns an error only if the test itself could not go on:
	// what the target refuses or does not answer goes into the history.
	Run func(ctx context.Context, e *Env, l Live, t Task, options any) error
}

// Fault is something done to a target or its machine while tests run.
type Fault struct {
	Name    string
	Doc     string
	Target  string
	Options any
	// Effect is what the fault allows the target to do with what it has
	// acknowledged; 0: nothing. A fault with history.Ends ends the round: what runs
	// on the target is killed when it acts, and heal and judge follow.
	Effect history.Effect
	// Instant: it acts once and does not stay.
	Instant bool
	// Unit is what Touched counts, in the plural; empty: requests. Of a fault that
	// ends rounds the run counts the promises across it.
	Unit string
	// Shown returns why no check of the plan could see the fault; nil: one may.
	Shown  func(s *Spec, use FaultUse) error
	Inject func(ctx context.Context, e *Env, l Live, options any) (Injected, error)
}

// EndsRound reports whether the fault ends the round in which it acts.
func (f *Fault) EndsRound() bool { return f.Effect&history.Ends != 0 }

func (f *Fault) unit() string {
	if f.EndsRound() {
		return "promises"
	}
	return cmp.Or(f.Unit, "requests")
}

// Injected is a fault that is on.
type Injected interface {
	// Touched is how many of Fault.Unit the fault has acted on so far.
	Touched(ctx context.Context) (int64, error)
	// Stop takes the fault away. What it did to data at rest stays.
	Stop(ctx context.Context) error
}

// Check judges a target after a round, against the history.
type Check struct {
	Name    string
	Doc     string
	Target  string
	Options any
	// Controls are the faults that the check must find and the clean runs that
	// it must pass; at least one of each.
	Controls []Control
	// Proves is which promises the check can see broken. A run in which none of
	// them was at stake proves nothing.
	Proves Proves
	// Judge returns what it found. An error is the check's own, never a finding.
	Judge func(ctx context.Context, e *Env, l Live, options any) ([]verdict.Finding, error)
}

// Proves is what a check speaks of.
type Proves uint8

// What checks speak of. See owed.Stake for what is counted of each.
const (
	Promises  Proves = iota // what the target had to hold across every fault
	Structure               // the file system as a whole, which any change puts at stake
	Lines                   // what programs have promised, or else what the target had to hold
	Answers                 // that operations are answered
)

// of is how much of a stake the check speaks of.
func (p Proves) of(s owed.Stake) int64 {
	switch p {
	case Structure:
		return s.Changed + s.Lines
	case Lines:
		return s.Lines + s.Promised
	case Answers:
		return s.Answered
	}
	return s.Promised
}

// Control is a scenario that shows that a check works.
type Control struct {
	Name     string         // what is planted
	Scenario string         // a scenario file with one scenario, which lists the check
	Wants    verdict.Kind   // the finding that the check must make; empty: none
	Also     []verdict.Kind // that may come with it: one fault may break several promises
	Exact    bool           // it counts operations, and is never scaled
	Needs    func() error   // why this machine cannot run it; nil: any can
}

func register[T any](m *map[string]*T, what, name string, v *T) {
	if *m == nil {
		*m = map[string]*T{}
	}
	if _, twice := (*m)[name]; twice || name == "" {
		panic(fmt.Sprintf("scenario: %s %q is registered twice, or without a name", what, name))
	}
	(*m)[name] = v
}

// Target registers a kind of target.
func (r *Registry) Target(t Target) { register(&r.targets, "target", t.Kind, &t) }

// Test registers a test.
func (r *Registry) Test(t Test) {
	t.Options = orEmpty(t.Options)
	register(&r.tests, "test", t.Name, &t)
}

// Fault registers a fault.
func (r *Registry) Fault(f Fault) {
	f.Options = orEmpty(f.Options)
	register(&r.faults, "fault", f.Name, &f)
}

// Check registers a check. One that has no planted fault to find, or no clean
// run to pass, is refused: its verdict would be worth nothing.
func (r *Registry) Check(c Check) {
	c.Options = orEmpty(c.Options)
	var planted, clean bool
	for _, k := range c.Controls {
		planted = planted || k.Wants != ""
		clean = clean || k.Wants == ""
	}
	if !planted || !clean {
		panic(fmt.Sprintf("scenario: check %q wants a control that it finds and one that it passes", c.Name))
	}
	register(&r.checks, "check", c.Name, &c)
}

func orEmpty(options any) any {
	if options == nil {
		return struct{}{}
	}
	return options
}

// Checks are the registered checks, by name.
func (r *Registry) Checks() []*Check { return sortedByName(r.checks) }

// Only is a copy of the registry with the check of that name alone.
func (r *Registry) Only(check string) *Registry {
	some := *r
	some.checks = map[string]*Check{check: r.checks[check]}
	return &some
}

// With is a copy of the registry in which the check of that name is replaced.
// The mutation test of selftest is made with it.
func (r *Registry) With(c Check) *Registry {
	mutant := *r
	mutant.checks = map[string]*Check{}
	for name, old := range r.checks {
		mutant.checks[name] = old
	}
	c.Options = orEmpty(c.Options)
	mutant.checks[c.Name] = &c
	return &mutant
}
