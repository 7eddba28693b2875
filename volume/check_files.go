package volume

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/seed-1b600011/assay/content"
	"github.com/seed-1b600011/assay/owed"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
	"github.com/seed-1b600011/assay/volume/worker"
)

func registerFiles(r *scenario.Registry) {
	Check(r, scenario.Check{
		Name: "check-files", Doc: "reads every name and every byte below the volume's files: what was promised is there, and nothing else, and so it was whenever read-files looked",
		Controls: append(fileControls(), pressureControls()...),
	}, struct{}{}, func(ctx context.Context, v *Volume, book *owed.Book, _ struct{}) ([]verdict.Finding, error) {
		return v.checkFiles(ctx, book)
	})
}

// look is what a check found on a volume.
type look struct {
	entries []worker.Entry
	seen    map[string]owed.Seen
	found   map[string]owed.Entry
	failed  syscall.Errno // why the directory of the files cannot be read
}

const lookPause = 200 * time.Millisecond // before a second look at what is wrong

// checkFiles reads the volume and holds it against the book. What it saw goes
// into the history: the next round goes on with that.
func (v *Volume) checkFiles(ctx context.Context, book *owed.Book) ([]verdict.Finding, error) {
	first := time.Now()
	l, err := v.lookAt(ctx, book)
	if err != nil {
		return nil, err
	}
	deviations := v.deviations(book, l)
	last, stable := first, false
	if len(deviations) > 0 {
		time.Sleep(lookPause)
		v.env.Meter.Stage("second look at " + v.Name())
		again, err := v.lookAt(ctx, book)
		if err != nil {
			return nil, err
		}
		last = time.Now()
		stable = slices.EqualFunc(deviations, v.deviations(book, again), func(a, b owed.Deviation) bool {
			return a.Kind == b.Kind && a.Object == b.Object && a.From == b.From && a.To == b.To
		})
	}
	var all []verdict.Finding
	for _, d := range deviations {
		all = append(all, v.finding(d, first, last, stable))
	}
	for _, f := range v.observed(book) { // what was looked at twice tells more
		if !slices.ContainsFunc(all, func(o verdict.Finding) bool {
			return o.Kind == f.Kind && o.Object == f.Object && o.From == f.From && o.To == f.To
		}) {
			all = append(all, f)
		}
	}
	if err := v.record(book, l); err != nil {
		return all, err
	}
	return all, v.goOn(l)
}

func (v *Volume) finding(d owed.Deviation, first, last time.Time, stable bool) verdict.Finding {
	return verdict.Finding{Kind: d.Kind, Target: v.Name(), Object: d.Object, From: d.From, To: d.To,
		Promised: d.Promised, Found: d.Found, Ops: d.Ops, First: first, Last: last, Stable: stable}
}

// lookAt walks through the files and reads them, many at once.
func (v *Volume) lookAt(ctx context.Context, book *owed.Book) (*look, error) {
	w, err := v.at()
	if err != nil {
		return nil, err
	}
	l := &look{seen: map[string]owed.Seen{}, found: map[string]owed.Entry{}}
	all, errno, err := w.Walk(ctx, v.below(""))
	if err != nil {
		return nil, fmt.Errorf("walk through %s: %w", v.Name(), err)
	}
	if errno != 0 && errno != syscall.ENOENT {
		l.failed = errno
		return l, nil
	}
	top := v.below("") + "/"
	for _, e := range all {
		e.Path = e.Path[len(top):]
		l.entries = append(l.entries, e)
	}
	v.env.Meter.Enter(verdict.Judge, int64(len(l.entries)))
	return l, v.readAll(ctx, w, book, l)
}

func (v *Volume) readAll(ctx context.Context, w *worker.Worker, book *owed.Book, l *look) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	var group sync.WaitGroup
	queue := make(chan worker.Entry)
	for range v.env.Plan.Concurrency {
		group.Go(func() {
			for e := range queue {
				seen, err := v.read(ctx, w, book, e)
				if err != nil {
					cancel(err)
					continue
				}
				mu.Lock()
				l.seen[e.Path] = seen
				l.found[e.Path] = owed.Entry{Dir: e.Dir, File: v.named(book, seen)}
				mu.Unlock()
				v.env.Meter.Done(1)
			}
		})
	}
	for _, e := range l.entries {
		select {
		case queue <- e:
		case <-ctx.Done():
		}
	}
	close(queue)
	group.Wait()
	return context.Cause(ctx)
}

// read reads what is at a path.
func (v *Volume) read(ctx context.Context, w *worker.Worker, book *owed.Book, e worker.Entry) (owed.Seen, error) {
	switch {
	case e.Errno != 0:
		return owed.Seen{Present: true, Dir: e.Dir, Err: e.Errno.Error()}, nil
	case e.Dir:
		return owed.Seen{Present: true, Dir: true}, nil
	case !e.Regular:
		return owed.Seen{Present: true, Size: e.Size}, nil
	}
	flags := 0
	if v.mounted != nil {
		flags = worker.Direct // Heal has mounted it anew: there is nothing dirty that this would write back
	}
	r, errno, err := w.ReadParts(ctx, v.below(e.Path), flags, v.expected(book, e.Path))
	switch {
	case err != nil:
		return owed.Seen{}, fmt.Errorf("read %q of %s: %w", e.Path, v.Name(), err)
	case errno != 0:
		return owed.Seen{Present: true, Size: r.Size, Err: errno.Error()}, nil
	}
	return owed.Seen{Present: true, Size: r.Size, Spans: r.Spans}, nil
}

// tagsMax is how many contents a part of a file is compared with at most. All
// that is longer than content.MinPiece names itself without that.
const tagsMax = 64

