package scenario

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/owed"
	"github.com/seed-1b600011/assay/verdict"
)

// Runner runs plans. It is safe for concurrent use if its Executor is.
type Runner struct {
	Registry *Registry
	Executor Executor // nil: Local
	Ledger   *machine.Ledger
	Events   verdict.Events // nil: nobody listens
	Dir      string         // where runs keep their records
	Keep     bool           // leave targets and records as they are
}

// Outcome is the answer to one plan.
type Outcome struct {
	Plan     *Plan
	Verdict  verdict.Verdict
	Why      string // in a word, where the verdict is not the findings'
	Findings []verdict.Finding
	Faults   []FaultOutcome
	Rounds   int
	Tick     verdict.Tick // the last
	Refusals []verdict.Refusal
	Began    time.Time
	Took     time.Duration
	Dir      string // with plan and history; empty if they were not kept
	Size     int64  // of Dir on its disk, in bytes
	Kept     bool   // Runner.Keep
	Again    bool   // Dir has what Runner.Again needs
	Err      error  // what broke, if something did
	// Skipped: an optional plan was not run, because the machine lacks this. It
	// proves nothing, and counts for nothing in the verdict on several.
	Skipped string
}

const (
	cleanPatience = 60 * time.Second // for healing and cleaning after ctx has ended
	intactBound   = 2 * time.Minute  // for asking all targets whether they are intact
	maxFindings   = 1000             // that are kept of one plan
)

// ErrInterrupted is the cause with which a caller should cancel the context of
// a run that a person wants to end.
var ErrInterrupted = errors.New("interrupted")

var errTimeout = errors.New("timeout")

// run is one plan under way.
type run struct {
	*Runner
	env      *Env
	lives    map[string][]Live // by kind
	faults   []*schedule
	endRound context.CancelCauseFunc
	ending   sync.Mutex // held by a fault that ends the round, while it begins

	mu        sync.Mutex
	findings  []verdict.Finding
	kinds     map[verdict.Kind]int // of all findings, also of those that were not kept
	witnessed bool                 // what the first of them were found on is kept
	dropped   int
	broken    []error
	ended     map[Live]bool // in this round, by a fault
	failed    map[Live]bool // something of assay's own below it has failed
	account   account
	done      bool // what is found or breaks now is no part of the outcome

	left <-chan struct{} // closed when the step that was left to itself has ended; nil: none was
}

// Run runs a plan: prepare, rounds of drive, heal and judge, and clean. It
// always cleans, also when ctx ends. The error is a ConfigError, from before
// anything was done; whatever else goes wrong is in the Outcome.
func (r *Runner) Run(ctx context.Context, p *Plan) (*Outcome, error) {
	began := time.Now()
	r = r.withDefaults()
	if err := r.lacks(p); err != nil && p.Optional {
		r.Events(verdict.Event{At: began, Scenario: p.Name, Repeat: p.Repeat, Message: "skipped: " + err.Error()})
		return &Outcome{Plan: p, Began: began, Verdict: verdict.Inconclusive, Why: "skipped: " + err.Error(), Skipped: err.Error()}, nil
	}
	if p.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, time.Duration(p.Timeout), errTimeout)
		defer cancel()
	}
	dir, gone, err := r.runDir(p, began)
	if err != nil {
		return nil, err
	}
	run := r.newRun()
	out := &Outcome{Plan: p, Began: began, Kept: r.Keep}
	err = run.whole(ctx, p, dir, out)
	run.end()
	out.Findings, out.Again = run.findings, run.witnessed
	run.decide(out)
	out.Took = time.Since(began)
	if IsConfig(err) && len(out.Findings) == 0 {
		return nil, errors.Join(err, os.RemoveAll(dir), gone())
	}
	if out.Verdict == verdict.Pass && !r.Keep {
		out.Err = errors.Join(out.Err, os.RemoveAll(dir))
	} else {
		out.Dir = dir
		out.Size, err = run.keep(out)
		out.Err = errors.Join(out.Err, err)
	}
	out.Err = errors.Join(out.Err, gone())
	run.env.event(verdict.Event{State: verdict.Done})
	return out, nil
}

func (r *Runner) newRun() *run {
	return &run{Runner: r, lives: map[string][]Live{}, kinds: map[verdict.Kind]int{}, ended: map[Live]bool{}, failed: map[Live]bool{}}
}

