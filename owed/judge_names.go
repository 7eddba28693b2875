package owed

import (
	"fmt"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/verdict"
)

// Name is what a volume owes under one path.
type Name struct {
	Path        string
	MayBeAbsent bool
	Files       []File // that may be there, the likeliest at the end: the one named last, but for names that were refused
	State       State  // the same with its evidence, for a finding; Generations mean nothing here

	ever []*file // that were ever there, as far as the book still knows
	held bool    // some operation used the name
}

// Entry is what a check found under a path.
type Entry struct {
	Dir  bool
	File uint64 // the FileID that its content names; 0: it has none that tells
}

// Name is what the volume owes under a path. Where a directory above may have
// several names, or be absent, so may what is in it.
func (b *Book) Name(volume, p string) Name { return b.name(volume, p, nil) }

// name is Name, given what was found: a directory that is there is no reason
// for what is in it to be absent.
func (b *Book) name(volume, p string, found map[string]Entry) Name {
	n := Name{Path: path.Join(steps(p)...)}
	n.State = State{Target: volume, Object: n.Path, whole: true, naming: true, start: b.start}
	t := b.targets[volume]
	names := steps(p)
	if t == nil || t.root == nil || len(names) == 0 {
		n.MayBeAbsent = t == nil || t.root == nil
		return n
	}
	dirs := []*file{t.root}
	var legal []*op
	for i, base := range names {
		if i > 0 && found[path.Join(names[:i]...)].Dir {
			n.MayBeAbsent = false
		}
		legal = nil
		n.ever, n.held = nil, false
		for _, dir := range dirs {
			reg := dir.entries[base]
			if reg == nil {
				n.MayBeAbsent = true
				continue
			}
			n.held = n.held || len(reg.ops) > 1 || reg.ops[0].verb != verbOther
			for _, w := range reg.ops {
				if w.name.file != nil {
					n.ever = append(n.ever, w.name.file)
				}
			}
			legal = append(legal, allowed(reg.ops)...)
		}
		dirs = nil
		for _, w := range legal {
			f := w.name.file
			switch {
			case f == nil:
				n.MayBeAbsent = true
			case i == len(names)-1:
				n.Files = withNew(n.Files, File{b, t, f, n.Path, w.outcome == history.Refused})
			case f.dir:
				if !slices.Contains(dirs, f) {
					dirs = append(dirs, f)
				}
			default:
				n.MayBeAbsent = true // a file where a directory would have to be
			}
		}
	}
	n.State.allow(legal)
	if len(legal) == 0 {
		n.MayBeAbsent = true
		n.State.allow([]*op{original()})
	}
	return n
}

// withNew adds f to the files that may be there, after those less likely.
func withNew(files []File, f File) []File {
	i := slices.IndexFunc(files, func(have File) bool { return have.file == f.file })
	if i >= 0 {
		f.refused = f.refused && files[i].refused
		files = slices.Delete(files, i, i+1)
	}
	if !f.refused {
		return append(files, f)
	}
	i = slices.IndexFunc(files, func(have File) bool { return !have.refused })
	if i < 0 {
		i = len(files)
	}
	return slices.Insert(files, i, f)
}

// Names gives every path that some operation used and that may, by what is
// owed of the directories above, exist; by path.
func (b *Book) Names(volume string) iter.Seq[Name] {
	return func(yield func(Name) bool) {
		t := b.targets[volume]
		if t == nil || t.root == nil {
			return
		}
		all := map[string]bool{}
		u := under{all: all, left: underMax, above: map[*file]bool{}}
		u.walk(t.root, "")
		for _, p := range slices.Sorted(maps.Keys(all)) {
			if !yield(b.Name(volume, p)) {
				return
			}
		}
	}
}

// under collects the paths below a directory.
type under struct {
	all   map[string]bool
	above map[*file]bool // on the way, so that directories that may lie in each other end the walk
	left  int
}

// underMax is how many directories are walked, each under each of its paths.
const underMax = 1 << 22

func (u *under) walk(f *file, prefix string) {
	if u.left--; u.left < 0 || u.above[f] || len(u.above) > maxDepth {
		return
	}
	u.above[f] = true
	for base, reg := range f.entries {
		p := path.Join(prefix, base)
		u.all[p] = true
		for _, w := range allowed(reg.ops) {
			if d := w.name.file; d != nil && d.dir && len(d.entries) > 0 {
				u.walk(d, p)
			}
		}
	}
	delete(u.above, f)
}

// File gives the file with this number.
func (b *Book) File(volume string, id uint64) (File, bool) {
	t := b.targets[volume]
	if t == nil || t.byNumber[id] == nil {
		return File{}, false
	}
	f := t.byNumber[id]
	return File{book: b, target: t, file: f, path: f.lastPath()}, true
}

// Extents gives the ranges of the file that the path names, the one named last
// where several are possible.
func (b *Book) Extents(volume, p string) iter.Seq[Extent] {
	files := b.Name(volume, p).Files
	if len(files) == 0 {
		return func(func(Extent) bool) {}
	}
	return files[len(files)-1].Extents()
}

// JudgeFile judges a file's content by the path it was found under: as the one
// that it deviates least from, among those that may be there. One that was refused
// may be what was found, but is no promise to hold that against.
func (b *Book) JudgeFile(volume, p string, seen Seen) []Deviation {
	var best []Deviation
	for _, f := range slices.Backward(b.Name(volume, p).Files) {
		d := f.Judge(seen)
		if len(d) == 0 {
			return nil
		}
		if best == nil || len(d) < len(best) && !f.refused {
			best = d
		}
	}
	return best
}

