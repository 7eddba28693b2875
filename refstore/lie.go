package refstore

import (
	"fmt"
	"math"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-1b600011/assay/seed"
)

// Where a lie damages an object that a bucket keeps on a backend.
const (
	AtStore   = ""        // what the store serves; "store" is the same
	AtBackend = "backend" // what the backend holds; the store itself stays right
)

// Lie is damage that a store does to what it acknowledged. It is done at rest:
// a request that the lie touches leaves a wrong state behind, which stays when
// the lie is over, until the key is written again.
//
// Of the requests that a lie could touch, in the order in which the store
// carries them out, number n is touched if n is at least AfterRequests, fewer
// than Count were touched, and draw n of Seed says so. A request that the kind
// has no power over (a stale put of a new key, say) is not among them.
type Lie struct {
	Kind          Kind      `json:"kind"`
	At            string    `json:"at,omitempty"`             // AtStore or AtBackend
	Bucket        string    `json:"bucket,omitempty"`         // of the store; empty: any
	Key           string    `json:"key,omitempty"`            // pattern of path.Match over the whole key; empty: any
	Probability   float64   `json:"probability,omitempty"`    // 0 to 1; 0 means 1
	Count         int64     `json:"count,omitempty"`          // how many requests; 0: no limit
	AfterRequests int64     `json:"after_requests,omitempty"` // how many requests that it could touch it lets pass first
	Seed          seed.Seed `json:"seed"`
}

// check tells what is wrong with l, and gives it with its defaults.
func (l Lie) check() (Lie, error) {
	if l.At == "store" {
		l.At = AtStore
	}
	if l.Probability == 0 {
		l.Probability = 1
	}
	_, known := bends(l.Kind)
	_, pattern := path.Match(l.Key, "")
	switch {
	case !known:
		return l, fmt.Errorf("refstore: lie %q: want one of %v", l.Kind, Kinds())
	case l.At != AtStore && l.At != AtBackend:
		return l, fmt.Errorf("refstore: lie at %q: want store or backend", l.At)
	case pattern != nil:
		return l, fmt.Errorf("refstore: lie about keys %q: %w", l.Key, pattern)
	case math.IsNaN(l.Probability) || l.Probability < 0 || l.Probability > 1:
		return l, fmt.Errorf("refstore: lie with probability %v: want 0 to 1", l.Probability)
	case l.Count < 0 || l.AfterRequests < 0:
		return l, fmt.Errorf("refstore: lie with count %d after %d requests: want no negative number", l.Count, l.AfterRequests)
	}
	return l, nil
}

// keysTold is how many keys a Telling remembers.
const keysTold = 16

// Telling is a lie being told. Safe for concurrent use.
type Telling struct {
	lie  Lie
	bend bend
	home *lies

	mu      sync.Mutex
	over    bool
	could   int64 // requests that it could have touched
	touched int64
	keys    []string
}

// Touched is how many requests the lie has touched, and the first 16 keys that
// it damaged: with a swap both keys of a request.
func (t *Telling) Touched() (int64, []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.touched, slices.Clone(t.keys)
}

// Stop ends the lie. What it has damaged stays so. Once it has returned, no
// request is touched any more.
func (t *Telling) Stop() {
	t.mu.Lock()
	t.over = true
	t.mu.Unlock()
	t.home.remove(t)
}

// takes counts one more request that the lie could touch, and tells whether
// it does and which draw of the seed is its.
func (t *Telling) takes(keys ...string) (uint64, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		return 0, false
	}
	n := t.could
	t.could++
	if n < t.lie.AfterRequests || t.lie.Count > 0 && t.touched >= t.lie.Count {
		return 0, false
	}
	if !t.lie.Seed.For("touch").Chance(uint64(n), t.lie.Probability) {
		return 0, false
	}
	t.touched++
	for _, key := range keys {
		if len(t.keys) < keysTold && !slices.Contains(t.keys, key) {
			t.keys = append(t.keys, key)
		}
	}
	return uint64(n), true
}

// lies are those that a store is telling. Reading them takes no lock.
type lies struct {
	mu  sync.Mutex
	all atomic.Pointer[[]*Telling]
}

func (l *lies) now() []*Telling {
	if all := l.all.Load(); all != nil {
		return *all
	}
	return nil
}

func (l *lies) add(t *Telling) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := append(slices.Clone(l.now()), t)
	l.all.Store(&all)
}

func (l *lies) remove(t *Telling) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.DeleteFunc(slices.Clone(l.now()), func(o *Telling) bool { return o == t })
	l.all.Store(&all)
}

// Lie begins to tell a lie. Of several, the one that was begun first and
// touches a request has it to itself; those begun later do not count it.
func (s *Store) Lie(l Lie) (*Telling, error) {
	l, err := l.check()
	if err != nil {
		return nil, err
	}
	b, _ := bends(l.Kind)
	t := &Telling{lie: l, bend: b, home: &s.lies}
	s.lies.add(t)
	return t, nil
}

// touch is one request at one place: the bucket that the client named, or the
// mirror of it on a backend.
type touch struct {
	at       string
	bucket   *bucket
	name     string
	previous string // key put before, as it is called in bucket; empty: none

	frontBucket, frontKey string

	before, after Key // states of name; after is what will be stored
}

// apply does op, bent by the first of the lies that touches it. The caller has
// the lock of the bucket.
func (t *touch) apply(now time.Time, op Op, told []*Telling) Answer {
	var answer Answer
	t.before = t.bucket.state(t.name)
	t.after, answer = t.before.Step(now, op)
	if answer.Err != nil {
		return answer
	}
	for _, l := range told {
		if t.concerns(l.lie, op.Verb, l.bend) && l.bend.could(t) {
			if n, ok := l.takes(t.damaged(l.lie.Kind)...); ok {
				l.bend.do(t, l.lie.Seed, n)
				break
			}
		}
	}
	t.bucket.set(t.name, t.after)
	return answer
}

func (t *touch) concerns(l Lie, verb Verb, b bend) bool {
	if l.At != t.at || b.verb != verb || l.Bucket != "" && l.Bucket != t.frontBucket {
		return false
	}
	if l.Key == "" {
		return true
	}
	match, err := path.Match(l.Key, t.frontKey)
	return match && err == nil
}

// damaged is the keys that a lie of that kind leaves wrong, as the client
// calls them.
func (t *touch) damaged(kind Kind) []string {
	if kind != Swap {
		return []string{t.frontKey}
	}
	previous := t.previous
	if t.at == AtBackend {
		previous = previous[len(t.frontBucket)+1:]
	}
	return []string{t.frontKey, previous}
}
