package owed

import (
	"path"
	"slices"
	"strings"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/seed"
)

// file is a file or a directory. It keeps its identity whatever its names.
type file struct {
	number  uint64 // FileID of what made it; 0: the root
	dir     bool
	strange bool // found by a check, made by nobody: nothing is owed of it
	top     uint32

	bindings  []*op   // that gave it a name and may still count
	dirty     []*op   // not durable: of a file those on its data, of a directory those on the names in it
	contested []*op   // durable by a word that may be taken back, in the order in which it was given
	syncs     []int64 // of this file alone, under way: where they were issued, in order

	data extents
	size sizes

	entries map[string]*register // of a directory
}

// register is a name in a directory.
type register struct {
	dir  *file
	base string
	ops  []*op
}

// binding is what an operation does: to the name reg, which then names file
// (nil: nothing); or, without reg, to the data of file.
type binding struct {
	reg  *register
	file *file
	twin *op // of one half of a rename, the other
}

// moved is the half that gives the new name, of the half of a rename that
// takes the old one away; nil of anything else.
func (n *binding) moved() *op {
	if n.file != nil {
		return nil
	}
	return n.twin
}

// FileID is the number of the file or directory that an operation (create or
// mkdir) makes, from its history.Record. It serves as content.Tag.Object of
// what is written to the file, which so keeps its identity under any name.
func FileID(writer uint32, operation uint64) uint64 {
	return seed.Seed(0).For("file").Index(uint64(writer)).At(operation)
}

func (t *target) newFile(number uint64, dir bool) *file {
	f := &file{number: number, dir: dir}
	if dir {
		f.entries = map[string]*register{}
	} else {
		f.data, f.size = newExtents(), newSizes()
	}
	t.files = append(t.files, f)
	t.byNumber[number] = f
	return f
}

// steps are the names along a path; none for the root.
func steps(p string) []string {
	p = strings.TrimPrefix(path.Clean("/"+p), "/")
	if p == "" {
		return nil
	}
	return strings.Split(p, "/")
}

// current is what the path names as far as the writer of an operation can
// tell: of each name, what the last operation that was not refused made of it.
// A name taken away before a cut, and not durably, may be there again.
func (t *target) current(p string) *file {
	f := t.root
	for _, name := range steps(p) {
		if f == nil || !f.dir {
			return nil
		}
		f = f.entries[name].current(t.cut)
	}
	return f
}

func (r *register) current(cut int64) *file {
	if r == nil {
		return nil
	}
	for _, w := range slices.Backward(r.ops) {
		switch {
		case w.outcome == history.Refused:
		case w.name.file != nil:
			return w.name.file
		case w.durable, w.returned() && w.issued > cut:
			return nil
		}
	}
	return nil
}

// register is the register that the path names, nil without its directory.
func (t *target) register(p string) *register {
	names := steps(p)
	if len(names) == 0 {
		return nil
	}
	last := len(names) - 1
	dir := t.current(strings.Join(names[:last], "/"))
	if dir == nil || !dir.dir {
		return nil
	}
	return dir.entry(names[last])
}

func (f *file) entry(name string) *register {
	r := f.entries[name]
	if r == nil {
		first := original()
		r = &register{dir: f, base: strings.Clone(name)}
		first.name = &binding{reg: r}
		r.ops = []*op{first}
		f.entries[r.base] = r
	}
	return r
}

// issueName begins an operation on names.
func (b *Book) issueName(p *pending, r history.Record) {
	t := p.target
	reg := t.register(r.Object)
	if reg == nil {
		p.missing = "no operation made the directory of its name"
		return
	}
	switch p.verb {
	case verbCreate, verbMkdir:
		b.bind(p, r, reg, t.newFile(FileID(r.Writer, r.Op), p.verb == verbMkdir))
	case verbUnlink:
		b.bind(p, r, reg, nil)
	case verbLink, verbRename:
		f, to := reg.current(t.cut), t.register(string(r.Detail))
		switch {
		case f == nil:
			p.missing = "no operation made the file that it names"
		case to == nil:
			p.missing = "no operation made the directory of its new name"
		case f.dir && (p.verb == verbLink || to.dir.inside(f)):
			p.missing = "a directory has one name, and not in itself"
		case p.verb == verbLink:
			b.bind(p, r, to, f)
		case to.current(t.cut) == f:
			// Renaming to another name of the same file does nothing.
		default:
			away := b.bind(p, r, reg, nil)
			there := b.bind(p, r, to, f)
			away.name.twin, there.name.twin = there, away
		}
	}
}

