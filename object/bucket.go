package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-1b600011/assay/content"
	"github.com/seed-1b600011/assay/history"
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
	short   shortTags
	failing atomic.Int64 // requests since the store last acknowledged one
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
		return b.client.Put(ctx, b.real, o.Key, content.NewReader(tag, o.Size), o.Size)
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

// Delete deletes an object.
func (b *Bucket) Delete(ctx context.Context, o Object) error {
	b.have.drop(o.Index)
	_, err := b.do(ctx, history.Record{Verb: "delete", Object: o.Key}, 0, func(ctx context.Context) error {
		return b.client.Delete(ctx, b.real, o.Key)
	})
	return err
}

// do is one operation that changes the bucket; done: the store acknowledged it.
func (b *Bucket) do(ctx context.Context, r history.Record, size int64, request func(context.Context) error) (done bool, err error) {
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	r.Target = b.real
	op, err := b.env.History.Begin(r)
	if err != nil {
		return false, err
	}
	began := time.Now()
	failure := request(ctx)
	took := time.Since(began)
	ended := phaseOf(failure)
	if err := b.env.History.Append(history.Record{Op: op, Phase: ended, Detail: detail(failure)}); err != nil {
		return false, err
	}
	b.env.Meter.Operation(ctx, ended, size, took)
	return failure == nil, b.patience(ctx, failure)
}

func detail(err error) []byte {
	if err == nil {
		return nil
	}
	return []byte(err.Error())
}

// maxFailing is how many requests in a row may fail while no fault is on
// before a test gives up: the store is gone, and the rest would only take time.
const maxFailing = 64

func (b *Bucket) patience(ctx context.Context, failure error) error {
	if failure == nil || b.env.FaultsOn() > 0 {
		b.failing.Store(0)
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := b.store.dead(); err != nil {
		return err
	}
	if n := b.failing.Add(1); n >= maxFailing {
		return fmt.Errorf("the last %d requests to %s failed, and no fault is on: %w", n, b.store.place, failure)
	}
	return nil
}

// Get reads an object while tests run and writes what it saw into the
// history, where a check finds it.
func (b *Bucket) Get(ctx context.Context, o Object) error {
	op, err := b.env.History.Begin(history.Record{Verb: "get", Target: b.real, Object: o.Key})
	if err != nil {
		return err
	}
	began := time.Now()
	seen, failure := b.view().read(ctx, o.Key, b.Tag(o.Key, o.Generation), nil)
	took := time.Since(began)
	r := history.Record{Op: op, Phase: history.Unknown, Verb: "get", Target: b.real, Object: o.Key, Detail: detail(failure)}
	if failure == nil {
		r = seen.Record(content.ObjectID(b.real + "/" + o.Key))
		r.Op, r.Verb, r.Target, r.Object = op, "get", b.real, o.Key
	}
	if err := b.env.History.Append(r); err != nil {
		return err
	}
	if failure == nil {
		if err := b.env.History.Append(history.Record{Op: op, Phase: history.Acknowledged}); err != nil {
			return err
		}
	}
	b.env.Meter.Operation(ctx, r.Phase, seen.Size, took)
	return b.patience(ctx, failure)
}

// List reads one page of the listing. It is load: what a listing must show is
// judged by check-list, when nothing else goes on.
func (b *Bucket) List(ctx context.Context, after string, limit int) error {
	began := time.Now()
	_, _, failure := b.client.List(ctx, b.real, after, limit)
	ended := history.Observed
	if failure != nil {
		ended = phaseOf(failure)
	}
	b.env.Meter.Operation(ctx, ended, 0, time.Since(began))
	return b.patience(ctx, failure)
}

// Heal waits for nothing: a store is reachable again once its faults are off.
func (b *Bucket) Heal(context.Context) error { return b.store.dead() }

// Close deletes the bucket with all that is in it, or leaves it where the run
// keeps its targets.
func (b *Bucket) Close(ctx context.Context) error {
	var err error
	if !b.env.Keep && b.store.outlives() {
		err = empty(ctx, b.client, b.real)
	}
	if err == nil {
		err = b.gone()
	}
	return errors.Join(err, b.store.release(ctx))
}

// empty deletes a bucket and everything in it. One that is not there is no error.
func empty(ctx context.Context, c Client, bucket string) error {
	for {
		page, more, err := c.List(ctx, bucket, "", 1000)
		if Absent(err) {
			return nil
		}
		if err != nil {
			return err
		}
		keys := make([]string, len(page))
		for i, o := range page {
			keys[i] = o.Key
		}
		if len(keys) > 0 {
			if err := c.DeleteMany(ctx, bucket, keys); err != nil {
				return err
			}
		}
		if !more {
			break
		}
	}
	if err := c.DeleteBucket(ctx, bucket); err != nil && !Absent(err) {
		return err
	}
	return nil
}

// view is a place at which the bucket's objects can be looked at: the bucket
// itself, or what its backend holds.
type view struct {
	bucket *Bucket
	client Client
	real   string // the bucket looked at
	prefix string // what stands before every key there
}

func (b *Bucket) view() view { return view{bucket: b, client: b.client, real: b.real} }

// read gets an object and classifies its bytes, streamed. want is the
// content to expect, also what else is possible. A body that ends early or
// breaks is what was seen of it; no answer at all is an error.
func (v view) read(ctx context.Context, key string, want content.Tag, also []content.Tag) (owed.Seen, error) {
	body, size, err := v.client.Get(ctx, v.real, v.prefix+key)
	if Absent(err) {
		return owed.Seen{}, nil
	}
	if err != nil {
		return owed.Seen{}, err
	}
	defer body.Close()
	seen := owed.Seen{Present: true, Size: size}
	if size < content.MinPiece {
		return v.readShort(body, seen, key, want, also)
	}
	c := content.NewClassifier(0, want, also...)
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	n, err := io.CopyBuffer(onlyWriter{c}, onlyReader{body}, *buffer)
	seen.Spans = c.Sum()
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

// onlyReader and onlyWriter keep io.CopyBuffer to the pooled buffer.
type onlyReader struct{ io.Reader }
type onlyWriter struct{ io.Writer }

var buffers = sync.Pool{New: func() any { b := make([]byte, 128<<10); return &b }}

// present is the set of object indexes that this run has put.
type present struct {
	mu   sync.RWMutex
	bits []uint64
}

func (p *present) put(i int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for int64(len(p.bits)) <= i/64 {
		p.bits = append(p.bits, 0)
	}
	p.bits[i/64] |= 1 << (i % 64)
}

func (p *present) drop(i int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i/64 < int64(len(p.bits)) {
		p.bits[i/64] &^= 1 << (i % 64)
	}
}

func (p *present) has(i int64) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return i/64 < int64(len(p.bits)) && p.bits[i/64]>>(i%64)&1 != 0
}

// shortTags has, for every object that was put with a body too short to name
// itself, all the contents that were put.
type shortTags struct {
	mu    sync.Mutex
	byKey map[string][]content.Tag
}

func (s *shortTags) add(key string, t content.Tag) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byKey == nil {
		s.byKey = map[string][]content.Tag{}
	}
	s.byKey[key] = append(s.byKey[key], t)
}

func (s *shortTags) of(key string) []content.Tag {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byKey[key][:len(s.byKey[key]):len(s.byKey[key])]
}
