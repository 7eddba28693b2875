package volume

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/scenario/fuzz"
)

// What plants have to know of a history is read here once more, as simply as it
// can be and without package owed: whether every file of the plan is whole, of
// one generation, and synced, and nothing else is under way. Anything that is
// not as simple as that is not decided.

// told is what a history says of the one volume of a plant.
type told struct {
	files   map[string]*toldFile
	odd     string // what is too much for this oracle
	cut     bool   // power failed; what came later is not looked at
	changed int    // operations acknowledged that change something
	synced  int    // operations that promise that something is durable
}

// toldFile is a file as its operations tell of it.
type toldFile struct {
	created, named bool
	generation     uint32 // the newest
	written        int64  // bytes of it
	under          int    // writes without an end
	version        int    // grows with each write
	unsynced       int    // writes that no sync has covered
}

// begun is an operation that has begun.
type begun struct {
	history.Record
	versions map[string]int // of each file, for a sync
	named    []string       // for a sync of a directory: what had been created
}

// tell reads the history of a run up to its first power cut.
func tell(out *scenario.Outcome) (*told, error) {
	t := &told{files: map[string]*toldFile{}}
	open := map[uint64]*begun{}
	for r, err := range history.ReadDir(filepath.Join(out.Dir, "history")) {
		if err != nil {
			return nil, err
		}
		switch r.Phase {
		case history.Round:
			if r.Verb != powerCutName {
				t.odd = "a round ended by " + r.Verb
			}
			t.cut = true
			t.underWay(open)
			return t, nil
		case history.Issued:
			open[r.Op] = t.begin(r)
		case history.Acknowledged, history.Synced:
			if b := open[r.Op]; b != nil {
				t.end(b, r.Phase == history.Synced)
				delete(open, r.Op)
			}
		case history.Refused, history.Unknown:
			if b := open[r.Op]; b != nil && b.Verb != "get" && b.Verb != probeVerb {
				t.odd = fmt.Sprintf("%s of %s was %v", b.Verb, b.Object, r.Phase)
			}
			delete(open, r.Op)
		}
	}
	t.underWay(open)
	return t, nil
}

func (t *told) underWay(open map[uint64]*begun) {
	for _, b := range open {
		if b.Verb != "get" && b.Verb != probeVerb {
			t.odd = b.Verb + " is under way"
		}
	}
}

func (t *told) file(p string) *toldFile {
	if t.files[p] == nil {
		t.files[p] = &toldFile{}
	}
	return t.files[p]
}

func (t *told) begin(r history.Record) *begun {
	b := &begun{Record: r}
	switch r.Verb {
	case "create", "get", probeVerb:
	case "write":
		f := t.file(r.Object)
		f.under++
		f.version++
		if r.Generation > f.generation {
			f.generation, f.written = r.Generation, 0
		}
	case "fsync", "fdatasync", "syncfs":
		b.versions = map[string]int{}
		for p, f := range t.files {
			if f.under == 0 && (r.Verb == "syncfs" || p == r.Object) {
				b.versions[p] = f.version
			}
			if f.created && r.Verb == "syncfs" {
				b.named = append(b.named, p)
			}
		}
	case "syncdir":
		for p, f := range t.files {
			if f.created && filepath.Dir(p) == filepath.Join(r.Object, ".") {
				b.named = append(b.named, p)
			}
		}
	default:
		t.odd = r.Verb
	}
	return b
}

func (t *told) end(b *begun, synced bool) {
	if b.Verb != "get" && b.Verb != probeVerb {
		t.changed++
	}
	if synced {
		t.synced++
	}
	switch b.Verb {
	case "create":
		t.file(b.Object).created = true
	case "write":
		f := t.file(b.Object)
		f.under--
		if b.Generation == f.generation {
			f.written += b.To - b.From
		}
		if !synced {
			f.unsynced++
		}
	}
	if !synced {
		return
	}
	for p, version := range b.versions {
		if f := t.files[p]; f.version == version {
			f.unsynced = 0
		}
	}
	for _, p := range b.named {
		t.files[p].named = true
	}
}

// firm says why not every file of the plan is whole and synced; empty: all are.
func (t *told) firm(p *scenario.Plan) string {
	size := int64(p.Files.Size.Max)
	switch {
	case t.odd != "":
		return t.odd
	case p.Files.Size.Min != p.Files.Size.Max || size%plantBlock != 0 || size == 0:
		return "files of odd sizes"
	case int64(len(t.files)) != int64(p.Files.Count):
		return "not all files were written"
	}
	for _, f := range t.files {
		if !f.created || !f.named || f.under != 0 || f.unsynced != 0 || f.written != size {
			return "not all files are whole and synced"
		}
	}
	return ""
}

// dutyOfNothing is that of a run that promised nothing.
func dutyOfNothing(out *scenario.Outcome) (fuzz.Duty, error) {
	if slices.ContainsFunc(out.Plan.Tests, func(u scenario.TestUse) bool { return u.Test.Name == "exec" }) {
		return fuzz.Duty{Why: "commands promise by themselves"}, nil
	}
	t, err := tell(out)
	switch {
	case err != nil:
		return fuzz.Duty{}, err
	case t.changed == 0:
		return fuzz.Duty{Must: fuzz.NotPass, Why: "nothing was changed that could be lost"}, nil
	case t.cut && t.synced == 0 && out.Rounds <= 2:
		return fuzz.Duty{Must: fuzz.NotPass, Why: "nothing had been synced when the power failed"}, nil
	}
	return fuzz.Duty{Why: "something was promised"}, nil
}