// bind adds to a name the operation that makes it name f, or nothing.
func (b *Book) bind(p *pending, r history.Record, reg *register, f *file) *op {
	w := b.newOp(p.verb, r)
	w.from, w.to, w.generation = 0, 0, 0
	if f == nil {
		w.value = nothing
	}
	w.name = &binding{reg: reg, file: f}
	w.exposed = p.target.faults > 0
	reg.add(w)
	reg.dir.dirty = append(reg.dir.dirty, w)
	p.ops = append(p.ops, w)
	return w
}

func (r *register) add(w *op) {
	r.ops = append(r.ops, w)
	f := w.name.file
	if f == nil {
		return
	}
	f.bindings = slices.DeleteFunc(f.bindings, func(old *op) bool {
		return !slices.Contains(old.name.reg.ops, old)
	})
	f.bindings = append(f.bindings, w)
}

// lastPath is the path that f was last made or moved to.
func (f *file) lastPath() string {
	var names []string
	for f.number != 0 && len(f.bindings) > 0 && len(names) < maxDepth {
		r := f.bindings[len(f.bindings)-1].name.reg
		names = append(names, r.base)
		f = r.dir
	}
	slices.Reverse(names)
	return strings.Join(names, "/")
}

// maxDepth is how deep directories may lie in each other.
const maxDepth = 64

// walk looks for the paths of files. After lost renames, directories may be
// told to lie in each other in many ways; a walk gives up after so many steps,
// and what depends on it is then not judged.
type walk struct{ left int }

const walkMax = 1 << 14

// paths are the paths under which f may be found; below are the directories
// on the way.
func (k *walk) paths(f *file, below []*file) []string {
	if f.number == 0 {
		return []string{""}
	}
	if slices.Contains(below, f) || len(below) > maxDepth {
		return nil
	}
	below = append(below, f)
	var out []string
	for _, w := range f.bindings {
		if k.left--; k.left < 0 {
			return nil
		}
		if !slices.Contains(allowed(w.name.reg.ops), w) {
			continue
		}
		for _, dir := range k.paths(w.name.reg.dir, below) {
			if p := path.Join(dir, w.name.reg.base); !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
	}
	return out
}

// paths are the paths under which f may be found, none if they are too many to tell.
func (f *file) paths() []string {
	k := walk{walkMax}
	out := k.paths(f, nil)
	if k.left < 0 {
		return nil
	}
	return out
}

// inside tells whether f lies in the directory dir, as its writers see it.
func (f *file) inside(dir *file) bool {
	for range maxDepth {
		if f == dir {
			return true
		}
		if f.number == 0 || len(f.bindings) == 0 {
			return false
		}
		f = f.bindings[len(f.bindings)-1].name.reg.dir
	}
	return true
}

// presence answers which files must be there. It remembers what it found, so
// that a long chain of renames is walked once. While an answer is being looked
// for it counts as yes: a file that renames lead round in a circle never left it.
type presence struct {
	held map[*op]bool
	dirs map[*file]bool
}

func newPresence() *presence {
	return &presence{held: map[*op]bool{}, dirs: map[*file]bool{}}
}

// owed tells whether f must be found under one of its paths, by the promise w:
// a firm name, in a directory that must be there too, that nothing but renames
// may have taken from it.
func (s *presence) owed(f *file) (w *op, ok bool) {
	for _, w := range f.bindings {
		if w.firm() && slices.Contains(w.name.reg.ops, w) && s.holds(w) && s.surely(w.name.reg.dir) {
			return w, true
		}
	}
	return nil, false
}

// surely tells whether a directory must be there, wherever it is.
func (s *presence) surely(dir *file) bool {
	if dir.number == 0 {
		return true
	}
	if yes, known := s.dirs[dir]; known {
		return yes
	}
	s.dirs[dir] = true
	_, yes := s.owed(dir)
	s.dirs[dir] = yes
	return yes
}

// holds tells whether the file that w gave a name is under some name ever
// since: all that may have changed the name after w are renames of the file,
// each to a name that holds it in turn.
func (s *presence) holds(w *op) bool {
	if yes, known := s.held[w]; known {
		return yes
	}
	s.held[w] = true
	yes := true
	for _, x := range w.name.reg.ops {
		if x == w || x.ended < w.issued || x.name.file == w.name.file {
			continue
		}
		m := x.name.moved()
		if m == nil || m.name.file != w.name.file || !s.holds(m) || !s.surely(m.name.reg.dir) {
			yes = false
			break
		}
	}
	s.held[w] = yes
	return yes
}
