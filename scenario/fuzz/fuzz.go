package fuzz

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/seed"
	"github.com/seed-1b600011/assay/verdict"
)

// Fuzzer makes scenarios, runs them one after the other and judges the verdicts.
// It is not safe for concurrent use: what a run leaves behind is looked for
// among all processes below this one.
type Fuzzer struct {
	Registry *scenario.Registry // with the faults of Register
	Domains  []Domain
	Dir      string // for records; runs that broke something stay in it
	// Patience is how much longer than its timeout a run may take; 0: 10 s.
	Patience time.Duration
	// ShrinkRuns bounds the runs that one break is shrunk with; 0: 30.
	ShrinkRuns int
	// Breaks is after how many it ends; 0: only when the time is up.
	Breaks int
	// Tell is called with a line after each run, and with what breaks; nil: they are discarded.
	Tell func(line string)
}

// Found is a break with what shows it again.
type Found struct {
	Break
	Number int    // of the scenario
	Text   string // the scenario as it was made
	Shrunk string // the smallest that still broke
	Again  int    // of the runs of the scenario as it was made, those that broke, the first included
	Runs   int
	File   string // that holds the smallest
	Dir    string // records of the run; empty: none
}

// Run tries scenarios from number first on until the duration has passed. The
// error is of the fuzzer itself; the report is of what was done until then.
func (f *Fuzzer) Run(ctx context.Context, run seed.Seed, first int, duration time.Duration) (*Report, error) {
	f = f.withDefaults()
	r := &Report{Seed: run, Began: time.Now()}
	if len(f.usable()) == 0 {
		return r, f.unusable()
	}
	if err := os.MkdirAll(f.Dir, 0o700); err != nil {
		return r, err
	}
	for i := first; time.Since(r.Began) < duration && (f.Breaks == 0 || len(r.Found) < f.Breaks); i++ {
		s := f.Generate(run, i)
		if err := f.current(s.Text()); err != nil {
			return r, err
		}
		began := time.Now()
		t, err := f.try(ctx, s.Text())
		if t.broke == nil && err != nil {
			if ctx.Err() != nil {
				return r, nil
			}
			return r, err
		}
		r.count(s, t)
		f.Tell(fmt.Sprintf("%s: %s (%v)", s.Name, t.said(), time.Since(began).Round(time.Millisecond)))
		if t.broke == nil {
			continue
		}
		found := Found{Break: *t.broke, Number: i, Text: s.Text(), Shrunk: s.Text(), Again: 1, Runs: 1, Dir: t.dir}
		if err == nil && !r.knows(s, found) {
			err = f.shrink(ctx, s, &found)
		}
		err = errors.Join(err, f.keep(&found))
		r.Found = append(r.Found, found)
		f.Tell(found.String())
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

// Again tries a scenario that an earlier run has told of, so many times.
func (f *Fuzzer) Again(ctx context.Context, text string, times int) (*Report, error) {
	f = f.withDefaults()
	r := &Report{Began: time.Now()}
	for i := range times {
		t, err := f.try(ctx, text)
		if t.broke == nil && err != nil {
			return r, err
		}
		s := Scenario{Name: "again"}
		if p, broke := f.plan(text); broke == nil {
			s.Name, r.Seed = p.Name, *p.Seed
		}
		r.count(s, t)
		f.Tell(fmt.Sprintf("%s: %s", s.Name, t.said()))
		if t.broke != nil {
			r.Found = append(r.Found, Found{Break: *t.broke, Number: i, Text: text, Shrunk: text, Again: 1, Runs: 1, Dir: t.dir})
			f.Tell(r.Found[len(r.Found)-1].String())
		}
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

func (f *Fuzzer) withDefaults() *Fuzzer {
	c := *f
	if c.Patience == 0 {
		c.Patience = 10 * time.Second
	}
	if c.ShrinkRuns == 0 {
		c.ShrinkRuns = 30
	}
	if c.Tell == nil {
		c.Tell = func(string) {}
	}
	return &c
}

func (f *Fuzzer) unusable() error {
	errs := []error{errors.New("fuzz: this machine can make no target")}
	for _, m := range f.Domains {
		errs = append(errs, fmt.Errorf("%s: %w", m.Kind, m.Needs()))
	}
	return errors.Join(errs...)
}

// current keeps what runs now, for the case that it takes this process with it.
func (f *Fuzzer) current(text string) error {
	return machine.WriteFile(filepath.Join(f.Dir, "fuzz-current.yaml"), []byte(text), 0o600)
}

// keep writes the smallest scenario that broke to a file of its own.
func (f *Fuzzer) keep(found *Found) error {
	dir := filepath.Join(f.Dir, "fuzz")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	found.File = filepath.Join(dir, fmt.Sprintf("%s-%d.yaml", machine.Token()[:6], found.Number))
	return machine.WriteFile(found.File, []byte(found.Shrunk), 0o600)
}

// said is the outcome of a run in a few words.
func (t tried) said() string {
	text := "no verdict"
	if t.ran {
		text = t.verdict.String()
	}
	if t.ran && t.verdict == verdict.Inconclusive {
		text += ": " + reason(t.why)
	}
	if t.duty != nil {
		text += fmt.Sprintf(" (%s: %s)", t.duty.Must, t.duty.Why)
	}
	if t.broke != nil {
		text += "; BROKE: " + t.broke.What
	}
	return text
}
