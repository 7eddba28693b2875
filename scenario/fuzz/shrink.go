package fuzz

import (
	"context"
	"os"
	"regexp"
	"strconv"

	"github.com/seed-1b600011/assay/scenario"
)

// confirmRuns is how often a scenario that broke is run again before it is
// shrunk: a break that comes rarely cannot be told from a part that matters.
const confirmRuns = 3

// shrink looks for the smallest scenario that breaks in the same way, within
// ShrinkRuns runs. Each part is dropped in turn, and numbers are halved, for as
// long as one of it still breaks.
func (f *Fuzzer) shrink(ctx context.Context, s Scenario, found *Found) error {
	if found.What == refused {
		return nil
	}
	left := f.ShrinkRuns
	breaks := func(c Scenario) (bool, error) {
		left--
		t, err := f.try(ctx, c.Text())
		if t.broke == nil || t.broke.What != found.What {
			return false, err
		}
		if t.dir != "" { // the records of the first are kept, the others are the same
			if err := os.RemoveAll(t.dir); err != nil {
				return true, err
			}
		}
		return true, err
	}
	for range confirmRuns {
		again, err := breaks(s)
		if err != nil {
			return err
		}
		found.Runs++
		if again {
			found.Again++
		}
	}
	if found.Again < 2 {
		return nil
	}
	for progress := true; progress && left > 0; {
		progress = false
		for _, smaller := range smallers(s) {
			c := smaller()
			if c.Text() == s.Text() || left <= 0 {
				continue
			}
			if _, broke := f.plan(c.Text()); broke != nil && broke.What != found.What {
				continue
			}
			still, err := breaks(c)
			if err != nil {
				return err
			}
			if still {
				s, progress = c, true
				found.Shrunk = s.Text()
				break
			}
		}
	}
	return nil
}

// smallers are the ways to make a scenario smaller, the boldest first.
func smallers(s Scenario) (all []func() Scenario) {
	change := func(do func(c *Scenario)) {
		all = append(all, func() Scenario {
			c := s.clone()
			do(&c)
			return c
		})
	}
	lists := []func(*Scenario) *[]Use{
		func(c *Scenario) *[]Use { return &c.Faults },
		func(c *Scenario) *[]Use { return &c.Tests },
		func(c *Scenario) *[]Use { return &c.Checks },
	}
	for _, list := range lists {
		for i := range *list(&s) {
			change(func(c *Scenario) { *list(c) = without(*list(c), i) })
		}
	}
	for i := range s.Targets {
		change(func(c *Scenario) { c.Targets = without(c.Targets, i) })
	}
	for _, list := range lists {
		for i, u := range *list(&s) {
			for _, o := range u.Options {
				change(func(c *Scenario) { (*list(c))[i].Options.Drop(o.Key) })
			}
		}
	}
	for i, t := range s.Targets {
		for _, o := range t.Options {
			change(func(c *Scenario) { c.Targets[i].Options.Drop(o.Key) })
		}
	}
	for i, items := range s.Items {
		for _, o := range items.Options {
			change(func(c *Scenario) { c.Items[i].Options.Set(o.Key, halved(o.Value)) })
			change(func(c *Scenario) { c.Items[i].Options.Drop(o.Key) })
		}
	}
	change(func(c *Scenario) { c.Concurrency /= 2 })
	return all
}

func without[T any](list []T, i int) []T { return append(list[:i:i], list[i+1:]...) }

var figure = regexp.MustCompile(`\b[0-9]+[KMG]?\b`)

// halved is a value, or a range, of half the numbers.
func halved(value string) string {
	return figure.ReplaceAllStringFunc(value, func(number string) string {
		if n, err := strconv.ParseInt(number, 10, 64); err == nil {
			return strconv.FormatInt((n+1)/2, 10)
		}
		var size scenario.Size
		if size.UnmarshalText([]byte(number)) != nil {
			return number
		}
		return (size / 2).String()
	})
}
