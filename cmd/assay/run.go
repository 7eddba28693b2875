package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/object"
	"github.com/seed-1b600011/assay/report"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/seed"
	"github.com/seed-1b600011/assay/verdict"
	"github.com/spf13/cobra"
)

// runFlags are the flags of assay run.
type runFlags struct {
	worldFlags
	dirFlag
	adjust   scenario.Adjust
	seed     string
	repeat   int
	only     []string
	duration time.Duration
	patience time.Duration
	keep     bool
	plan     bool
	again    string
	output   string
	quiet    bool
}

func runCommand() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run FILE…",
		Short: "Run scenario files and give a verdict",
		Long: "Run the scenarios of the files, one after the other, on this machine.\n\n" +
			"Exit code: 0 every promise was kept, 1 one was broken, 2 wrong usage or\nconfiguration, 3 inconclusive or assay itself failed.",
		Args: args(func(c *cobra.Command, files []string) error {
			if f.again != "" {
				return cobra.NoArgs(c, files)
			}
			return cobra.MinimumNArgs(1)(c, files)
		}),
		RunE: func(c *cobra.Command, files []string) error { return f.run(c, files) },
	}
	f.worldFlags.add(c)
	f.dirFlag.add(c)
	flags := c.Flags()
	flags.StringVar(&f.seed, "seed", "", "`NUMBER` from which every choice is drawn; default: a random one, which is printed")
	flags.IntVar(&f.repeat, "repeat", 0, "run every scenario `N` times, with seeds of their own, whatever it says itself")
	flags.StringArrayVar(&f.only, "only", nil, "run only the scenario of this `NAME`, or of several with commas between; can be given again")
	flags.DurationVar(&f.duration, "duration", 0, "go on with new plans until this much `TIME` has passed")
	flags.DurationVar(&f.patience, "patience", object.DefaultPatience, "go on waiting for a store that is away or throttles for this much `TIME`")
	flags.BoolVar(&f.keep, "keep", false, "leave buckets and records as they are")
	flags.IntVar(&f.adjust.Concurrency, "concurrency", 0, "run `N` tasks at once, whatever the scenario says")
	flags.Float64Var(&f.adjust.Scale, "scale", 1, "multiply the number of objects, files and operations by this `FACTOR`")
	flags.BoolVar(&f.plan, "plan", false, "print the plans instead of running them")
	flags.StringVar(&f.again, "again", "", "look again at the first round with a finding of the run whose records are in `DIR`, instead of running anything")
	flags.StringVar(&f.output, "output", "text", "`FORM` of the report: text, json or junit")
	flags.BoolVar(&f.quiet, "quiet", false, "no progress, and of the report as text only a line for each kind of finding and the verdict")
	return c
}

// check finds what is wrong with the flags, before anything is read.
func (f *runFlags) check() error {
	if err := checkScale(f.adjust); err != nil {
		return err
	}
	switch {
	case f.repeat < 0:
		return scenario.Misconfigured("--repeat", "%d: want 1 or more", f.repeat)
	case f.duration < 0:
		return scenario.Misconfigured("--duration", "%v: want a time above 0", f.duration)
	case f.patience <= 0:
		return scenario.Misconfigured("--patience", "%v: want a time above 0", f.patience)
	case reports[f.output] == nil:
		return scenario.Misconfigured("--output", "%q: want text, json or junit", f.output)
	}
	return nil
}

// checkScale is Adjust.Check for a command line, on which a factor of 0 was given.
func checkScale(a scenario.Adjust) error {
	if a.Scale == 0 {
		return scenario.Misconfigured("--scale", "0: want a factor above 0")
	}
	return a.Check()
}

var reports = map[string]func(io.Writer, report.Run) error{"text": report.Text, "json": report.JSON, "junit": report.JUnit}

// write writes the report in the form that is asked for.
func (f *runFlags) write(w io.Writer, r report.Run) error {
	if f.quiet && f.output == "text" {
		return report.Quiet(w, r)
	}
	return reports[f.output](w, r)
}

// events shows progress, unless none is asked for.
func (f *runFlags) events() verdict.Events {
	if f.quiet {
		return verdict.Discard
	}
	return report.NewProgress(os.Stderr, terminalWidth(os.Stderr)).Event
}

func (f *runFlags) run(c *cobra.Command, files []string) error {
	if err := f.check(); err != nil {
		return err
	}
	sd := seed.New()
	if f.seed != "" {
		var err error
		if sd, err = seed.Parse(f.seed); err != nil {
			return usage{err}
		}
	}
	world, err := object.ReadWorld(f.Files)
	if err != nil {
		return err
	}
	world.Patience = f.patience
	reg := newRegistry(world)
	if f.again != "" {
		return f.lookAgain(c, reg)
	}
	scenarios, err := f.read(files, reg)
	if err != nil {
		return err
	}
	if f.plan {
		return f.print(c.OutOrStdout(), scenarios, sd)
	}
	// What can be wrong in a plan is told before the first one runs.
	for _, s := range scenarios {
		if _, err := s.Plan(sd, 0, f.adjust); err != nil {
			return err
		}
	}
	r := report.Run{Seed: sd}
	err = withLedger(c.Context(), &f.dirFlag, func(ctx context.Context, ledger *machine.Ledger) error {
		runner := &scenario.Runner{Registry: reg, Ledger: ledger, Dir: ledger.Dir(), Keep: f.keep, Events: f.events()}
		return f.all(ctx, runner, scenarios, sd, &r)
	})
	return f.report(c, r, err)
}