// all are the targets of the run, kind by kind in the order in which they were
// prepared.
func (run *run) all() (lives []Live) {
	for _, kind := range names(run.lives) {
		lives = append(lives, run.lives[kind]...)
	}
	return lives
}

// rule is what the target of that name promises.
func (run *run) rule(target string) owed.Rule {
	for _, l := range run.all() {
		if l.Target() == target {
			return l.Rule()
		}
	}
	return owed.Rule{}
}

// lacks is what this machine lacks to make the targets of the plan.
func (r *Runner) lacks(p *Plan) error {
	var errs []error
	for kind, n := range p.Required.count() {
		if t := r.Registry.targets[kind]; n > 0 && t.Lacks != nil {
			errs = append(errs, t.Lacks(&p.Spec))
		}
	}
	return errors.Join(errs...)
}

func (r *Runner) withDefaults() *Runner {
	c := *r
	if c.Executor == nil {
		c.Executor = Local{}
	}
	if c.Events == nil {
		c.Events = verdict.Discard
	}
	return &c
}

// runDir makes the directory for the plan's records.
func (r *Runner) runDir(p *Plan, began time.Time) (dir string, gone func() error, err error) {
	name := fmt.Sprintf("%s-%s-%s", began.UTC().Format("20060102T150405"), slug(p.Name), machine.Token()[:6])
	dir = filepath.Join(r.Dir, "runs", name)
	if gone, err = r.Ledger.Intend("directory", dir); err != nil {
		return "", nil, Misconfigured("--dir "+r.Dir, "%v", err)
	}
	err = os.MkdirAll(dir, 0o700)
	if err == nil {
		err = machine.WriteFile(filepath.Join(dir, "plan.yaml"), p.Text(), 0o600)
	}
	if err != nil {
		return "", nil, Misconfigured("--dir "+r.Dir, "%v", errors.Join(err, os.RemoveAll(dir), gone()))
	}
	return dir, gone, nil
}

// slug is a name fit for a directory.
func slug(name string) string {
	s := strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			return c
		case c >= 'A' && c <= 'Z':
			return c - 'A' + 'a'
		default:
			return '-'
		}
	}, name)
	return strings.Trim(s[:min(len(s), 40)], "-")
}

// whole runs the plan to its end. What it returns is also in broken.
func (run *run) whole(ctx context.Context, p *Plan, dir string, out *Outcome) (err error) {
	historyDir := filepath.Join(dir, "history")
	run.env = &Env{Plan: p, Ledger: run.Ledger, Events: run.Events, Meter: &Meter{}, Dir: dir, Keep: run.Keep, Began: machine.Boottime(), rule: run.rule,
		records: func() iter.Seq2[history.Record, error] { return history.ReadDir(historyDir) }}
	run.env.History, err = history.Create(historyDir, history.Options{Clock: machine.Boottime})
	if err != nil {
		return run.broke(Misconfigured("--dir "+run.Dir, "%v", err))
	}
	defer func() { run.broke(run.env.History.Close()) }()
	stopTicks := run.ticks()
	defer func() { stopTicks(); out.Tick, out.Refusals = run.env.Meter.Tick(), run.env.Meter.Refusals() }()
	defer run.clean(ctx)
	if err := run.prepare(ctx); err != nil {
		return run.broke(err)
	}
	defer func() {
		_, err := patiently(ctx, run, "the account", func() (struct{}, error) {
			return struct{}{}, errors.Join(run.intact(ctx), run.takeStock())
		}, nil)
		run.broke(err)
	}()
	for i, use := range p.Faults {
		run.faults = append(run.faults, newSchedule(run, i, use))
	}
	defer func() {
		for _, f := range run.faults {
			out.Faults = append(out.Faults, f.outcome())
		}
	}()
	for more := true; more; {
		more, err = run.patientRound(ctx)
		out.Rounds++
		if err != nil {
			return run.broke(err)
		}
		if more {
			run.env.round.Add(1)
		}
	}
	return nil
}

// broke notes an error that makes a verdict inconclusive, and returns it.
func (run *run) broke(err error) error {
	if err != nil {
		run.mu.Lock()
		if !run.done {
			run.broken = append(run.broken, err)
		}
		run.mu.Unlock()
	}
	return err
}

