package fuzz

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/seed"
)

// Shares of what is generated.
const (
	plantedShare  = 0.35 // of all scenarios
	bothShare     = 0.08 // of the honest: more than one kind of target
	sabotageShare = 0.12 // of the honest: a process of ours is killed or stopped
	hasteShare    = 0.03 // of all: the timeout comes long before the end
)

// Generate makes scenario number i of a seed.
func (f *Fuzzer) Generate(run seed.Seed, i int) Scenario {
	d := Draw{run.For("fuzz")}.At(i)
	s := Scenario{Seed: d.seed.For("run"), Timeout: "40s"}
	if plants := f.plants(); len(plants) > 0 && d.Chance("planted", plantedShare) {
		p := plants[d.Between("plant", 0, int64(len(plants)-1))]
		s.Name = fmt.Sprintf("%s %d", p.Name, i)
		p.Make(d.In("plant"), &s)
		return s
	}
	s.Name = fmt.Sprintf("%s %d", honestName, i)
	if d.Chance("haste", hasteShare) {
		s.Timeout = d.Milliseconds("timeout", 100, 3000)
	}
	if d.Chance("concurrency", 0.8) {
		s.Concurrency = d.Between("concurrent", 1, 16)
	}
	kinds := f.usable()
	if len(kinds) > 1 && !d.Chance("both", bothShare) {
		m := kinds[d.Between("kind", 0, int64(len(kinds)-1))]
		kinds = []*Domain{m}
	}
	for _, m := range kinds {
		f.honest(d.In(m.Kind), m, &s)
	}
	for _, m := range kinds {
		if m.Mend != nil {
			m.Mend(d.In("mend"), &s)
		}
	}
	return s
}

// usable are the domains whose targets this machine can make.
func (f *Fuzzer) usable() (all []*Domain) {
	for i := range f.Domains {
		if m := &f.Domains[i]; m.Needs == nil || m.Needs() == nil {
			all = append(all, m)
		}
	}
	return all
}

func (f *Fuzzer) plants() (all []*Plant) {
	for _, m := range f.usable() {
		for i := range m.Plants {
			all = append(all, &m.Plants[i])
		}
	}
	return all
}

// honest adds targets of a kind, and what is done to them, to a scenario.
func (f *Fuzzer) honest(d Draw, m *Domain, s *Scenario) {
	names := m.targets(d.In("targets"), s)
	items, operations := m.Items(d.In("items"))
	s.Items = append(s.Items, items)
	s.Tests = append(s.Tests, f.tests(d.In("tests"), m, names, s)...)
	s.Faults = append(s.Faults, f.faults(d.In("faults"), m, names, operations, s)...)
	s.Checks = append(s.Checks, f.checks(d.In("checks"), m, names, s)...)
}

// targets adds one target, now and then two or three.
func (m *Domain) targets(d Draw, s *Scenario) (names []string) {
	n := int64(1)
	if d.Chance("several", 0.2) {
		n = d.Between("many", 2, 3)
	}
	for i := range int(n) {
		t := Target{Kind: m.Kind, Options: m.Target(d.At(i))}
		names = append(names, m.Kind[:1]+strconv.Itoa(i+1))
		t.Options.Set("name", names[i])
		s.Targets = append(s.Targets, t)
	}
	return names
}

func (f *Fuzzer) tests(d Draw, m *Domain, targets []string, s *Scenario) (all []Use) {
	known := of(m.Kind, f.Registry.Tests(), func(t *scenario.Test) string { return t.Target })
	for i := range int(d.Between("how-many", 1, 4)) {
		at := d.At(i)
		t := known[at.Between("which", 0, int64(len(known)-1))]
		if i == 0 && at.Chance("usual", 0.75) {
			t = named(known, m.Test, func(t *scenario.Test) string { return t.Name })
		}
		if with := m.With[t.Name]; with != "" && slices.ContainsFunc(all, func(u Use) bool { return u.Name == t.Name }) {
			continue // its check judges one
		}
		all = append(all, m.use(at, t.Name, t.Options, targets, s))
	}
	return all
}

// of are those of a kind of target.
func of[T any](kind string, all []*T, target func(*T) string) []*T {
	return slices.DeleteFunc(slices.Clone(all), func(v *T) bool { return target(v) != kind })
}

