package owed

import (
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/seed-1b600011/assay/content"
	"github.com/seed-1b600011/assay/history"
)

// object is the register of one key of a bucket. A million of them are kept at
// once, so it holds no more than judging needs.
type object struct {
	ops     []*op
	top     uint32 // the highest generation that was ever issued
	readers int32  // gets under way: what they may see is not pruned
}

func (t *target) object(name string) *object {
	o := t.objects[name]
	if o == nil {
		o = &object{}
		t.objects[name] = o
	}
	return o
}

// history gives the operations of o with the original absence, which is not
// stored, as most objects soon lose it.
func (o *object) history() []*op { return append([]*op{original()}, o.ops...) }

// prune drops what nobody can see any more.
func (o *object) prune() {
	if o.readers == 0 {
		o.ops = slices.Clip(prune(o.ops))
	}
}

func (b *Book) issueBucket(p *pending, r history.Record) {
	switch p.verb {
	case verbPut, verbDelete:
		w := b.newOp(p.verb, r)
		if p.verb == verbDelete {
			w.value, w.from, w.to = nothing, 0, 0
		}
		o := p.target.object(r.Object)
		o.ops = append(o.ops, w)
		o.top = max(o.top, r.Generation)
		p.ops, p.object = []*op{w}, o
	case verbGet:
		o := p.target.object(r.Object)
		o.readers++
		p.object, p.threshold = o, threshold(o.ops)
	}
}

// read judges what a get saw, which must be something that was allowed when it
// was issued, or was issued since. What it proves is that an operation without
// an answer took effect.
func (b *Book) read(r history.Record) error {
	if verbOf(r.Verb) != verbGet {
		return nil // a list, say: judged by a check that knows all of it
	}
	p := b.open[opKey{r.Op, r.Writer}]
	if p == nil {
		return fmt.Errorf("it sees something but is not under way")
	}
	if p.verb != verbGet {
		return nil
	}
	seen, err := SeenIn(r)
	if err != nil {
		return err
	}
	if seen.Err != "" {
		return nil // no promise covers an error while faults are on
	}
	if p.object == nil {
		b.readFile(p, r.Object, seen)
		return nil
	}
	o := p.object
	legal := endingFrom(o.history(), p.threshold)
	s := b.stateOfObject(p.target, r.Object, o, legal)
	if found := s.Judge(seen); len(found) > 0 {
		b.deviations = append(b.deviations, found...)
		return nil
	}
	if w := s.only(legal, seen); w != nil && !w.returned() {
		w.outcome, w.over, w.ended, w.durable = history.Observed, r.At, b.position, true
	}
	return nil
}

// checkedObject narrows an object to what a check saw.
func (b *Book) checkedObject(t *target, r history.Record, seen Seen) {
	if seen.Err != "" {
		return
	}
	o := t.object(r.Object)
	legal := allowed(o.history())
	s := b.stateOfObject(t, r.Object, o, legal)
	p := &op{issued: b.position, ended: b.position, began: r.At, over: r.At, id: r.Op, writer: r.Writer,
		to: seen.Size, verb: verbCheck, outcome: history.Observed, durable: true}
	switch generation, whole := seen.generation(s.id); {
	case len(s.Judge(seen)) == 0:
		w := s.only(legal, seen)
		if w == nil {
			w = s.newest(legal, seen)
		} else if w.ended != 0 {
			o.ops = slices.DeleteFunc(o.ops, func(x *op) bool { return x == w })
		}
		p.evidence(w)
		p.value, p.generation, p.to = w.value, w.generation, w.to
	case !seen.Present:
		p.value, p.to = nothing, 0
	case whole:
		p.generation = generation
		o.top = max(o.top, generation)
	default:
		p.value = anything
	}
	o.ops = append(o.ops, p)
	o.prune()
}

// evidence makes p, a look at what w did, tell of w, if anybody did it.
func (p *op) evidence(w *op) {
	if w.verb == verbOther {
		return
	}
	p.id, p.writer, p.began, p.over, p.verb = w.id, w.writer, w.began, w.over, w.verb
	if w.ended == forever {
		p.over = 0
	}
}

// Objects are the keys of the bucket that any operation ever named, by name.
func (b *Book) Objects(target string) iter.Seq[string] {
	t := b.targets[target]
	if t == nil {
		return func(func(string) bool) {}
	}
	return slices.Values(slices.Sorted(maps.Keys(t.objects)))
}

// Object is what the bucket owes under a key. A key that no operation named
// may only be absent.
func (b *Book) Object(bucket, name string) State {
	t := b.targets[bucket]
	if t == nil {
		t = &target{name: bucket}
	}
	o := t.objects[name]
	if o == nil {
		o = &object{}
	}
	return b.stateOfObject(t, name, o, allowed(o.history()))
}

func (b *Book) stateOfObject(t *target, name string, o *object, legal []*op) State {
	s := State{Target: t.name, Object: name, whole: true, mayTear: t.rule.MayTear, top: o.top,
		id: content.ObjectID(t.name + "/" + name), start: b.start, book: b}
	s.allow(legal)
	return s
}

// Owner tells whose content the object of a content.Tag is: of a bucket, that
// of the key with content.ObjectID(target + "/" + key); of a volume, that of
// the file with this FileID, by the path it was last made or moved to. The
// first call for a target builds an index.
func (b *Book) Owner(target string, id uint64) (name string, ok bool) {
	t := b.targets[target]
	if t == nil {
		return "", false
	}
	b.indexing.Lock()
	defer b.indexing.Unlock()
	if t.owner == nil {
		t.owner = make(map[uint64]string, len(t.objects)+len(t.files))
		for key := range t.objects {
			t.owner[content.ObjectID(target+"/"+key)] = key
		}
		for _, f := range t.files {
			t.owner[f.number] = f.lastPath()
		}
	}
	name, ok = t.owner[id]
	return name, ok
}