func (run *run) enter(s verdict.State, total int64) {
	run.env.Meter.Enter(s, total)
	run.env.event(verdict.Event{State: s})
}

func (run *run) prepare(ctx context.Context) error {
	run.enter(verdict.Prepare, 0)
	for kind, n := range run.env.Plan.Required.count() {
		if n == 0 {
			continue
		}
		lives, err := run.patientPrepare(ctx, kind)
		if err != nil {
			return fmt.Errorf("prepare %s: %w", kind, err)
		}
		run.lives[kind] = lives
	}
	return run.rehearse(ctx)
}

// why says in a person's words what ended a run before its time.
func (run *run) why(cause error) error {
	if errors.Is(cause, errTimeout) {
		return fmt.Errorf("the timeout of %v has passed%s", run.env.Plan.Timeout, run.doing())
	}
	return cause
}

// drive runs the tests in the order written, while faults come and go. ended:
// a fault has ended the round.
func (run *run) drive(ctx context.Context) (ended bool, err error) {
	run.env.event(verdict.Event{State: verdict.Drive})
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	run.endRound = cancel
	var errs []error
	var waits, ending []func() error
	for _, f := range run.faults {
		wait, err := f.begin(ctx)
		if err != nil {
			errs = append(errs, err)
			cancel(err)
			break
		}
		if f.use.Fault.EndsRound() && !f.waitsForCount() {
			ending = append(ending, wait)
		} else {
			waits = append(waits, wait)
		}
	}
	if len(errs) == 0 {
		errs = append(errs, run.passes(ctx))
	}
	if errors.Join(errs...) == nil {
		for _, wait := range ending { // what has been written waits for its power cut
			errs = append(errs, wait())
		}
		ending = nil
	}
	ended = errors.Is(context.Cause(ctx), errRoundEnded)
	cancel(nil)
	for _, wait := range append(waits, ending...) {
		errs = append(errs, wait())
	}
	for _, f := range run.faults { // those whose begin failed half-way too
		errs = append(errs, f.end(context.WithoutCancel(ctx)))
	}
	return ended, errors.Join(errs...)
}

// passes does the tests, and those that repeat again for as long as a fault
// that ends the round is to come and they find something to do.
func (run *run) passes(ctx context.Context) error {
	if err := run.tests(ctx, func(*Test) bool { return true }); err != nil {
		return err
	}
	for ctx.Err() == nil && run.goesOn() {
		before := run.env.Meter.operations()
		if err := run.tests(ctx, func(t *Test) bool { return t.Repeats }); err != nil {
			return err
		}
		if run.env.Meter.operations() == before {
			return nil
		}
	}
	return nil
}

// tests does the wanted ones of the plan's tests, in the order written.
func (run *run) tests(ctx context.Context, wanted func(*Test) bool) error {
	p := run.env.Plan
	var total int64
	for i, use := range p.Tests {
		if wanted(use.Test) {
			total += p.Items(i)
		}
	}
	run.env.Meter.Enter(verdict.Drive, total)
	for i, use := range p.Tests {
		if !wanted(use.Test) {
			continue
		}
		err := run.Executor.Execute(ctx, p, p.Tasks(i), func(ctx context.Context, t Task) error {
			err := use.Test.Run(ctx, run.env, run.lives[use.Test.Target][t.Target], t, use.Options)
			run.env.Meter.Done(t.To - t.From)
			return err
		})
		if cause := context.Cause(ctx); cause != nil && errors.Is(err, cause) {
			return nil // the round has ended, or whoever ended it tells why
		}
		if err != nil {
			return fmt.Errorf("test %s: %w", use.Test.Name, err)
		}
	}
	return nil
}

// ticks sends a tick a second until it is stopped.
func (run *run) ticks() (stop func()) {
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		t := time.NewTicker(time.Second)
		defer t.Stop()
		for {
			tick := run.env.Meter.Tick()
			select {
			case <-t.C:
				tick = run.env.Meter.Tick()
				run.env.event(verdict.Event{Tick: &tick})
			case <-done:
				tick = run.env.Meter.Tick()
				run.env.event(verdict.Event{Tick: &tick})
				return
			}
		}
	})
	return func() { close(done); ended.Wait() }
}
