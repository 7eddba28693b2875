package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/seed-1b600011/assay/flakey/soft"
	"github.com/seed-1b600011/assay/object"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/scenario/fuzz"
	"github.com/seed-1b600011/assay/seed"
	"github.com/seed-1b600011/assay/verdict"
	"github.com/seed-1b600011/assay/volume"
	"github.com/spf13/cobra"
)

// fuzzFlags are the flags of selftest that turn the language against the tool.
type fuzzFlags struct {
	duration time.Duration
	first    int
	print    int
	kind     string
	again    string
	times    int
	patience time.Duration
}

func (f *fuzzFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.DurationVar(&f.duration, "fuzz", 0, "instead of the controls, make scenarios from the seed for this much `TIME` and hold their verdicts to oracles of their own")
	flags.IntVar(&f.first, "fuzz-first", 0, "begin with scenario `NUMBER` of the seed")
	flags.StringVar(&f.kind, "fuzz-kind", "", "only with targets of this `KIND`, volumes or buckets; the scenarios of a seed are others then")
	flags.IntVar(&f.print, "fuzz-print", -1, "print scenario `NUMBER` of the seed instead of running anything")
	flags.StringVar(&f.again, "fuzz-again", "", "try the scenario in `FILE`, which an earlier --fuzz has told of")
	flags.DurationVar(&f.patience, "fuzz-patience", 10*time.Second, "how much `TIME` beyond its timeout a run may take; more, where other work holds this machine up")
	flags.IntVar(&f.times, "fuzz-times", 1, "with --fuzz-again: `N` times")
}

// wanted reports whether the controls are left out for the fuzzer.
func (f *fuzzFlags) wanted() bool { return f.duration != 0 || f.again != "" || f.print >= 0 }

func (f *fuzzFlags) check() error {
	switch {
	case f.duration < 0:
		return scenario.Misconfigured("--fuzz", "%v: want a time above 0", f.duration)
	case f.first < 0:
		return scenario.Misconfigured("--fuzz-first", "%d: want 0 or more", f.first)
	case f.times < 1:
		return scenario.Misconfigured("--fuzz-times", "%d: want 1 or more", f.times)
	case f.kind != "" && f.kind != scenario.VolumeKind && f.kind != scenario.BucketKind:
		return scenario.Misconfigured("--fuzz-kind", "%q: want %s or %s", f.kind, scenario.VolumeKind, scenario.BucketKind)
	case f.patience <= 0:
		return scenario.Misconfigured("--fuzz-patience", "%v: want a time above 0", f.patience)
	case f.duration > 0 && f.again != "":
		return scenario.Misconfigured("--fuzz-again", "it says itself which scenario is tried: leave out --fuzz")
	}
	return nil
}

// run fuzzes. The exit code is 1 where the product broke an oracle, and 3 where
// the fuzzer itself could not work.
func (f *fuzzFlags) run(c *cobra.Command, dir *dirFlag, sd seed.Seed) error {
	if err := f.check(); err != nil {
		return err
	}
	path, err := filepath.Abs(dir.dir)
	if err != nil {
		return err
	}
	fuzzer := newFuzzer(path)
	fuzzer.Patience = f.patience
	fuzzer.Domains = slices.DeleteFunc(fuzzer.Domains, func(m fuzz.Domain) bool { return f.kind != "" && f.kind != m.Kind && f.again == "" })
	if f.print >= 0 {
		_, err := fmt.Fprint(c.OutOrStdout(), fuzzer.Generate(sd, f.print).Text())
		return err
	}
	fuzzer.Tell = func(line string) { fmt.Fprintf(os.Stderr, "assay: %s\n", line) }
	var r *fuzz.Report
	if f.again != "" {
		text, reading := os.ReadFile(f.again)
		if reading != nil {
			return scenario.Misconfigured("--fuzz-again", "%v", reading)
		}
		r, err = fuzzer.Again(c.Context(), string(text), f.times)
	} else {
		fmt.Fprintf(os.Stderr, "assay: seed %v\n", sd)
		r, err = fuzzer.Run(c.Context(), sd, f.first, f.duration)
	}
	fmt.Fprint(c.OutOrStdout(), r)
	switch {
	case len(r.Found) > 0:
		if err != nil {
			fmt.Fprintln(os.Stderr, "assay:", err)
		}
		return verdictError(verdict.Fail)
	case err == nil:
		return context.Cause(c.Context()) // an interrupted run has shown less than was asked
	}
	return err
}

// newFuzzer makes scenarios for everything that this binary can do.
func newFuzzer(dir string) *fuzz.Fuzzer {
	domains := []fuzz.Domain{volume.Fuzz(), object.Fuzz()}
	reg := &scenario.Registry{}
	object.RegisterHindered(reg)
	volume.Register(reg, soft.Driver{})
	fuzz.Register(reg, domains...)
	return &fuzz.Fuzzer{Registry: reg, Domains: domains, Dir: dir}
}
