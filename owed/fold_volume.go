package owed

import (
	"fmt"
	"slices"

	"github.com/seed-1b600011/assay/history"
)

func (b *Book) issueVolume(p *pending, r history.Record) error {
	t := p.target
	if p.verb.changes() || p.verb.isSync() {
		t.medium = false
	}
	switch p.verb {
	case verbWrite, verbTruncate, verbPunch, verbAllocate:
		b.issueData(p, r)
	case verbCreate, verbMkdir, verbUnlink, verbRename, verbLink:
		b.issueName(p, r)
	case verbGet:
		p.file = t.current(r.Object)
	case verbFsync, verbSyncDir:
		p.file = t.current(r.Object)
		if p.file == nil {
			p.missing = "no operation made what it syncs"
		}
	}
	return nil
}

// issueData begins an operation on the bytes of the file that the path names now.
func (b *Book) issueData(p *pending, r history.Record) {
	f := p.target.current(r.Object)
	if f == nil || f.dir {
		p.missing = "no operation made the file that it changes"
		return
	}
	w := b.newOp(p.verb, r)
	switch p.verb {
	case verbTruncate:
		w.value, w.generation, w.from, w.to = nothing, 0, r.To, forever
	case verbPunch, verbAllocate:
		w.value, w.generation = nothing, 0
	default:
		f.top = max(f.top, r.Generation)
	}
	w.name = &binding{file: f}
	w.exposed = p.target.faults > 0
	f.addData(w)
	p.ops = []*op{w}
}

func (f *file) addData(w *op) {
	if w.verb != verbAllocate { // which leaves every byte as it was
		f.data.add(w)
	}
	if w.verb == verbTruncate || extends(w) && w.from < w.to {
		f.size.add(w)
	}
	f.dirty = append(f.dirty, w)
}

// settle drops what w, now durable, has made impossible. A rename is one step:
// where one half of it is durable, so is the other.
func (w *op) settle() {
	if w.name.reg != nil {
		if other := w.name.twin; other != nil && other.waits() {
			other.durable = true
			other.settle()
		}
		w.name.reg.ops = prune(w.name.reg.ops)
		return
	}
	w.name.file.data.settle(w)
}

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

// endSync does what a sync promises, or takes back what a failed one puts in
// doubt. A sync that was acknowledged but not Synced gives no word on
// durability, and does neither.
func (b *Book) endSync(p *pending, outcome history.Phase) {
	for _, f := range p.scope() {
		switch outcome {
		case history.Synced:
			f.synced(p.issued)
		case history.Refused, history.Unknown:
			f.failed()
		}
	}
	if outcome == history.Synced && p.target.rule.FsyncNames && p.verb == verbFsync && p.file != nil {
		p.file.syncNames(p.issued)
	}
}

// synced makes durable what had returned before the sync was called.
func (f *file) synced(called int64) {
	var now []*op
	f.dirty = slices.DeleteFunc(f.dirty, func(w *op) bool {
		if w.ended < called && w.waits() {
			w.durable = true
			now = append(now, w)
		}
		return !w.mayBecomeDurable()
	})
	for _, w := range now {
		w.settle()
	}
	f.size.prune()
}

// mayBecomeDurable tells whether a later sync may still make w durable.
func (w *op) mayBecomeDurable() bool {
	return w.waits() || w.outcome == history.Issued && w.ended == forever && !w.void
}

// failed voids what a failed sync may have dropped: whatever was issued so far
// and is not durable. The kernel tells a write error once, marks the page
// clean, and the next sync succeeds and means nothing.
func (f *file) failed() {
	for _, w := range f.dirty {
		w.annul()
	}
	f.dirty = nil
}

// annul takes the promise of w back, of a rename as a whole, unless it is durable.
func (w *op) annul() {
	w.void = w.void || !w.durable
	if other := w.name.twin; other != nil {
		other.void = other.void || !other.durable
	}
}

// syncNames makes durable the names of f, and those of the directories above,
// on a file system that promises it.
func (f *file) syncNames(called int64) {
	for depth := 0; f != nil && f.number != 0 && depth < maxDepth; depth++ {
		var up *file
		for _, w := range f.bindings {
			if w.ended < called && w.waits() {
				w.durable = true
				w.settle()
			}
			if w.durable {
				up = w.name.reg.dir
			}
		}
		f = up
	}
}

// round ends what was in flight on a volume, and takes from it what its caches
// held where they were lost. A request to a bucket may still arrive, so nothing
// ends there.
func (b *Book) round(r history.Record) error {
	if r.Target == "" {
		return fmt.Errorf("a round without a target")
	}
	t := b.target(r.Target)
	t.ended(r)
	if !t.rule.volume() {
		return nil
	}
	for key, p := range b.open {
		if p.target == t {
			b.cutShort(key, p)
		}
	}
	for _, w := range t.unknown {
		w.ended = min(w.ended, b.position)
	}
	t.unknown = nil
	t.medium = r.Effect&history.Forgets != 0
	if t.medium {
		t.cut = b.position
	}
	for _, f := range t.files {
		if t.medium {
			f.failed()
		}
		f.dirty = slices.DeleteFunc(f.dirty, func(w *op) bool { return !w.mayBecomeDurable() })
	}
	return nil
}

// cutShort ends an operation of a volume that a round found under way.
func (b *Book) cutShort(key opKey, p *pending) {
	for _, w := range p.ops {
		w.ended = min(w.ended, b.position)
	}
	if p.verb.isSync() {
		for _, f := range p.scope() {
			f.doubt()
		}
	}
	delete(b.open, key)
	b.cutOff[key] = struct{}{}
}

// doubt voids what a sync that was cut short may have dropped: only a fault
// that drops what is not durable makes a sync do so.
func (f *file) doubt() {
	f.dirty = slices.DeleteFunc(f.dirty, func(w *op) bool {
		if w.exposed {
			w.annul()
		}
		return w.void
	})
}

// fault notes what the target may do from here on, and what it owed across a
// fault that has ended.
func (b *Book) fault(r history.Record) error {
	if r.Target == "" {
		return fmt.Errorf("a fault without a target")
	}
	t := b.target(r.Target)
	if r.Phase == history.FaultOff && r.Effect&history.Ends == 0 { // else its round has noted that
		t.ended(r)
	}
	if r.Effect&history.Drops == 0 {
		return nil
	}
	if r.Phase == history.FaultOff {
		t.faults = max(0, t.faults-1)
	} else {
		t.faults++
	}
	if t.faults == 0 {
		return nil
	}
	for _, f := range t.files {
		for _, w := range f.dirty {
			w.exposed = true
		}
	}
	return nil
}
