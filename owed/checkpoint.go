package owed

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/seed-1b600011/assay/history"
)

// statement is the verb of the records of a checkpoint. Each is Observed and
// restores one thing that the book knows; the first byte of Detail says what.
const statement = "owed"

const (
	isHeader    = 'h' // begins; position, start, whether anything began
	isTarget    = 't' // faults, medium, cut, and what a Stake counts
	isFile      = 'f' // number, flags, highest generation
	isObject    = 'k' // Generation: the highest; Object: the key
	isPending   = 'p' // an operation that has not ended
	isOp        = 'o' // an operation that still counts
	isDeviation = 'd' // JSON of a Deviation
	isSurvived  = 's' // JSON of a Survived
	isCutOff    = 'c' // an operation that a round ended
)

// Flags of an operation in a checkpoint.
const (
	opDurable = 1 << iota
	opVoid
	opExposed
	opPending  // has not ended: belongs to the pending of the same number
	opOnData   // on the bytes of the file
	opOnSize   // on its size
	opOnName   // on a name
	opDetached // only told of by the other half of a rename, which is
	opMoves    // the half of a rename that takes the old name away
	opContested
)

// Checkpoint gives the records that fold to an equal book: one for each
// operation that may still matter, and one for each file, target and operation
// under way. history.Writer.Checkpoint writes them. They are in the order in
// which they must be read; the book must not change meanwhile.
func (b *Book) Checkpoint() iter.Seq[history.Record] {
	return func(yield func(history.Record) bool) {
		e := emitter{b: b, yield: yield}
		e.emit(history.Record{At: b.start}, isHeader, uint64(b.position), uint64(b.start), bit(b.started, 1))
		for _, name := range slices.Sorted(maps.Keys(b.targets)) {
			e.target(b.targets[name])
		}
		for _, k := range slices.SortedFunc(maps.Keys(b.cutOff), compareKeys) {
			e.emit(history.Record{Op: k.id, Writer: k.writer}, isCutOff)
		}
		for _, d := range b.deviations {
			e.json(history.Record{}, isDeviation, d)
		}
	}
}

func compareKeys(a, b opKey) int {
	return cmp.Or(cmp.Compare(a.writer, b.writer), cmp.Compare(a.id, b.id))
}

// emitter writes the statements of a checkpoint until the reader has enough.
type emitter struct {
	b     *Book
	yield func(history.Record) bool
	done  bool
}

func (e *emitter) record(r history.Record) {
	r.Phase, r.Verb = history.Observed, statement
	e.done = e.done || !e.yield(r)
}

func (e *emitter) emit(r history.Record, kind byte, numbers ...uint64) {
	if e.done {
		return
	}
	r.Detail = []byte{kind}
	for _, n := range numbers {
		r.Detail = binary.AppendUvarint(r.Detail, n)
	}
	e.record(r)
}

// json emits what is strings and numbers.
func (e *emitter) json(r history.Record, kind byte, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("owed: %T has no JSON: %v", v, err))
	}
	r.Detail = append([]byte{kind}, text...)
	e.record(r)
}

func bit(is bool, flag uint64) uint64 {
	if is {
		return flag
	}
	return 0
}

func (e *emitter) target(t *target) {
	e.emit(history.Record{Target: t.name}, isTarget, uint64(t.faults), bit(t.medium, 1), uint64(t.cut),
		uint64(t.lines), uint64(t.answered))
	for _, s := range t.survived {
		e.json(history.Record{Target: t.name}, isSurvived, s)
	}
	for _, f := range t.files {
		if f != t.root {
			e.emit(history.Record{Target: t.name}, isFile, f.number, bit(f.dir, 1)|bit(f.strange, 2), uint64(f.top))
		}
	}
	pending := map[*op]bool{}
	open := slices.SortedFunc(maps.Keys(e.b.open), compareKeys)
	for _, k := range open {
		p := e.b.open[k]
		if p.target != t {
			continue
		}
		for _, w := range p.ops {
			pending[w] = true
		}
		e.pending(t, k, p)
	}
	for _, key := range slices.Sorted(maps.Keys(t.objects)) {
		if e.done {
			return
		}
		e.object(t, key, t.objects[key], pending)
	}
	e.volume(t, pending)
}

func (e *emitter) pending(t *target, k opKey, p *pending) {
	r := history.Record{Target: t.name, Op: k.id, Writer: k.writer}
	for name, o := range t.objects {
		if o == p.object {
			r.Object = name
		}
	}
	var file uint64
	if p.file != nil {
		file = p.file.number
	}
	e.emit(r, isPending, uint64(p.verb), uint64(p.issued), uint64(p.threshold),
		bit(p.object != nil, 1)|bit(p.file != nil, 2)|bit(p.missing != "", 4), file)
}