// named is the one of that name. A domain that names what is not registered is
// a mistake in the program.
func named[T any](all []*T, want string, name func(*T) string) *T {
	i := slices.IndexFunc(all, func(v *T) bool { return name(v) == want })
	if i < 0 {
		panic("fuzz: nothing is called " + want)
	}
	return all[i]
}

// use is a word with options, for one target now and then.
func (m *Domain) use(d Draw, name string, options any, targets []string, s *Scenario) Use {
	u := Use{Name: name, Options: m.options(d.In(name), name, scenario.OptionsOf(options), s)}
	if len(targets) > 1 && d.Chance("aimed", 0.4) {
		u.Options.Add("on", d.One("on", targets...))
	}
	return u
}

func (f *Fuzzer) checks(d Draw, m *Domain, targets []string, s *Scenario) (all []Use) {
	for _, c := range of(m.Kind, f.Registry.Checks(), func(c *scenario.Check) string { return c.Target }) {
		at := d.In(c.Name)
		with := m.With[c.Name]
		wanted := c.Name == m.Check || with != "" && Has(s.Tests, with) || with == "" && at.Chance("also", 0.25)
		if wanted {
			all = append(all, Use{Name: c.Name, Options: m.options(at, c.Name, scenario.OptionsOf(c.Options), s)})
		}
	}
	return all
}

func (f *Fuzzer) faults(d Draw, m *Domain, targets []string, operations int64, s *Scenario) (all []Use) {
	known := f.Registry.Faults()
	name := func(v *scenario.Fault) string { return v.Name }
	if len(m.Processes) > 0 && d.Chance("sabotage", sabotageShare) {
		at := d.In("sabotage")
		which := named(known, at.One("how", killName(m.Kind), killName(m.Kind), stopName(m.Kind)), name)
		u := Use{Name: which.Name}
		u.Options.Add("process", at.One("process", m.Processes...))
		all = append(all, m.triggered(at, u, which, operations))
	}
	if len(m.Honest) == 0 {
		return all
	}
	for i := range int(d.weightedCount("how-many")) {
		at := d.At(i)
		fault := named(known, at.One("which", m.Honest...), name)
		all = append(all, m.triggered(at, m.use(at, fault.Name, fault.Options, targets, s), fault, operations))
	}
	return all
}

// weightedCount is how many faults there are: mostly one.
func (d Draw) weightedCount(name string) int64 {
	return []int64{0, 1, 1, 1, 1, 2, 2, 3}[d.Between(name, 0, 7)]
}

// triggered adds when the fault acts. One that ends rounds comes after some
// work, so that something is at stake; one that stays goes again more often
// than not, and always where it would hold the tests up for ever.
func (m *Domain) triggered(d Draw, u Use, fault *scenario.Fault, operations int64) Use {
	d = d.In("trigger")
	stays := !fault.Instant && !fault.EndsRound()
	when := func(name string) string {
		switch {
		case d.Chance(name+"-timed", 0.3):
			return d.Milliseconds(name, 5, 400)
		case len(m.Counts) > 0 && stays && d.Chance(name+"-counted", 0.2): // a round that waits for what does not come goes on until the timeout
			return "{" + d.One(name+"-of", m.Counts...) + ": " + d.Number(name, 1, max(2, operations/2)) + "}"
		case len(m.Counts) > 0 && name == "after" && d.Chance(name+"-counted", 0.15):
			return "{" + d.One(name+"-of", m.Counts...) + ": " + d.Number(name, 1, max(1, operations/4)) + "}"
		}
		return "{operations: " + d.Number(name, min(4, operations), max(4, operations)) + "}"
	}
	repeated := d.Chance("every", 0.35)
	switch {
	case repeated:
		u.Options.Add("every", when("every"))
		u.Options.Add("times", d.Number("times", 2, 4))
	case !stays || d.Chance("after", 0.65):
		u.Options.Add("after", when("after"))
	}
	if stays && (repeated || fault.Name == stopName(m.Kind) || m.Values[fault.Name+".for"].Always || d.Chance("for", 0.5)) {
		u.Options.Add("for", d.Milliseconds("for", 5, 400))
	}
	return u
}
