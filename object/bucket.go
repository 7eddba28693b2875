package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/seed-1b600011/assay/content"
	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/owed"
	"github.com/seed-1b600011/assay/scenario"
)

// Bucket is a live bucket. Every operation on it goes into the history before
// it begins and again when it has ended. Its methods may be called by several
// goroutines at once. They return an error only if a test cannot go on: what
// the store refuses or leaves open is in the history, and no error.
type Bucket struct {
	name    string // in the plan
	real    string // of the store; the history's target
	env     *scenario.Env
	client  Client
	backend *Backend     // that it is kept on; nil: the store itself
	store   *store       // where it is
	gone    func() error // crosses the bucket off the ledger
	have    present
	deletes deletes
	short   shortTags
	judged  judged
}

// Name is the bucket's name in the plan.
func (b *Bucket) Name() string { return b.name }

// Target is what the history calls it: its name in the store.
func (b *Bucket) Target() string { return b.real }

// Rule is what buckets promise: what was acknowledged is owed, whole.
func (b *Bucket) Rule() owed.Rule { return owed.Rule{} }

// Real is the bucket's name in the store, which no other run uses.
func (b *Bucket) Real() string { return b.real }

// Client is the client that the bucket's operations go through. What is done
// with it directly is not in the history.
func (b *Bucket) Client() Client { return b.client }

// Tag is the content of one generation of an object.
func (b *Bucket) Tag(key string, generation uint32) content.Tag {
	return content.Tag{Seed: uint64(b.env.Plan.Draw("content")), Object: content.ObjectID(b.real + "/" + key), Generation: generation}
}

// Put stores a generation of an object.
func (b *Bucket) Put(ctx context.Context, o Object) error {
	tag := b.Tag(o.Key, o.Generation)
	if o.Size < content.MinPiece {
		b.short.add(o.Key, tag)
	}
	done, err := b.do(ctx, history.Record{Verb: "put", Object: o.Key, To: o.Size, Generation: o.Generation}, o.Size, func(ctx context.Context) error {
		return b.client.Put(ctx, b.real, o.Key, b.store.sending(content.NewReader(tag, o.Size)), o.Size)
	})
	if done {
		b.have.put(o.Index)
	}
	return err
}

// Ensure puts the object unless this run has put it before.
func (b *Bucket) Ensure(ctx context.Context, o Object) error {
	if b.have.has(o.Index) {
		return nil
	}
	return b.Put(ctx, o)
}

// Delete deletes an object. A store that answers that there is none, of an
// object that nothing can have taken away, is reported.
func (b *Bucket) Delete(ctx context.Context, o Object) error {
	there := b.have.has(o.Index)
	b.have.drop(o.Index)
	_, err := b.do(ctx, history.Record{Verb: "delete", Object: o.Key}, 0, func(ctx context.Context) error {
		ours := b.deletes.begin(o.Index)
		err := b.client.Delete(ctx, b.real, o.Key)
		if only := b.deletes.end(o.Index, ours, phaseOf(err) == history.Unknown); only && there && Absent(err) {
			b.refused(ctx, "delete of an object that was put and that nothing had deleted", err)
		}
		return err
	})
	return err
}

// do is one operation that changes the bucket; done: the store acknowledged it.
func (b *Bucket) do(ctx context.Context, r history.Record, size int64, request func(context.Context) error) (done bool, err error) {
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	l, err := b.store.pass(ctx)
	if err != nil {
		return false, err
	}
	r.Target = b.real
	op, err := b.env.History.Begin(r)
	if err != nil {
		return false, errors.Join(err, b.passed(ctx, l, nil))
	}
	began := time.Now()
	failure := request(ctx)
	took := time.Since(began)
	ended := phaseOf(failure)
	err = b.env.History.Append(history.Record{Op: op, Phase: ended, Detail: detail(failure)})
	away := b.passed(ctx, l, failure)
	if err != nil {
		return false, err
	}
	if failure != nil {
		size = 0 // how much of it has moved is not known
		b.refused(ctx, r.Verb, failure)
	}
	b.env.Meter.Operation(ctx, ended, size, took)
	return failure == nil, away
}

func detail(err error) []byte {
	if err == nil {
		return nil
	}
	return []byte(err.Error())
}

// passed ends the leave of an operation. While a fault is on nothing is held
// against the store.
func (b *Bucket) passed(ctx context.Context, l leave, failure error) error {
	if failure != nil && b.env.FaultsOn() > 0 {
		b.store.pardoned(l)
		return nil
	}
	return b.store.passed(ctx, l, failure)
}

// refused counts an operation that the store did not do, by what it said
// instead.
func (b *Bucket) refused(ctx context.Context, what string, failure error) {
	var e *Error
	if ctx.Err() == nil && errors.As(failure, &e) {
		b.env.Meter.Refused(what+": "+e.Answer(), e.said())
	}
}

