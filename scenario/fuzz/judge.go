package fuzz

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
)

// Break is how a scenario has broken its oracle.
type Break struct {
	What   string // the sort, in one word or two: what shrinking must keep
	Detail string
}

// refused is the break of a text that is not read.
const refused = "refused"

// tried is what came of one run.
type tried struct {
	broke   *Break
	verdict verdict.Verdict
	ran     bool   // there is a verdict
	why     string // of an inconclusive one
	duty    *Duty  // of a planted one
	dir     string // with what is left of a run that broke something
}

// try reads a scenario, runs it and holds it to its oracle. An error is the
// fuzzer's own: it could not work.
func (f *Fuzzer) try(ctx context.Context, text string) (t tried, err error) {
	p, broke := f.plan(text)
	if broke != nil {
		return tried{broke: broke}, nil
	}
	plant, err := f.plant(p.Name)
	if err != nil {
		return t, err
	}
	before, err := descendants()
	if err != nil {
		return t, err
	}
	ledger, err := machine.OpenLedger(f.Dir)
	if err != nil {
		return t, err
	}
	runner := scenario.Runner{Registry: f.Registry, Ledger: ledger, Dir: f.Dir, Keep: plant != nil}
	out, running, broke := f.run(ctx, &runner, p)
	if running {
		return tried{broke: broke}, fmt.Errorf("fuzz: %s: %s: it still runs, and nothing else can beside it", p.Name, broke.Detail)
	}
	if ctx.Err() != nil { // the run was interrupted, and says nothing
		return t, errors.Join(context.Cause(ctx), ledger.Close(), removeDir(out))
	}
	if broke == nil {
		t, broke, err = judged(plant, out)
	}
	if left := f.left(ledger, before); broke == nil {
		broke = left
	}
	if out != nil {
		t.dir = out.Dir
	}
	if broke == nil || out == nil {
		err = errors.Join(err, removeDir(out))
		t.dir = ""
	}
	t.broke = broke
	return t, err
}

func removeDir(out *scenario.Outcome) error {
	if out == nil || out.Dir == "" {
		return nil
	}
	return os.RemoveAll(out.Dir)
}

// plan reads the text and holds the language to its word: a plan that is
// printed and read again is the same to the byte.
func (f *Fuzzer) plan(text string) (*scenario.Plan, *Break) {
	p, err := f.reread([]byte(text))
	if err != nil {
		return nil, &Break{refused, err.Error()}
	}
	printed := p.Text()
	again, err := f.reread(printed)
	if err != nil {
		return nil, &Break{"printed plan refused", fmt.Sprintf("%v, in\n%s", err, printed)}
	}
	if second := again.Text(); string(second) != string(printed) {
		return nil, &Break{"printed plan differs", fmt.Sprintf("%s\nand read again\n%s", printed, second)}
	}
	return p, nil
}

func (f *Fuzzer) reread(text []byte) (*scenario.Plan, error) {
	all, err := scenario.Parse("scenario", text, f.Registry)
	if err != nil {
		return nil, err
	}
	if len(all) != 1 {
		return nil, fmt.Errorf("%d scenarios, want 1", len(all))
	}
	return all[0].Plan(0, 0, scenario.Adjust{})
}

// stuckPatience is how long a run that is late is waited for: a verdict that
// comes at all tells more than none, and nothing can run beside it.
const stuckPatience = 3 * time.Minute

// run runs the plan. running: it did not end.
func (f *Fuzzer) run(ctx context.Context, r *scenario.Runner, p *scenario.Plan) (out *scenario.Outcome, running bool, broke *Break) {
	type result struct {
		out *scenario.Outcome
		err error
	}
	done := make(chan result, 1)
	began := time.Now()
	go func() {
		out, err := r.Run(ctx, p)
		done <- result{out, err}
	}()
	limit := time.Duration(p.Timeout) + f.Patience
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var got result
	stacks := "" // of when it should have ended
	select {
	case got = <-done:
	case <-timer.C:
		stacks = allStacks()
		select {
		case got = <-done:
		case <-time.After(stuckPatience):
			return nil, true, &Break{"stuck", fmt.Sprintf("it had not ended %v after its timeout:\n%s", stuckPatience+f.Patience, stacks)}
		}
	}
	if took := time.Since(began); took > limit {
		broke = &Break{"late", fmt.Sprintf("it took %v with a timeout of %v; when it should have ended:\n%s", took.Round(time.Millisecond), p.Timeout, stacks)}
	}
	if got.err != nil && broke == nil {
		broke = &Break{"refused when run", got.err.Error()}
	}
	return got.out, false, broke
}

