package fuzz

import (
	"slices"
	"strconv"
	"strings"

	"github.com/seed-1b600011/assay/seed"
)

// Scenario is a scenario in the making. Values are kept as they are written.
type Scenario struct {
	Name        string
	Seed        seed.Seed
	Targets     []Target
	Items       []Items
	Concurrency int64
	Tests       []Use
	Faults      []Use
	Checks      []Use
	Timeout     string
}

// Target is one required target.
type Target struct {
	Kind    string
	Options Options
}

// Items are what tests work on: "files" or "objects".
type Items struct {
	Name    string
	Options Options
}

// Use is a test, a fault or a check with its options.
type Use struct {
	Name    string
	Options Options
}

// Options are keys with their values as YAML text, in the order in which they
// are written.
type Options []struct{ Key, Value string }

// Add appends a key, unless the value is empty.
func (o *Options) Add(key, value string) {
	if value != "" {
		*o = append(*o, struct{ Key, Value string }{key, value})
	}
}

// Get is the value of a key; empty: it is not there.
func (o Options) Get(key string) string {
	for _, p := range o {
		if p.Key == key {
			return p.Value
		}
	}
	return ""
}

// Drop takes keys out.
func (o *Options) Drop(keys ...string) {
	kept := Options{}
	for _, p := range *o {
		if !slices.Contains(keys, p.Key) {
			kept = append(kept, p)
		}
	}
	*o = kept
}

// Set replaces the value of a key, or adds it.
func (o *Options) Set(key, value string) {
	for i := range *o {
		if (*o)[i].Key == key {
			(*o)[i].Value = value
			return
		}
	}
	o.Add(key, value)
}

// flow is the options as a flow mapping.
func (o Options) flow() string {
	parts := make([]string, len(o))
	for i, p := range o {
		parts[i] = p.Key + ": " + p.Value
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// clone shares nothing with s.
func (s Scenario) clone() Scenario {
	for _, list := range []*[]Use{&s.Tests, &s.Faults, &s.Checks} {
		*list = slices.Clone(*list)
		for i := range *list {
			(*list)[i].Options = slices.Clone((*list)[i].Options)
		}
	}
	s.Targets, s.Items = slices.Clone(s.Targets), slices.Clone(s.Items)
	for i := range s.Targets {
		s.Targets[i].Options = slices.Clone(s.Targets[i].Options)
	}
	for i := range s.Items {
		s.Items[i].Options = slices.Clone(s.Items[i].Options)
	}
	return s
}

// Has reports whether a list of tests, faults or checks has one of that name.
func Has(list []Use, name string) bool {
	return slices.ContainsFunc(list, func(u Use) bool { return u.Name == name })
}

// Text is the scenario as a file.
func (s Scenario) Text() string {
	var b strings.Builder
	b.WriteString("- name: " + s.Name + "\n  seed: " + s.Seed.String() + "\n  required:\n")
	kind := ""
	for _, t := range s.Targets {
		if t.Kind != kind {
			kind = t.Kind
			b.WriteString("    " + kind + ":\n")
		}
		b.WriteString("      - " + t.Options.flow() + "\n")
	}
	for _, i := range s.Items {
		b.WriteString("  " + i.Name + ": " + i.Options.flow() + "\n")
	}
	if s.Concurrency > 0 {
		b.WriteString("  concurrency: " + strconv.FormatInt(s.Concurrency, 10) + "\n")
	}
	uses(&b, "tests", s.Tests)
	uses(&b, "faults", s.Faults)
	uses(&b, "checks", s.Checks)
	if s.Timeout != "" {
		b.WriteString("  timeout: " + s.Timeout + "\n")
	}
	return b.String()
}

func uses(b *strings.Builder, key string, all []Use) {
	if len(all) == 0 {
		return
	}
	b.WriteString("  " + key + ":\n")
	for _, u := range all {
		b.WriteString("    - " + u.Name)
		if len(u.Options) > 0 {
			b.WriteString(": " + u.Options.flow())
		}
		b.WriteString("\n")
	}
}
