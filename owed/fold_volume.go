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
	p.beginSync()
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
	if p.verb == verbWrite && len(r.Detail) > 0 {
		p.file = f
	}
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

// mayBecomeDurable tells whether a later sync may still make w durable.
func (w *op) mayBecomeDurable() bool {
	return w.waits() || w.outcome == history.Issued && w.ended == forever && !w.void
}

// syncNames makes durable the names of f, and those of the directories above,
// on a file system that promises it.
func (b *Book) syncNames(t *target, f *file, called int64) {
	for depth := 0; f != nil && f.number != 0 && depth < maxDepth; depth++ {
		var up *file
		for _, w := range f.bindings {
			if w.ended < called && w.waits() {
				t.seal(w, b.position)
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
			f.failed(forever)
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
	p.interrupt()
	delete(b.open, key)
	b.cutOff[key] = struct{}{}
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
