package owed

import (
	"cmp"
	"math"
	"slices"

	"github.com/seed-1b600011/assay/history"
)

// syncs reports whether p gives its word on durability, or takes one back: a
// sync, or a write that syncs itself (O_DSYNC, O_SYNC).
func (p *pending) syncs() bool { return p.verb.isSync() || p.verb == verbWrite && p.file != nil }

// scope gives the files and directories that the sync p covers.
func (p *pending) scope() []*file {
	if p.verb == verbSyncFS {
		return p.target.files
	}
	if p.file == nil {
		return nil
	}
	return []*file{p.file}
}

// underway is the list that the sync p is in until it ends.
func (p *pending) underway() *[]int64 {
	if p.verb == verbSyncFS {
		return &p.target.syncs
	}
	return &p.file.syncs
}

// beginSync makes p one of the syncs under way.
func (p *pending) beginSync() {
	if p.syncs() && (p.verb == verbSyncFS || p.file != nil) {
		list := p.underway()
		i, _ := slices.BinarySearch(*list, p.issued)
		*list = slices.Insert(*list, i, p.issued)
	}
}

// leaveSync takes p from the syncs under way.
func (p *pending) leaveSync() {
	if p.verb != verbSyncFS && p.file == nil {
		return
	}
	list := p.underway()
	if i, is := slices.BinarySearch(*list, p.issued); is {
		*list = slices.Delete(*list, i, i+1)
	}
}

// oldestSync is where the oldest sync under way that covers f was issued.
func (t *target) oldestSync(f *file) int64 {
	oldest := int64(math.MaxInt64)
	for _, list := range [][]int64{t.syncs, f.syncs} {
		if len(list) > 0 {
			oldest = min(oldest, list[0])
		}
	}
	return oldest
}

// endSync does what a sync promises, or takes back what a failed one puts in
// doubt. A sync that was acknowledged but not Synced gives no word on
// durability, and does neither.
func (b *Book) endSync(p *pending, outcome history.Phase) {
	t := p.target
	p.leaveSync()
	for _, f := range p.scope() {
		switch outcome {
		case history.Synced:
			if p.verb.isSync() {
				t.synced(f, p.issued, b.position)
			}
		case history.Refused, history.Unknown:
			f.failed(p.issued)
		}
		t.release(f)
	}
	if outcome == history.Synced && t.rule.FsyncNames && p.verb == verbFsync && p.file != nil {
		b.syncNames(t, p.file, p.issued)
	}
}

// interrupt ends p with the round. A sync may have got the error that another
// one, of the same time, then did not get.
func (p *pending) interrupt() {
	if !p.syncs() {
		return
	}
	p.leaveSync()
	for _, f := range p.scope() {
		f.doubt(p.issued)
		p.target.release(f)
	}
}

// synced makes durable what had returned before the sync was called.
func (t *target) synced(f *file, called, now int64) {
	var sealed []*op
	f.dirty = slices.DeleteFunc(f.dirty, func(w *op) bool {
		if w.ended < called && w.waits() {
			sealed = append(sealed, w)
		}
		return !w.mayBecomeDurable() || w.ended < called && w.waits()
	})
	for _, w := range sealed {
		t.seal(w, now)
	}
	f.size.prune()
}

// seal makes w durable, by the word of a sync that ended now. A rename is one
// step: where one half of it is durable, so is the other. As long as another
// sync that covers w is under way the word is contested: Linux reports a failed
// write-back once per open file description, so of two syncs at a time only one
// may get the error, and the other may end first, without it.
func (t *target) seal(w *op, now int64) {
	halves := []*op{w}
	if other := w.name.twin; other != nil && other.waits() {
		halves = append(halves, other)
	}
	for _, half := range halves {
		half.durable, half.sealed = true, now
		if home := half.home(); t.oldestSync(home) < now {
			half.contested = true
			home.contested = append(home.contested, half)
		}
	}
	for _, half := range halves {
		half.settle()
	}
}

// home is the file whose sync makes w durable: of a name, its directory.
func (w *op) home() *file {
	if w.name.reg != nil {
		return w.name.reg.dir
	}
	return w.name.file
}

// settle drops what w makes impossible, if it stands.
func (w *op) settle() {
	switch {
	case !w.stands():
	case w.name.reg != nil:
		w.name.reg.ops = prune(w.name.reg.ops)
	default:
		w.name.file.data.settle(w)
	}
}

// stands reports whether w survives a power cut and nothing that is under way
// can take that back.
func (w *op) stands() bool {
	if !w.durable || w.contested {
		return false
	}
	return w.name == nil || w.name.twin == nil || !w.name.twin.contested
}

// release makes stand what no sync of f that is under way contests any more.
func (t *target) release(f *file) {
	oldest := t.oldestSync(f)
	n := 0
	for n < len(f.contested) && f.contested[n].sealed < oldest {
		n++
	}
	if n == 0 {
		return
	}
	free := f.contested[:n]
	f.contested = slices.Clone(f.contested[n:])
	for _, w := range free {
		w.contested = false
	}
	for _, w := range free {
		w.settle()
		if other := w.name.twin; other != nil {
			other.settle()
		}
	}
	f.size.prune()
}

// failed voids what a failed sync may have dropped: whatever was issued so far
// and is not durable. The kernel reports a write error once, marks the page
// clean, and the next sync succeeds and means nothing. So does one that ended
// since the failed one was called: what it made durable is void too.
func (f *file) failed(called int64) {
	for _, w := range f.dirty {
		w.annul()
	}
	f.dirty = nil
	f.retract(called, func(*op) bool { return true })
}

// retract voids what was sealed since a sync was called, if which says so.
func (f *file) retract(called int64, which func(*op) bool) {
	f.contested = slices.DeleteFunc(f.contested, func(w *op) bool {
		if w.sealed < called || !which(w) {
			return false
		}
		w.durable, w.void, w.contested = false, true, false
		if other := w.name.twin; other != nil {
			other.durable, other.void = false, true
		}
		return true
	})
}

// annul takes the promise of w back, of a rename as a whole, unless it is durable.
func (w *op) annul() {
	w.void = w.void || !w.durable
	if other := w.name.twin; other != nil {
		other.void = other.void || !other.durable
	}
}

// doubt voids what a sync that was cut short may have dropped: only a fault
// that drops what is not durable makes a sync do so.
func (f *file) doubt(called int64) {
	f.dirty = slices.DeleteFunc(f.dirty, func(w *op) bool {
		if w.exposed {
			w.annul()
		}
		return w.void
	})
	f.retract(called, func(w *op) bool { return w.exposed })
}

// contest puts w, which a checkpoint restores, among what is contested.
func (f *file) contest(w *op) {
	i, _ := slices.BinarySearchFunc(f.contested, w.sealed, func(x *op, at int64) int { return cmp.Compare(x.sealed, at) })
	f.contested = slices.Insert(f.contested, i, w)
}
