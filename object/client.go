package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/seed-1b600011/assay/history"
)

// Client is what assay asks of an object store. Every call is one request,
// never repeated behind the caller's back; errors are of type *Error. It is
// safe for concurrent use.
type Client interface {
	// CreateBucket makes a bucket; location is the backend it is kept on, or
	// empty for the store's own choice.
	CreateBucket(ctx context.Context, bucket, location string) error
	DeleteBucket(ctx context.Context, bucket string) error
	// Put stores size bytes of body under the key.
	Put(ctx context.Context, bucket, key string, body io.ReadSeeker, size int64) error
	// Get gives the object's size and bytes; the caller closes the body.
	Get(ctx context.Context, bucket, key string) (body io.ReadCloser, size int64, err error)
	Delete(ctx context.Context, bucket, key string) error
	// DeleteMany deletes up to 1000 keys.
	DeleteMany(ctx context.Context, bucket string, keys []string) error
	// List gives up to limit keys (at most 1000) in order, those after the
	// key given; more says whether there are others behind them.
	List(ctx context.Context, bucket, after string, limit int) (page []Listed, more bool, err error)
}

// Listed is one entry of a listing.
type Listed struct {
	Key  string
	Size int64
}

// Error is a request that did not succeed.
type Error struct {
	Doing   string // "put bucket/key"
	Status  int    // of HTTP; 0 if there was no answer
	Code    string // of S3, such as NoSuchKey
	Message string // what the store said of it, in words
	Err     error
}

// Error is what was asked, the store's answer and its own words.
func (e *Error) Error() string {
	switch {
	case e.Code == "" && (e.Status == 0 || e.Status/100 == 2):
		return fmt.Sprintf("%s: %v", e.Doing, e.Err)
	case e.Message == "":
		return e.Doing + ": " + e.Answer()
	}
	return e.Doing + ": " + e.Answer() + ": " + e.Message
}

// said is what a person reads of the error beside its Answer.
func (e *Error) said() string {
	if e.Code == "" && (e.Status == 0 || e.Status/100 == 2) && e.Err != nil {
		return clean(e.Err.Error())
	}
	return e.Message
}

// Unwrap is the cause.
func (e *Error) Unwrap() error { return e.Err }

// statusOf is the HTTP status with which a store answered, or 0.
func statusOf(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// codeOf is the S3 error with which a store answered, or "".
func codeOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// phaseOf says what an error leaves of a request: an S3 error with a status of
// the 400s means that it was not done and will not be, as does a connection
// that was never made; anything else leaves it open. What is no S3 error, and
// 408 and 429, may come from something in front of the store that had already
// passed the request on.
func phaseOf(err error) history.Phase {
	if err == nil {
		return history.Acknowledged
	}
	switch status := statusOf(err); {
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests:
		return history.Unknown
	case status >= 400 && status < 500 && codeOf(err) != "":
		return history.Refused
	}
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return history.Refused
	}
	return history.Unknown
}
