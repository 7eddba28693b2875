package report

import (
	"path"
	"slices"

	"github.com/seed-1b600011/assay/content"
	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/owed"
)

// follower selects the records of one object. Renames give a file other names,
// so the entries are gone through twice: first to learn which files ever had
// the name, then to select what names one of them. Where the history leaves
// open which file has a name, all that may have it are taken: rather a line too
// many than the one missing that explains a finding.
type follower struct {
	which  Records
	ops    map[uint64]bool // nil: no limit
	files  map[place][]uint64
	wanted map[uint64]bool     // files that ever had the name
	had    map[place]bool      // names that wanted files had
	above  map[place]bool      // the directories above those
	begun  map[opKey]selection // operations that have no end yet
}

// place is a path on a target.
type place struct{ target, path string }

// selection is what became of the beginning of an operation.
type selection struct {
	shown bool
	files []uint64 // what a rename or a link gives a name
	was   []uint64 // what had that name before
}

func newFollower(which Records) *follower {
	f := &follower{which: which, wanted: map[uint64]bool{}}
	if len(which.Ops) > 0 {
		f.ops = map[uint64]bool{}
		for _, op := range which.Ops {
			f.ops[op] = true
		}
	}
	f.again()
	return f
}

// again forgets everything but which files are wanted.
func (f *follower) again() {
	f.files, f.begun = map[place][]uint64{}, map[opKey]selection{}
	f.had, f.above = map[place]bool{}, map[place]bool{}
}

// learn notes which files have the name that is asked for.
func (f *follower) learn(e entry) {
	f.rename(e)
	if e.Phase != history.Issued && e.Phase != history.Observed {
		delete(f.begun, opKey{e.Writer, e.Op})
	}
	for _, name := range []string{e.Object, e.name} {
		if name == f.which.Object {
			for _, file := range f.files[place{e.Target, name}] {
				f.wanted[file] = true
			}
		}
	}
}

// wants reports whether the entry is shown. It must be asked of every entry.
func (f *follower) wants(e entry) bool {
	if f.which.Target != "" && e.Target != "" && e.Target != f.which.Target {
		return false
	}
	switch e.Phase {
	case history.FaultOn, history.FaultOff, history.Round, history.Checkpoint:
		return true
	}
	if f.which.Object == "" {
		return f.promised(e)
	}
	return f.concerns(e) && f.promised(e)
}

// concerns reports whether the entry is of the object, and keeps account of
// its names.
func (f *follower) concerns(e entry) bool {
	key := opKey{e.Writer, e.Op}
	before, begun := f.begun[key]
	shown := begun && before.shown || f.names(e)
	f.rename(e)
	shown = shown || f.names(e)
	switch {
	case e.Phase == history.Issued && !e.underWay:
		s := f.begun[key]
		s.shown = shown
		f.begun[key] = s
	case e.Phase != history.Observed:
		delete(f.begun, key)
	}
	return shown
}

// names reports whether the entry names the object: by a name that it may
// have, by its bytes, or as what a sync covers.
func (f *follower) names(e entry) bool {
	at := place{e.Target, e.Object}
	for _, name := range []string{e.Object, e.name} {
		if name != "" && f.isObject(place{e.Target, name}) {
			f.climb(place{e.Target, name})
			return true
		}
	}
	if e.seen != nil {
		if !e.seen.Present && f.had[at] {
			return true
		}
		key := content.ObjectID(e.Target + "/" + f.which.Object)
		for _, s := range e.seen.Spans {
			if f.wanted[s.Is.Object] || s.Is.Object == key {
				return true
			}
		}
	}
	if e.Object == "" { // the root
		at.path = "."
		return e.Verb == "syncfs" || e.Verb == "syncdir" && f.above[at]
	}
	return f.above[at]
}

// isObject reports whether the object may have this name now, or it is the one
// that is asked for.
func (f *follower) isObject(p place) bool {
	return p.path == f.which.Object || slices.ContainsFunc(f.files[p], func(file uint64) bool { return f.wanted[file] })
}

// climb notes a name of the object and the directories above: it is owed only
// with theirs.
func (f *follower) climb(p place) {
	f.had[p] = true
	for dir := path.Dir(p.path); ; dir = path.Dir(dir) {
		f.above[place{p.target, dir}] = true
		if dir == "." || dir == "/" {
			return
		}
	}
}

// promised reports whether the entry is within the operations asked for. Syncs,
// renames and what checks saw always are.
func (f *follower) promised(e entry) bool {
	if f.ops == nil || f.ops[e.Op] {
		return true
	}
	switch e.Verb {
	case "fsync", "fdatasync", "syncdir", "syncfs", "rename", "link":
		return true
	}
	return f.which.Object != "" && e.Phase == history.Observed && e.Op == 0
}

// rename keeps account of which files a path may lead to.
func (f *follower) rename(e entry) {
	at, to, key := place{e.Target, e.Object}, place{e.Target, e.name}, opKey{e.Writer, e.Op}
	switch {
	case e.underWay:
	case e.Phase == history.Observed:
		f.observed(at, e.seen)
	case e.Verb == "create":
		f.create(at, e, owed.FileID(e.Writer, e.Op))
	case e.Verb != "rename" && e.Verb != "link":
	case e.Phase == history.Issued:
		f.begun[key] = selection{files: f.files[at], was: f.files[to]}
		f.files[to] = union(f.files[to], f.files[at])
	case e.Phase == history.Refused:
		f.files[to] = f.begun[key].was
	case e.Phase == history.Acknowledged || e.Phase == history.Synced:
		f.files[to] = f.begun[key].files
		if e.Verb == "rename" && at != to {
			delete(f.files, at)
		}
	}
}

// create notes a file that comes to be. Until that is known, what was there
// before may be there still.
func (f *follower) create(at place, e entry, file uint64) {
	switch e.Phase {
	case history.Issued:
		f.files[at] = union(f.files[at], []uint64{file})
	case history.Acknowledged, history.Synced:
		f.files[at] = []uint64{file}
	case history.Refused:
		f.files[at] = slices.DeleteFunc(slices.Clone(f.files[at]), func(other uint64) bool { return other == file })
	}
}

// observed goes by what a check or a read saw at a path: a power cut may have
// undone a rename. Bytes name their file; an empty one is taken for what was
// last known.
func (f *follower) observed(at place, seen *owed.Seen) {
	switch {
	case seen == nil || seen.Err != "":
	case !seen.Present:
		delete(f.files, at)
	default:
		for _, s := range seen.Spans {
			if s.Is.Object != 0 && s.IsOff == s.From && s.Class != content.Corrupt {
				f.files[at] = []uint64{s.Is.Object}
				return
			}
		}
	}
}

func union(a, b []uint64) []uint64 {
	all := slices.Clone(a)
	for _, file := range b {
		if !slices.Contains(all, file) {
			all = append(all, file)
		}
	}
	return all
}