// report writes the report, and gives the error for its verdict. What went
// wrong outside of every run is part of both: the exit code is always that of
// the verdict which the report tells. Only where there is no report, as nothing
// was run, a file or a flag was wrong or it could not be written, an error has a
// code of its own.
func (f *runFlags) report(c *cobra.Command, r report.Run, err error) error {
	if err != nil && (len(r.Outcomes) == 0 || scenario.IsConfig(err) && r.Verdict() != verdict.Fail) {
		return err
	}
	r.Err = err
	if err := f.write(c.OutOrStdout(), r); err != nil {
		return err
	}
	return of(r.Verdict())
}

// lookAgain judges once more what an earlier run has kept.
func (f *runFlags) lookAgain(c *cobra.Command, reg *scenario.Registry) error {
	var r report.Run
	err := withLedger(c.Context(), &f.dirFlag, func(ctx context.Context, ledger *machine.Ledger) error {
		runner := &scenario.Runner{Registry: reg, Ledger: ledger, Dir: ledger.Dir(), Keep: f.keep, Events: f.events()}
		o, err := runner.Again(ctx, f.again)
		if err != nil {
			return err
		}
		r.Seed, r.Outcomes = *o.Plan.Seed, []*scenario.Outcome{o}
		return nil
	})
	return f.report(c, r, err)
}

// read parses the files and keeps the scenarios that are wanted.
func (f *runFlags) read(files []string, reg *scenario.Registry) ([]*scenario.Scenario, error) {
	var all []*scenario.Scenario
	var problems []error
	in := map[string]string{}
	for _, file := range files {
		some, err := scenario.ReadFile(file, reg)
		if err != nil {
			problems = append(problems, err)
		}
		for _, s := range some {
			if other := in[s.Name]; other != "" {
				problems = append(problems, scenario.Misconfigured(file, "a scenario is named %q in %s already", s.Name, other))
			}
			in[s.Name] = file
		}
		all = append(all, some...)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if len(f.only) == 0 {
		return all, nil
	}
	only := map[string]bool{}
	for _, one := range f.only {
		names := strings.Split(one, ",")
		if in[one] != "" { // a name may have a comma in it
			names = []string{one}
		}
		for _, name := range names {
			if in[name] == "" {
				return nil, scenario.Misconfigured("--only", "no scenario is named %q: there are %s", name, namesOf(all))
			}
			only[name] = true
		}
	}
	return slices.DeleteFunc(all, func(s *scenario.Scenario) bool { return !only[s.Name] }), nil
}

func namesOf(all []*scenario.Scenario) string {
	var names []string
	for _, s := range all[:min(len(all), 20)] {
		names = append(names, s.Name)
	}
	return strings.Join(names, ", ")
}

func (f *runFlags) plans(s *scenario.Scenario) int {
	if f.repeat > 0 {
		return f.repeat
	}
	return s.Plans()
}

func (f *runFlags) print(w io.Writer, scenarios []*scenario.Scenario, sd seed.Seed) error {
	var plans []*scenario.Plan
	for _, s := range scenarios {
		for i := range f.plans(s) {
			p, err := s.Plan(sd, i, f.adjust)
			if err != nil {
				return err
			}
			plans = append(plans, p)
		}
	}
	_, err := w.Write(scenario.Print(plans))
	return err
}

// all runs the plans of all scenarios, once or until the duration has passed.
func (f *runFlags) all(ctx context.Context, runner *scenario.Runner, scenarios []*scenario.Scenario, sd seed.Seed, r *report.Run) error {
	if !f.quiet { // the last line has it too
		fmt.Fprintf(os.Stderr, "assay: seed %v\n", sd)
	}
	until := time.Now().Add(f.duration)
	for pass := 0; pass == 0 || time.Now().Before(until) && r.Ran(); pass++ {
		for _, s := range scenarios {
			for i := range f.plans(s) {
				p, err := s.Plan(sd, pass*f.plans(s)+i, f.adjust)
				if err != nil {
					return err
				}
				o, err := runner.Run(ctx, p)
				if err != nil {
					return err
				}
				keepOutcome(r, o, pass)
				if ctx.Err() != nil {
					return nil
				}
				if pass > 0 && !time.Now().Before(until) {
					return nil
				}
			}
		}
	}
	return nil
}

// keepOutcome adds an outcome to the report. In a run of long duration the
// passes after the first are kept only if they ran and are no plain pass.
func keepOutcome(r *report.Run, o *scenario.Outcome, pass int) {
	if pass == 0 || o.Verdict != verdict.Pass && o.Skipped == "" {
		r.Outcomes = append(r.Outcomes, o)
	}
}