func (e *emitter) object(t *target, key string, o *object, pending map[*op]bool) {
	var top uint32
	for _, w := range o.ops {
		top = max(top, w.generation)
		e.op(t, key, w, bit(pending[w], opPending), nil)
	}
	if top != o.top || len(o.ops) == 0 {
		e.emit(history.Record{Target: t.name, Object: key, Generation: o.top}, isObject)
	}
}

// volume tells the operations on the files of t in the order of their issue,
// of a rename the new name first.
func (e *emitter) volume(t *target, pending map[*op]bool) {
	flags := map[*op]uint64{}
	for _, f := range t.files {
		for _, reg := range f.entries {
			for _, w := range reg.ops {
				flags[w] |= opOnName
			}
		}
		for _, chunk := range f.data.chunks {
			for _, x := range chunk {
				for _, w := range x.ops {
					flags[w] |= opOnData
				}
			}
		}
		for _, w := range f.size.ops {
			flags[w] |= opOnSize
		}
	}
	for w := range maps.Clone(flags) {
		if w.name == nil || w.name.reg == nil {
			continue
		}
		if other := w.name.twin; other != nil && flags[other] == 0 {
			flags[other] = opDetached // a sync of its directory still counts for w
		}
	}
	for w := range pending {
		if w.name != nil && flags[w] == 0 { // superseded before it ended: it must still be known when it ends
			flags[w] = opDetached
		}
	}
	for w := range flags {
		if w.name != nil && w.name.moved() != nil {
			flags[w] |= opMoves
		}
	}
	ops := slices.SortedFunc(maps.Keys(flags), func(a, b *op) int {
		return cmp.Or(cmp.Compare(a.issued, b.issued), cmp.Compare(flags[a]&opMoves, flags[b]&opMoves),
			cmp.Compare(a.from, b.from), cmp.Compare(a.id, b.id))
	})
	for _, w := range ops {
		if w.verb == verbOther || w.name == nil {
			continue // the original state, which every register has anyway
		}
		e.op(t, "", w, flags[w]|bit(pending[w], opPending), w.name)
	}
}

func (e *emitter) op(t *target, object string, w *op, flags uint64, n *binding) {
	r := history.Record{Target: t.name, Object: object, Op: w.id, Writer: w.writer, At: w.began,
		From: w.from, To: w.to, Generation: w.generation}
	flags |= bit(w.durable, opDurable) | bit(w.void, opVoid) | bit(w.exposed, opExposed) | bit(w.contested, opContested)
	numbers := []uint64{flags, uint64(w.verb), uint64(w.value), uint64(w.outcome), uint64(w.issued), uint64(w.ended),
		uint64(w.began), uint64(w.over)}
	if n != nil {
		var file, dir uint64
		if n.file != nil {
			file = n.file.number
		}
		if n.reg != nil {
			r.Object, dir = n.reg.base, n.reg.dir.number
		}
		numbers = append(numbers, bit(n.file != nil, 1)|bit(n.reg != nil, 2), file, dir)
	}
	if w.contested {
		numbers = append(numbers, uint64(w.sealed))
	}
	e.emit(r, isOp, numbers...)
}

// restore takes a statement of a checkpoint back in.
func (b *Book) restore(r history.Record) error {
	d := decoder{b: r.Detail}
	var err error
	switch kind := d.byte(); kind {
	case isHeader:
		b.reset()
		b.position, b.start, b.started = int64(d.uvarint()), time.Duration(d.uvarint()), false
		b.started = d.uvarint() != 0
	case isTarget:
		t := b.target(r.Target)
		t.faults, t.medium, t.cut = int(d.uvarint()), d.uvarint() != 0, int64(d.uvarint())
		t.lines, t.answered = int64(d.uvarint()), int64(d.uvarint())
	case isFile:
		err = b.restoreFile(r, &d)
	case isObject:
		o := b.target(r.Target).object(r.Object)
		o.top = max(o.top, r.Generation)
	case isPending:
		err = b.restorePending(r, &d)
	case isOp:
		err = b.restoreOp(r, &d)
	case isDeviation:
		var v Deviation
		err = json.Unmarshal(d.b, &v)
		b.deviations, d.b = append(b.deviations, v), nil
	case isSurvived:
		var v Survived
		err = json.Unmarshal(d.b, &v)
		t := b.target(r.Target)
		t.survived, d.b = append(t.survived, v), nil
	case isCutOff:
		b.cutOff[opKey{r.Op, r.Writer}] = struct{}{}
	default:
		return fmt.Errorf("a checkpoint's record of unknown kind %q", kind)
	}
	if err == nil && (d.bad || len(d.b) > 0) {
		err = fmt.Errorf("a checkpoint's record is damaged")
	}
	return err
}