// Get reads an object while tests run and writes what it saw into the
// history, where a check finds it. What it saw of an answer that was not
// complete is not written: it shows nothing of the object.
func (b *Bucket) Get(ctx context.Context, o Object) error {
	l, err := b.store.pass(ctx)
	if err != nil {
		return err
	}
	op, err := b.env.History.Begin(history.Record{Verb: "get", Target: b.real, Object: o.Key})
	if err != nil {
		return errors.Join(err, b.passed(ctx, l, nil))
	}
	began := time.Now()
	seen, failure := b.view().read(ctx, o.Key, b.Tag(o.Key, o.Generation), nil)
	took := time.Since(began)
	r := history.Record{Op: op, Phase: history.Unknown, Verb: "get", Target: b.real, Object: o.Key, Detail: detail(failure)}
	if failure == nil {
		r = seen.Record(content.ObjectID(b.real + "/" + o.Key))
		r.Op, r.Verb, r.Target, r.Object = op, "get", b.real, o.Key
	} else {
		b.refused(ctx, "get", failure)
	}
	err = b.env.History.Append(r)
	if failure == nil && err == nil {
		err = b.env.History.Append(history.Record{Op: op, Phase: history.Acknowledged})
	}
	away := b.passed(ctx, l, failure)
	if err != nil {
		return err
	}
	b.env.Meter.Operation(ctx, r.Phase, seen.Size, took)
	return away
}

// List reads one page of the listing. It is load: what a listing must show is
// judged by check-list, when nothing else goes on.
func (b *Bucket) List(ctx context.Context, after string, limit int) error {
	l, err := b.store.pass(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	_, _, failure := b.client.List(ctx, b.real, after, limit)
	took := time.Since(began)
	ended := history.Observed
	if failure != nil {
		ended = phaseOf(failure)
		b.refused(ctx, "list", failure)
	}
	away := b.passed(ctx, l, failure)
	b.env.Meter.Operation(ctx, ended, 0, took)
	return away
}

// Heal waits for the store to answer. One that does not is for the checks to
// tell: what reads have seen before is judged all the same.
func (b *Bucket) Heal(ctx context.Context) error {
	err := b.store.ask(ctx, "get", false, func(ctx context.Context) error {
		body, _, err := b.client.Get(ctx, b.real, "assay-probe-"+machine.Token())
		if err == nil {
			body.Close()
		}
		return err
	})
	if isAway(err) || Absent(err) {
		return nil
	}
	return err
}

// Close deletes the bucket with all that is in it, or leaves it where the run
// keeps its targets.
func (b *Bucket) Close(ctx context.Context) error {
	var err error
	if !b.env.Keep && b.store.outlives() {
		err = empty(ctx, b.store.standing, b.client, b.real)
	}
	if err == nil {
		err = b.gone()
	}
	return errors.Join(err, b.store.release(ctx))
}

// view is a place at which the bucket's objects can be looked at: the bucket
// itself, or what its backend holds.
type view struct {
	bucket *Bucket
	client Client
	real   string // the bucket looked at
	prefix string // what stands before every key there
	at     *standing
}

func (b *Bucket) view() view {
	return view{bucket: b, client: b.client, real: b.real, at: b.store.standing}
}

// read gets an object and classifies its bytes, streamed. want is the
// content to expect, also what else is possible. An answer that is not
// complete, or is none of the store's about the object, is an error.
func (v view) read(ctx context.Context, key string, want content.Tag, also []content.Tag) (owed.Seen, error) {
	answered, size, err := v.client.Get(ctx, v.real, v.prefix+key)
	if Absent(err) {
		return owed.Seen{}, nil
	}
	if err != nil {
		return owed.Seen{}, err
	}
	defer answered.Close()
	seen := owed.Seen{Present: true, Size: size}
	if size < content.MinPiece {
		return v.readShort(answered, seen, key, want, also)
	}
	c := content.NewClassifier(0, want, also...)
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	n, err := io.CopyBuffer(onlyWriter{c}, v.at.receiving(answered), *buffer)
	seen.Spans = c.Sum()
	if err == nil && n < size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return seen, &Error{Doing: "get " + v.real + "/" + key, Err: fmt.Errorf("after %d of %d bytes: %w", n, size, err)}
	}
	return seen, nil
}

// readShort reads an object too short to name itself whole before it compares
// it: by then every put that it may come from is in the list of short tags.
func (v view) readShort(body io.Reader, seen owed.Seen, key string, want content.Tag, also []content.Tag) (owed.Seen, error) {
	b, err := io.ReadAll(body)
	if err == nil && int64(len(b)) < seen.Size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return seen, &Error{Doing: "get " + v.real + "/" + key, Err: err}
	}
	also = append(also[:len(also):len(also)], v.bucket.short.of(key)...)
	seen.Spans = content.Classify(nil, b, 0, want, also...)
	return seen, nil
}

// onlyWriter keeps io.CopyBuffer to the pooled buffer.
type onlyWriter struct{ io.Writer }

var buffers = sync.Pool{New: func() any { b := make([]byte, 128<<10); return &b }}
