package object

import (
	"errors"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/scenario/fuzz"
	"github.com/seed-1b600011/assay/verdict"
)

// Fuzz is what the fuzzer has to know of buckets on the reference store. See
// package fuzz.
func Fuzz() fuzz.Domain {
	one := func(of ...string) fuzz.Value {
		return fuzz.Value{Draw: func(d fuzz.Draw, _ *fuzz.Scenario) string { return d.One("value", of...) }}
	}
	return fuzz.Domain{
		Kind: scenario.BucketKind, Target: fuzzBucket, Items: fuzzObjects,
		Test: "put", Check: "check-content",
		Values: map[string]fuzz.Value{
			"mixed.operations": {Always: true, Draw: func(d fuzz.Draw, _ *fuzz.Scenario) string { return d.Number("value", 1, 500) }},
			"put":              one("1", "10", "40"), // never 0 for all: mixed wants something to do
			"overwrite":        one("0", "20", "60"),
			"delete":           one("0", "15", "40"),
			"get":              one("0", "30", "60"),
			"list":             one("0", "5", "50"),
			"count":            {Draw: func(d fuzz.Draw, _ *fuzz.Scenario) string { return d.Number("value", 1, 60) }},
		},
		Honest:    []string{hinderName},
		Processes: []string{"refstore"},
		Plants: []fuzz.Plant{
			{Name: "stored", Make: plantStored, Duty: dutyOfStored},
			{Name: "unasked", Make: plantUnasked, Duty: dutyOfUnasked},
		},
	}
}

func fuzzBucket(d fuzz.Draw) (o fuzz.Options) {
	if d.Chance("where", 0.5) {
		o.Add("clouds", "["+d.One("cloud", scenario.CloudNames()...)+"]")
	}
	if d.Chance("transient", 0.15) {
		o.Add("transient", "true")
	}
	return o
}

func fuzzObjects(d fuzz.Draw) (fuzz.Items, int64) {
	var o fuzz.Options
	count := d.Between("count", 1, 150)
	sizes := []string{"0B", "1", "23", "1K", "{min: 0B, max: 4K}", "{min: 1, max: 70000}"}
	if d.Chance("large", 0.15) {
		count = d.Between("few", 1, 8)
		sizes = []string{"1M", "{min: 1M, max: 9M}", "5M"}
	}
	if d.Chance("none", 0.02) {
		count = 0
	}
	o.Add("count", strconv.FormatInt(count, 10))
	o.Add("size", d.One("size", sizes...))
	if d.Chance("prefixed", 0.25) {
		o.Add("prefix", d.One("prefix", "a/b", `"a b"`, `"ä+%2F"`, `"?x=1&y"`))
	}
	return fuzz.Items{Name: "objects", Options: o}, count
}

// stored are the lies of which it is known who must find what, where the tests
// are these: each key is damaged by the last request that touches it.
type stored struct {
	lie, check string
	tests      []string
	kind       verdict.Kind
}

func storedLies() []stored {
	put := []string{"put"}
	return []stored{
		{"lose", "check-content", put, verdict.Lost},
		{"flip", "check-content", put, verdict.Corrupt},
		{"swap", "check-content", put, verdict.Misdirected},
		{"stale", "check-content", []string{"put", "put"}, verdict.Stale},
		{"resurrect", "check-content", []string{"put", "delete"}, verdict.Resurrected},
		{"lose", "check-list", put, verdict.Lost},
		{"list-hides", "check-list", put, verdict.Lost},
		{"list-invents", "check-list", []string{"put", "delete"}, verdict.Resurrected},
		{"lose", "check-backend", put, verdict.Lost},
		{"flip", "check-backend", put, verdict.Corrupt},
		{"swap", "check-backend", put, verdict.Misdirected},
		{"stale", "check-backend", []string{"put", "put"}, verdict.Stale},
		{"resurrect", "check-backend", []string{"put", "delete"}, verdict.Resurrected},
	}
}

const backendCheck = "check-backend"

