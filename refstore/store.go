package refstore

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// StoreOptions are the limits of a Store. The zero value is what S3 has.
type StoreOptions struct {
	Now       func() time.Time // nil: time.Now
	KeyMax    int              // bytes of a key; 0: 1024
	ObjectMax int64            // bytes of one put; 0: 5 GiB
}

func (o StoreOptions) withDefaults() StoreOptions {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.KeyMax == 0 {
		o.KeyMax = 1024
	}
	if o.ObjectMax == 0 {
		o.ObjectMax = 5 << 30
	}
	return o
}

// Store is buckets of keys. Each operation on a key is atomic: whoever reads
// sees one version whole, and a list sees all changes that were answered
// before it began. Safe for concurrent use.
type Store struct {
	options StoreOptions
	bodies  *Bodies
	done    [Delete + 1]atomic.Int64 // operations, by verb
	lists   atomic.Int64
	lies    lies

	mu       sync.RWMutex
	buckets  map[string]*bucket
	backends map[string]*bucket // by the location constraint that chooses them
}

// NewStore makes a store without buckets whose bodies are kept in bodies.
func NewStore(bodies *Bodies, options StoreOptions) *Store {
	return &Store{
		options:  options.withDefaults(),
		bodies:   bodies,
		buckets:  map[string]*bucket{},
		backends: map[string]*bucket{},
	}
}

// Bucket is what is known of a bucket.
type Bucket struct {
	Name     string
	Location string // of its backend; empty: none
	Created  time.Time
}

// AddBackend makes the bucket of that name on backend, another store over the
// same Bodies. From now on a bucket created here with that location keeps its
// objects there too, under the key BUCKET/KEY: a put or delete is done there
// in the same step as here, before it is answered. The bucket on the backend
// cannot be deleted.
func (s *Store) AddBackend(location string, backend *Store, bucket string) *Error {
	b, err := backend.create(bucket, "")
	if err != nil {
		return err
	}
	b.pinned = true
	s.mu.Lock()
	defer s.mu.Unlock()
	s.backends[location] = b
	return nil
}

// CreateBucket makes an empty bucket. location is that of a backend, or empty
// for none. Errors are ErrInvalidBucketName, ErrInvalidLocation and
// ErrBucketAlreadyOwned.
func (s *Store) CreateBucket(name, location string) *Error {
	_, err := s.create(name, location)
	return err
}

func (s *Store) create(name, location string) (*bucket, *Error) {
	if !validBucketName(name) {
		return nil, ErrInvalidBucketName
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	mirror := s.backends[location]
	if location != "" && mirror == nil {
		return nil, ErrInvalidLocation
	}
	if s.buckets[name] != nil {
		return nil, ErrBucketAlreadyOwned
	}
	b := &bucket{Bucket: Bucket{name, location, s.options.Now()}, mirror: mirror}
	s.buckets[name] = b
	return b, nil
}

// validBucketName holds the naming rules of general purpose buckets that
// concern letters; the reserved prefixes and suffixes are allowed.
func validBucketName(name string) bool {
	if len(name) < 3 || len(name) > 63 || strings.Contains(name, "..") {
		return false
	}
	for i := range len(name) {
		c := name[i]
		plain := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
		inner := (c == '-' || c == '.') && i > 0 && i < len(name)-1
		if !plain && !inner {
			return false
		}
	}
	return true
}

// DeleteBucket removes a bucket whose list is empty. Errors are
// ErrNoSuchBucket, ErrBucketNotEmpty, and ErrAccessDenied for the bucket of a
// backend. Objects that a lie has kept out of the list go with the bucket.
func (s *Store) DeleteBucket(name string) *Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[name]
	if b == nil {
		return ErrNoSuchBucket
	}
	if b.pinned {
		return ErrAccessDenied.because("the bucket belongs to a backend")
	}
	if err := b.close(); err != nil {
		return err
	}
	delete(s.buckets, name)
	return nil
}

// Buckets is all buckets, by name.
func (s *Store) Buckets() []Bucket {
	s.mu.RLock()
	defer s.mu.RUnlock()
	all := make([]Bucket, 0, len(s.buckets))
	for _, b := range s.buckets {
		all = append(all, b.Bucket)
	}
	slices.SortFunc(all, func(a, b Bucket) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Bucket is the bucket of that name, or ErrNoSuchBucket.
func (s *Store) Bucket(name string) (Bucket, *Error) {
	b, err := s.bucket(name)
	if err != nil {
		return Bucket{}, err
	}
	return b.Bucket, nil
}

func (s *Store) bucket(name string) (*bucket, *Error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if b := s.buckets[name]; b != nil {
		return b, nil
	}
	return nil, ErrNoSuchBucket
}

// Do does op on a key of a bucket. The caller keeps its hold of the body that
// it puts; the body that a get answers with is held for the caller, who
// Releases it. That of any other answer is not held. Besides what Step
// answers there are ErrNoSuchBucket, ErrKeyTooLong and ErrEntityTooLarge.
func (s *Store) Do(bucket, key string, op Op) Answer {
	b, err := s.bucket(bucket)
	if err != nil {
		return Answer{Err: err}
	}
	if len(key) > s.options.KeyMax {
		return Answer{Err: ErrKeyTooLong}
	}
	if int(op.Verb) < len(s.done) {
		s.done[op.Verb].Add(1)
	}
	switch op.Verb {
	case Get, Head:
		return b.read(key, op)
	case Put:
		if op.Version.Size > s.options.ObjectMax {
			return Answer{Err: ErrEntityTooLarge}
		}
	}
	return b.change(s.options.Now, key, op, s.lies.now())
}

// List is a page of the list of a bucket, all of one moment. Errors are
// ErrNoSuchBucket, and ErrInvalidArgument for a token of other making.
func (s *Store) List(bucket string, q ListQuery) (Listing, *Error) {
	b, err := s.bucket(bucket)
	if err != nil {
		return Listing{}, err
	}
	s.lists.Add(1)
	return b.list(q)
}

// StoreStats is what a store holds and has done.
type StoreStats struct {
	Buckets int   `json:"buckets"`
	Objects int64 `json:"objects"` // that a get would find
	Puts    int64 `json:"puts"`    // operations that reached a bucket, whatever it answered
	Gets    int64 `json:"gets"`
	Heads   int64 `json:"heads"`
	Deletes int64 `json:"deletes"`
	Lists   int64 `json:"lists"`
}

// Stats counts.
func (s *Store) Stats() StoreStats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	st := StoreStats{
		Buckets: len(s.buckets),
		Puts:    s.done[Put].Load(),
		Gets:    s.done[Get].Load(),
		Heads:   s.done[Head].Load(),
		Deletes: s.done[Delete].Load(),
		Lists:   s.lists.Load(),
	}
	for _, b := range s.buckets {
		st.Objects += b.objects()
	}
	return st
}