// JudgeNames judges the names of a volume. found has every path in it, the
// root left out. A file that was only ever renamed must be under one of its
// names; a directory that must not be there is named once, not with all in it.
func (b *Book) JudgeNames(volume string, found map[string]Entry) []Deviation {
	t := b.targets[volume]
	if t == nil || t.root == nil {
		return nil
	}
	var out []Deviation
	blamed := map[string]bool{}
	blame := func(n Name, kind verdict.Kind, what string) {
		d := n.State.deviations()
		d.add(kind, 0, 0, what)
		out = append(out, d.list...)
		blamed[n.Path] = true
	}
	for n := range b.Names(volume) {
		if _, there := found[n.Path]; there {
			continue
		}
		if n = b.name(volume, n.Path, found); !n.MayBeAbsent {
			blame(n, verdict.Lost, "no such name")
		}
	}
	for _, p := range slices.Sorted(maps.Keys(found)) {
		if n := b.Name(volume, p); !blamedAbove(blamed, n.Path) {
			if kind, what := n.judge(t, found[p]); kind != "" {
				blame(n, kind, what)
			}
		}
	}
	out = append(out, b.judgeHalves(t, found, blamed)...)
	return append(out, b.judgePresence(t, found, blamed)...)
}

// judgeHalves finds renames that took effect by half: the file has its new
// name, which nothing else can have given it, and its old name too.
func (b *Book) judgeHalves(t *target, found map[string]Entry, blamed map[string]bool) (out []Deviation) {
	for _, f := range t.files[1:] {
		for _, there := range f.bindings {
			away := there.name.twin
			if away == nil || !soleBinding(there, f) || rebound(away, f) {
				continue
			}
			was, is := away.name.reg.path(), there.name.reg.path()
			if was == "" || is == "" || blamed[was] || blamedAbove(blamed, was) || !f.surelyIs(found, was) || !f.surelyIs(found, is) {
				continue
			}
			st := State{Target: t.name, Object: was, whole: true, naming: true, start: b.start}
			st.allow([]*op{there})
			d := st.deviations()
			d.blank.Promised = fmt.Sprintf("either %s or %s: %s", was, is, d.blank.Promised)
			d.add(verdict.Resurrected, 0, 0, "both names")
			out = append(out, d.list...)
		}
	}
	return out
}

// soleBinding tells whether w is what gives f its name, if f has that name.
func soleBinding(w *op, f *file) bool {
	legal := allowed(w.name.reg.ops)
	for _, x := range legal {
		if x != w && x.name.file == f {
			return false
		}
	}
	return slices.Contains(legal, w)
}

// rebound tells whether anything may have given f the name again that away took.
func rebound(away *op, f *file) bool {
	for _, x := range away.name.reg.ops {
		if x.name.file == f && x.ended > away.issued {
			return true
		}
	}
	return false
}

// path is where the name is, empty if that is not certain.
func (r *register) path() string {
	dirs := r.dir.paths()
	if len(dirs) != 1 {
		return ""
	}
	return path.Join(dirs[0], r.base)
}

func (f *file) surelyIs(found map[string]Entry, p string) bool {
	e, there := found[p]
	return there && e.Dir == f.dir && e.File == f.number
}

func blamedAbove(blamed map[string]bool, p string) bool {
	for p != "." && p != "" {
		if p = path.Dir(p); blamed[p] {
			return true
		}
	}
	return false
}

// judge judges what was found under a name; the empty kind is legal.
func (n Name) judge(t *target, e Entry) (kind verdict.Kind, what string) {
	what = "a file"
	if e.Dir {
		what = "a directory"
	}
	if len(n.Files) == 0 {
		if n.held {
			return verdict.Resurrected, what
		}
		return verdict.Corrupt, what + " that nobody made"
	}
	like := false
	for _, f := range n.Files {
		if f.file.strange || f.file.dir == e.Dir && (e.File == 0 || e.File == f.file.number) {
			return "", ""
		}
		like = like || f.file.dir == e.Dir
	}
	if !like {
		return verdict.Corrupt, what
	}
	if f := t.byNumber[e.File]; f != nil {
		what = "the file once made as " + f.lastPath()
		if slices.Contains(n.ever, f) {
			return verdict.Stale, what
		}
		return verdict.Misdirected, what
	}
	return "", "" // content that names nobody's file is judged as content
}

// judgePresence finds files that must be under one of several names and are
// under none.
func (b *Book) judgePresence(t *target, found map[string]Entry, blamed map[string]bool) (out []Deviation) {
	s := newPresence()
	for _, f := range t.files[1:] {
		w, owed := s.owed(f)
		if !owed || f.strange {
			continue
		}
		paths := f.paths()
		if len(paths) == 0 || slices.ContainsFunc(paths, func(p string) bool { return f.mayBe(found, p) || blamed[p] || blamedAbove(blamed, p) }) {
			continue
		}
		slices.Sort(paths)
		st := State{Target: t.name, Object: paths[0], whole: true, naming: true, start: b.start}
		st.allow([]*op{w})
		d := st.deviations()
		d.blank.Promised = fmt.Sprintf("a file under %s: %s", strings.Join(paths, " or "), d.blank.Promised)
		d.add(verdict.Lost, 0, 0, "none of these names has it")
		out = append(out, d.list...)
	}
	return out
}

// mayBe tells whether what was found under p may be f.
func (f *file) mayBe(found map[string]Entry, p string) bool {
	e, there := found[p]
	return there && e.Dir == f.dir && (e.File == 0 || e.File == f.number)
}