// plantStored is one lie of the store about one request, or about none.
func plantStored(d fuzz.Draw, s *fuzz.Scenario) {
	all := storedLies()
	l := all[d.Between("lie", 0, int64(len(all)-1))]
	s.Targets = []fuzz.Target{{Kind: scenario.BucketKind}}
	s.Targets[0].Options.Add("clouds", "["+d.One("cloud", "aws", "gcp", "azure")+"]")
	count := d.Between("count", 2, 120)
	var objects fuzz.Options
	objects.Add("count", strconv.FormatInt(count, 10))
	objects.Add("size", d.One("size", "24B", "1K", "{min: 24B, max: 20K}", "600K"))
	s.Items = []fuzz.Items{{Name: "objects", Options: objects}}
	s.Concurrency = d.Between("concurrency", 1, 16)
	for _, name := range l.tests {
		s.Tests = append(s.Tests, fuzz.Use{Name: name})
	}
	if d.Chance("read", 0.3) {
		s.Tests = append(s.Tests, fuzz.Use{Name: "get"})
	}
	u := fuzz.Use{Name: lieName}
	u.Options.Add("kind", l.lie)
	if l.check == backendCheck {
		u.Options.Add("at", "backend")
	}
	u.Options.Add("count", "1")
	u.Options.Add("skip", d.Number("skip", 0, count+1))
	s.Faults = []fuzz.Use{u}
	s.Checks = []fuzz.Use{{Name: l.check}}
	if d.Chance("elsewhere", 0.15) && l.check != "check-list" { // who looks where nothing is wrong finds nothing
		s.Checks = []fuzz.Use{{Name: map[bool]string{true: "check-content", false: backendCheck}[l.check == backendCheck]}}
	}
}

// dutyOfStored asks the store's own record of what it damaged.
func dutyOfStored(out *scenario.Outcome) (fuzz.Duty, error) {
	if len(out.Faults) != 1 || out.Faults[0].Name != lieName || len(out.Plan.Checks) != 1 || out.Err != nil || out.Tick.Refused+out.Tick.Unknown > 0 {
		return fuzz.Duty{Why: "there is not one lie and one check, or something failed"}, nil
	}
	if out.Faults[0].Touched == 0 {
		return fuzz.Duty{Must: fuzz.NotFail, Why: "the lie touched nothing"}, nil
	}
	told, check := out.Plan.Faults[0].Options.(*lie), out.Plan.Checks[0].Check.Name
	var tests []string
	for _, t := range out.Plan.Tests {
		if t.Test.Name != "get" {
			tests = append(tests, t.Test.Name)
		}
	}
	if out.Faults[0].Touched > 1 || int64(out.Plan.Objects.Size.Min) < 24 || hasBackend(out.Plan) != nil {
		return fuzz.Duty{Why: "it is not known what it did"}, nil
	}
	for _, l := range storedLies() {
		atBackend := told.At == "backend"
		if l.lie == told.Kind && slices.Equal(l.tests, tests) && l.check == check && atBackend == (check == backendCheck) {
			return fuzz.Duty{Must: fuzz.Find, Kinds: []verdict.Kind{l.kind}, Why: "the store says that it damaged " + first(out.Faults[0].Planted)}, nil
		}
	}
	if told.At == "backend" && check == "check-content" {
		return fuzz.Duty{Must: fuzz.NotFail, Why: "only the backend was damaged, and only the store was looked at"}, nil
	}
	return fuzz.Duty{Why: "it is not known who must find this"}, nil
}

// hasBackend is nil where every bucket is kept on a backend beside the store.
func hasBackend(p *scenario.Plan) error {
	for _, b := range p.Required.Buckets {
		if b.Transient || len(b.Clouds) == 0 || b.Clouds[0] == cluster {
			return errors.New("the store is its own backend")
		}
	}
	return nil
}

func first(all []string) string {
	if len(all) == 0 {
		return "something"
	}
	return all[0]
}

// plantUnasked puts nothing at stake.
func plantUnasked(d fuzz.Draw, s *fuzz.Scenario) {
	s.Targets = []fuzz.Target{{Kind: scenario.BucketKind, Options: fuzzBucket(d)}}
	s.Checks = []fuzz.Use{{Name: d.One("check", "check-content", "check-list", backendCheck)}}
	var objects fuzz.Options
	if d.Chance("none", 0.5) {
		objects.Add("count", "0")
		s.Tests = []fuzz.Use{{Name: d.One("test", "put", "get", "delete")}}
	} else {
		objects.Add("count", d.Number("count", 1, 20))
		u := fuzz.Use{Name: "mixed"}
		for _, key := range []string{"put", "overwrite", "delete"} {
			u.Options.Add(key, "0")
		}
		u.Options.Add("operations", d.Number("operations", 1, 50))
		s.Tests = []fuzz.Use{u}
	}
	s.Items = []fuzz.Items{{Name: "objects", Options: objects}}
}

// dutyOfUnasked looks for anything that the store acknowledged to have changed.
func dutyOfUnasked(out *scenario.Outcome) (fuzz.Duty, error) {
	changes := map[uint64]bool{}
	for r, err := range history.ReadDir(filepath.Join(out.Dir, "history")) {
		if err != nil {
			return fuzz.Duty{}, err
		}
		switch {
		case r.Phase == history.Issued && r.Verb != "get":
			changes[r.Op] = true
		case r.Phase == history.Acknowledged && changes[r.Op]:
			return fuzz.Duty{Why: "something was promised"}, nil
		}
	}
	return fuzz.Duty{Must: fuzz.NotPass, Why: "the store was asked to change nothing"}, nil
}