// allStacks are those of all goroutines.
func allStacks() string {
	b := make([]byte, 1<<20)
	return string(b[:runtime.Stack(b, true)])
}

// judged holds an outcome to its oracle.
func judged(plant *Plant, out *scenario.Outcome) (t tried, broke *Break, err error) {
	t = tried{verdict: out.Verdict, ran: true, why: out.Why}
	var panicked *scenario.PanicError
	if errors.As(out.Err, &panicked) {
		return t, &Break{"panic", panicked.Error()}, nil
	}
	if plant == nil {
		if out.Verdict == verdict.Fail || len(out.Findings) > 0 {
			broke = blamed(out)
		}
		return t, broke, nil
	}
	duty, err := plant.Duty(out)
	if err != nil {
		return t, nil, fmt.Errorf("fuzz: %s: what it owes: %w", out.Plan.Name, err)
	}
	t.duty = &duty
	if text := duty.broken(out); text != "" {
		broke = &Break{duty.Must.String(), text}
	}
	return t, broke, nil
}

const findingsTold = 5

// blamed is the break of an honest run that failed.
func blamed(out *scenario.Outcome) *Break {
	var kinds, lines []string
	for _, f := range out.Findings {
		if !slices.Contains(kinds, string(f.Kind)) {
			kinds = append(kinds, string(f.Kind))
		}
		if len(lines) < findingsTold {
			lines = append(lines, fmt.Sprintf("%v\n    by %s, to blame %s", f, f.Check, f.Blame))
		}
	}
	if more := len(out.Findings) - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	if out.Err != nil {
		lines = append(lines, "what broke: "+out.Err.Error())
	}
	slices.Sort(kinds)
	return &Break{"blamed: " + strings.Join(kinds, ", "), strings.Join(lines, "\n")}
}

// goneWithin is how long processes of a run that has ended may take to end.
const goneWithin = 15 * time.Second

// left says what a run has left behind.
func (f *Fuzzer) left(ledger *machine.Ledger, before []process) *Break {
	var left []string
	for deadline := time.Now().Add(goneWithin); ; time.Sleep(20 * time.Millisecond) {
		left = left[:0]
		now, err := descendants()
		if err != nil {
			left = append(left, err.Error())
		}
		for _, p := range now {
			if !slices.ContainsFunc(before, func(b process) bool { return b.pid == p.pid }) {
				left = append(left, fmt.Sprintf("process %d (%s)", p.pid, p.title))
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			break
		}
	}
	for _, e := range ledger.Left() {
		left = append(left, e.Kind+" "+e.Name)
	}
	if err := ledger.Close(); err != nil && len(left) == 0 {
		left = append(left, err.Error())
	}
	if len(left) == 0 {
		return nil
	}
	return &Break{"left behind", strings.Join(left, "\n")}
}

var (
	tokens  = regexp.MustCompile(`[0-9a-f]{12,}`)
	numbers = regexp.MustCompile(`[0-9]+(\.[0-9]+)?`)
)

const reasonMax = 90 // bytes of a reason that tell it from others

// reason is why a run is inconclusive, without what differs from run to run.
func reason(why string) string {
	why, _, _ = strings.Cut(why, "\n")
	why = numbers.ReplaceAllString(tokens.ReplaceAllString(why, "…"), "N")
	if len(why) > reasonMax {
		why = strings.ToValidUTF8(why[:reasonMax], "") + " …"
	}
	return why
}