func (b *Book) restoreFile(r history.Record, d *decoder) error {
	t := b.target(r.Target)
	number, flags, top := d.uvarint(), d.uvarint(), d.uvarint()
	if t.root == nil {
		return fmt.Errorf("a file in a bucket")
	}
	f := t.newFile(number, flags&1 != 0)
	f.strange, f.top = flags&2 != 0, uint32(top)
	return nil
}

func (t *target) byID(number uint64) *file {
	if number == 0 {
		return t.root
	}
	return t.byNumber[number]
}

func (b *Book) restorePending(r history.Record, d *decoder) error {
	t := b.target(r.Target)
	p := &pending{target: t, verb: verb(d.uvarint()), issued: int64(d.uvarint()), threshold: int64(d.uvarint())}
	flags, number := d.uvarint(), d.uvarint()
	if flags&1 != 0 && t.objects != nil {
		p.object = t.object(r.Object)
		if p.verb == verbGet {
			p.object.readers++
		}
	}
	if flags&2 != 0 {
		p.file = t.byID(number)
	}
	if flags&4 != 0 {
		p.missing = "no operation made what it is about"
	}
	b.open[opKey{r.Op, r.Writer}] = p
	p.beginSync()
	return nil
}

func (b *Book) restoreOp(r history.Record, d *decoder) error {
	t := b.target(r.Target)
	flags := d.uvarint()
	w := &op{verb: verb(d.uvarint()), value: value(d.uvarint()), outcome: history.Phase(d.uvarint()),
		issued: int64(d.uvarint()), ended: int64(d.uvarint()), began: time.Duration(d.uvarint()), over: time.Duration(d.uvarint()),
		id: r.Op, writer: r.Writer, from: r.From, to: r.To, generation: r.Generation,
		durable: flags&opDurable != 0, void: flags&opVoid != 0, exposed: flags&opExposed != 0}
	if flags&opPending != 0 {
		p := b.open[opKey{r.Op, r.Writer}]
		if p == nil {
			return fmt.Errorf("a checkpoint's operation belongs to none under way")
		}
		p.ops = append(p.ops, w)
	} else if w.outcome == history.Unknown && w.ended == forever {
		t.unknown = append(t.unknown, w)
	}
	if t.objects != nil {
		o := t.object(r.Object)
		o.ops, o.top = append(o.ops, w), max(o.top, r.Generation)
		return nil
	}
	has, file, dir := d.uvarint(), d.uvarint(), d.uvarint()
	w.name = &binding{}
	if has&1 != 0 {
		w.name.file = t.byID(file)
	}
	if has&2 != 0 {
		f := t.byID(dir)
		if f == nil || !f.dir {
			return fmt.Errorf("a checkpoint's name lies in no directory")
		}
		w.name.reg = f.entry(r.Object)
	} else if w.name.file == nil || w.name.file.dir {
		return fmt.Errorf("a checkpoint's operation is on no file")
	}
	if flags&opContested != 0 {
		w.contested, w.sealed = true, int64(d.uvarint())
		w.home().contest(w)
	}
	b.place(t, w, flags)
	return nil
}

// place puts a restored operation where it belongs.
func (b *Book) place(t *target, w *op, flags uint64) {
	reg, f := w.name.reg, w.name.file
	dirty := f
	if reg != nil {
		dirty = reg.dir
		if w.verb == verbRename && f != nil {
			if t.renames == nil {
				t.renames = map[int64]*op{}
			}
			t.renames[w.issued] = w
		}
		if flags&opMoves != 0 {
			if there := t.renames[w.issued]; there != nil {
				w.name.twin, there.name.twin = there, w
			}
		}
	}
	if flags&opOnName != 0 {
		reg.add(w)
		reg.ops = prune(reg.ops)
	}
	if flags&opOnData != 0 {
		f.data.add(w)
	}
	if flags&opOnSize != 0 {
		f.size.add(w) // not pruned: what hides it may have to wait for what comes next
	}
	if w.mayBecomeDurable() && !w.durable {
		dirty.dirty = append(dirty.dirty, w)
	}
}