// expected are the parts of the file at a path. Operations that do not end at
// the border of a sector part it: of what lies there between two borders a few
// bytes may be all, too few to name themselves.
func (v *Volume) expected(book *owed.Book, p string) (parts []worker.Part) {
	may := book.Name(v.Name(), p).Files
	var others []content.Tag // of the files that may be there besides the one named last
	var now, last []content.Tag
	end := int64(0)
	part := func(to int64) {
		parts = append(parts, worker.Part{To: to, Tags: v.atMost(now, last, others)})
		now = nil
	}
	for i, f := range may {
		if i < len(may)-1 {
			for x := range f.Extents() {
				others = v.atMost(others, v.tags(f.ID(), x.State))
			}
			continue
		}
		for x := range f.Extents() {
			if x.From%content.SectorSize != 0 {
				part(x.From)
			}
			tags := v.tags(f.ID(), x.State)
			if now == nil {
				now = tags
			}
			last, end = tags, x.To
		}
	}
	if end%content.SectorSize != 0 { // a longer one than there may be is judged too
		part(end)
	}
	part(content.MaxSize)
	return parts
}

// tags are the contents that a state allows, the newest first.
func (v *Volume) tags(id uint64, s owed.State) (all []content.Tag) {
	for _, g := range s.Generations() {
		all = append(all, v.tag(id, g))
	}
	slices.Reverse(all)
	return all
}

// atMost is the contents of all lists, each once, as many as are compared with;
// of none, one that names nobody.
func (v *Volume) atMost(lists ...[]content.Tag) (all []content.Tag) {
	for _, t := range slices.Concat(lists...) {
		if len(all) < tagsMax && !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	if len(all) == 0 {
		all = append(all, v.tag(0, 0)) // no content is allowed; whose it is shows all the same
	}
	return all
}

// named is the file that content names: the first that the book knows.
func (v *Volume) named(book *owed.Book, seen owed.Seen) uint64 {
	for _, p := range seen.Spans {
		if p.Class == content.Corrupt || p.IsOff != p.From {
			continue
		}
		if f, ok := book.File(v.Name(), p.Is.Object); ok && !f.Dir() {
			return p.Is.Object
		}
	}
	return 0
}

// deviations are all that differs from what is owed.
func (v *Volume) deviations(book *owed.Book, l *look) []owed.Deviation {
	if l.failed != 0 {
		return []owed.Deviation{{Kind: verdict.Unreadable, Target: v.Name(), Promised: "the directory of the files", Found: l.failed.Error()}}
	}
	all := book.JudgeNames(v.Name(), l.found)
	blamed := map[string]bool{}
	for _, d := range all {
		blamed[d.Object] = true
	}
	for _, e := range l.entries {
		seen := l.seen[e.Path]
		if e.Dir && seen.Err != "" {
			all = append(all, owed.Deviation{Kind: verdict.Unreadable, Target: v.Name(), Object: e.Path, Promised: "a directory", Found: seen.Err})
		}
		if !e.Dir && !blamed[e.Path] {
			all = append(all, v.judgeFile(book, e.Path, l)...)
		}
	}
	return all
}

// judgeFile judges the content of a file as what it says it is, if that may be
// there, else as what it is likest to.
func (v *Volume) judgeFile(book *owed.Book, p string, l *look) []owed.Deviation {
	if id := l.found[p].File; id != 0 {
		for _, f := range book.Name(v.Name(), p).Files {
			if f.ID() == id {
				return f.Judge(l.seen[p])
			}
		}
	}
	return book.JudgeFile(v.Name(), p, l.seen[p])
}

// record writes what was seen into the history: directories before what is in
// them, and names that are not there.
func (v *Volume) record(book *owed.Book, l *look) error {
	if l.failed != 0 {
		return nil
	}
	add := func(p string, seen owed.Seen, id uint64) error {
		r := seen.Record(id)
		r.Verb, r.Target, r.Object = "check", v.Name(), p
		return v.env.History.Append(r)
	}
	for _, e := range l.entries {
		if err := add(e.Path, l.seen[e.Path], l.found[e.Path].File); err != nil {
			return err
		}
	}
	for n := range book.Names(v.Name()) {
		if _, there := l.found[n.Path]; there {
			continue
		}
		if err := add(n.Path, owed.Seen{}, 0); err != nil {
			return err
		}
	}
	return nil
}

// foldMax is how many records a history may have before it is replaced by what
// they come to, so that a long run of rounds does not read them all each time.
const foldMax = 200_000

// goOn learns from the history, which has what was seen by now, which files
// there are: the tests of the next round go on with them.
func (v *Volume) goOn(l *look) error {
	if l.failed != 0 {
		return nil
	}
	book, err := v.env.Book()
	if err != nil {
		return err
	}
	files, dirs := map[string]*File{}, map[string]bool{}
	byInode := map[uint64]*File{}
	for _, e := range l.entries {
		if e.Dir {
			dirs[e.Path] = e.Errno == 0
			continue
		}
		may := book.Name(v.Name(), e.Path).Files
		if len(may) != 1 || may[0].Dir() || l.seen[e.Path].Err != "" {
			continue // nobody can say what it is: it is made anew
		}
		if byInode[e.Inode] == nil {
			byInode[e.Inode] = &File{v: v, id: may[0].ID(), path: e.Path, size: e.Size, generation: may[0].Generation()}
		}
		files[e.Path] = byInode[e.Inode]
	}
	v.mu.Lock()
	v.files, v.dirs = files, dirs
	v.surveyed = !slices.ContainsFunc(l.entries, func(e worker.Entry) bool { return !e.Dir && files[e.Path] == nil })
	v.mu.Unlock()
	if v.env.BookLength() > foldMax && v.env.Findings() == 0 {
		return v.env.History.Checkpoint(book.Checkpoint())
	}
	return nil
}
