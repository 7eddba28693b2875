package refstore

import (
	"sync"
	"time"
)

// bucket is the keys of one bucket under one lock. Lock order: a bucket, then
// its mirror, which has none of its own.
type bucket struct {
	Bucket
	mirror *bucket // on the backend; nil if there is none
	pinned bool    // is the mirror of others

	mu      sync.RWMutex
	gone    bool // deleted, while a request was on its way here
	keys    index
	present int64
	listed  int64
	last    string // the key that was put last through this bucket
}

// read answers get and head. The body of a get is held for the caller: under
// the lock the key holds it too, so it cannot go in between.
func (b *bucket) read(name string, op Op) Answer {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.gone {
		return Answer{Err: ErrNoSuchBucket}
	}
	_, answer := b.state(name).Step(time.Time{}, op)
	if op.Verb == Get && answer.Err == nil && answer.Version.Body != nil {
		answer.Version.Body.Hold()
	}
	return answer
}

// change does a put or a delete here and on the backend, in one step.
func (b *bucket) change(now func() time.Time, name string, op Op, told []*Telling) Answer {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.gone {
		return Answer{Err: ErrNoSuchBucket}
	}
	t := touch{bucket: b, name: name, previous: b.last, frontBucket: b.Name, frontKey: name}
	if m := b.mirror; m != nil {
		there := t
		there.bucket, there.name, there.at = m, b.Name+"/"+name, AtBackend
		if b.last != "" {
			there.previous = b.Name + "/" + b.last
		}
		m.mu.Lock()
		there.apply(now(), op, told)
		m.mu.Unlock()
	}
	answer := t.apply(now(), op, told)
	if op.Verb == Put && answer.Err == nil {
		b.last = name
	}
	return answer
}

// state is the state of a key. The caller has the lock.
func (b *bucket) state(name string) Key {
	if e := b.keys.get(name); e != nil {
		return e.key
	}
	return Key{}
}

// set makes next the state of a key. It is the one place where a bucket takes
// and gives back holds of bodies: a key holds the body of its version. The
// caller has the lock.
func (b *bucket) set(name string, next Key) {
	e := b.keys.get(name)
	var old Key
	if e != nil {
		old = e.key
	}
	if next.Version.Body != nil {
		next.Version.Body.Hold()
	}
	switch exists := next.Present || next.Ghost; {
	case exists && e != nil:
		e.key = next
	case exists:
		b.keys.insert(&entry{name, next})
	case e != nil:
		b.keys.remove(name)
	}
	if old.Version.Body != nil {
		old.Version.Body.Release()
	}
	b.present += count(next.Present) - count(old.Present)
	b.listed += count(next.Listed()) - count(old.Listed())
}

func count(is bool) int64 {
	if is {
		return 1
	}
	return 0
}

func (b *bucket) list(q ListQuery) (Listing, *Error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if b.gone {
		return Listing{}, ErrNoSuchBucket
	}
	return b.keys.list(q)
}

func (b *bucket) objects() int64 {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.present
}

// close ends a bucket whose list is empty.
func (b *bucket) close() *Error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.listed > 0 {
		return ErrBucketNotEmpty
	}
	b.gone = true
	b.keys.all(func(e *entry) {
		if e.key.Version.Body != nil {
			e.key.Version.Body.Release()
		}
	})
	b.keys = index{}
	return nil
}
