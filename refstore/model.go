package refstore

import "time"

// Verb is what an Op does to a key.
type Verb uint8

// The verbs that the model knows. Any other is answered ErrNotImplemented.
const (
	Get Verb = iota
	Head
	Put
	Delete
)

// Field is a header that a put leaves with its version and a get gives back:
// user metadata and the handful of standard headers such as Cache-Control.
type Field struct{ Name, Value string }

// Version is what one put stored under a key. A Version is a value: nothing
// changes one that is stored, a later put replaces it whole.
type Version struct {
	Body        *Body     // the bytes; nil in a model that needs none
	Size        int64     // bytes of Body
	ETag        string    // without quotes: MD5 of the body in hexadecimal
	Modified    time.Time // when it was put; Step sets it
	ContentType string    // empty: the client sent none
	Fields      []Field   // never changed once it is here
	Checksum    Checksum  // that the client sent along; the zero value if none

	flip uint64 // 1 + the number of the bit that a lie turned over in Body, 0: none
}

// Key is the state of one key. The zero value is a key that does not exist.
//
// What lies do to a state is part of it, so that damage lasts as a broken disk
// lasts: until the key is written again.
type Key struct {
	Present  bool    // a get answers with Version
	Version  Version // of a ghost, what the list shows of it
	Unlisted bool    // present, but the list does not know it
	Ghost    bool    // not present, but the list still knows it

	damage Kind // the lie that made this state what it is; empty: the state is true
}

// Listed tells whether the key is in the list of its bucket.
func (k Key) Listed() bool { return k.Present && !k.Unlisted || k.Ghost }

// Op is an operation on one key. Which fields count depends on the verb.
type Op struct {
	Verb    Verb
	Version Version // put: what to store; Modified is ignored
	Range   Range   // get, head: which bytes
}

// Answer is what a key answers to an Op.
type Answer struct {
	Err      *Error  // nil: done
	Version  Version // get, head: the version there; put: the one just stored
	From, To int64   // get, head: the bytes [From, To) of it that were asked for
}

// Step is the whole specification: the state that op leaves, and the answer.
// It is pure; two calls with the same arguments give the same results.
//
// A put replaces whatever was there. A delete answers the same whether or not
// the key existed. A get or head of a key that does not exist answers
// ErrNoSuchKey, of a range that the version does not have ErrInvalidRange, and
// leaves the state as it was.
func (k Key) Step(now time.Time, op Op) (Key, Answer) {
	switch op.Verb {
	case Put:
		v := op.Version
		v.Modified = now
		return Key{Present: true, Version: v}, Answer{Version: v}
	case Delete:
		return Key{}, Answer{}
	case Get, Head:
		if !k.Present {
			return k, Answer{Err: ErrNoSuchKey}
		}
		from, to, err := op.Range.Of(k.Version.Size)
		if err != nil {
			return k, Answer{Err: err}
		}
		return k, Answer{Version: k.Version, From: from, To: to}
	default:
		return k, Answer{Err: ErrNotImplemented}
	}
}
