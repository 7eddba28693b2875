package pressure

import (
	"errors"
	"fmt"
)

// State is what a consumer of bytes does.
type State struct {
	Asked   int64  `json:"asked"`   // bytes that the last Set wanted
	Held    int64  `json:"held"`    // bytes that are taken now
	Limit   int64  `json:"limit"`   // bytes that could be held now
	Bound   string `json:"bound"`   // what sets the limit
	Working bool   `json:"working"` // a Set is under way
	// Reason says why less is held than was asked for; empty where all is.
	Reason string `json:"reason,omitempty"`
}

// LimitError refuses a Set before anything has changed.
type LimitError struct {
	Asked, Limit int64
	Bound        string
	Of           string // what they are; empty: bytes
}

func (e *LimitError) Error() string {
	of := e.Of
	if of == "" {
		of = "bytes"
	}
	return fmt.Sprintf("%d %s are over the limit of %d %s (%s)", e.Asked, of, e.Limit, of, e.Bound)
}

// ShortError is a Set that has stopped before it had all: what it has is held.
type ShortError struct {
	Asked, Held int64
	Reason      string
	Err         error // from the system, where it was one: ENOSPC, EDQUOT, ENOMEM
}

func (e *ShortError) Error() string {
	return fmt.Sprintf("%d of %d bytes are held: %s", e.Held, e.Asked, e.Reason)
}

// Unwrap gives the system's error.
func (e *ShortError) Unwrap() error { return e.Err }

// ErrSuperseded is what a Set returns when a later one has taken its place.
var ErrSuperseded = errors.New("pressure: a later request has taken its place")

// ErrClosed is what a Set returns once the consumer is closed.
var ErrClosed = errors.New("pressure: the consumer is closed")
