package object

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/seed-1b600011/assay/machine"
)

// bucketKind is what the ledger calls a bucket.
const bucketKind = "bucket"

// leftBucket is a bucket's entry in the ledger: the store itself, so that
// another directory or an endpoint's file that has changed means no other one.
// The credentials are not in it: they are read again from the endpoint's file.
type leftBucket struct {
	Bucket      string `json:"bucket"`
	Store       string `json:"store"`       // its URL
	Region      string `json:"region"`      // as it was given; may be empty
	Credentials string `json:"credentials"` // the endpoint's file, absolute; empty: they were in none
}

// left is the entry of a bucket of the endpoint.
func (w World) left(bucket string) (string, error) {
	l := leftBucket{Bucket: bucket, Store: w.Endpoint.URL(), Region: w.Endpoint.Region}
	if w.Place != "" {
		var err error
		if l.Credentials, err = filepath.Abs(w.Place); err != nil {
			return "", fmt.Errorf("enter bucket %s into the ledger: %w", bucket, err)
		}
	}
	entry, err := json.Marshal(l)
	return string(entry), err
}

// Undoes says how the buckets that a killed run has left are removed.
func Undoes() map[string]machine.Undo {
	return map[string]machine.Undo{bucketKind: undoBucket}
}

// Forgotten gives the undoes in which a bucket that cannot be removed counts as
// gone. told is called with what is forgotten so, and why.
func Forgotten(told func(entry string, why error)) map[string]machine.Undo {
	return map[string]machine.Undo{bucketKind: func(ctx context.Context, entry string) error {
		if err := undoBucket(ctx, entry); err != nil {
			if ctx.Err() != nil {
				return err
			}
			told(entry, err)
		}
		return nil
	}}
}

var errNoStore = errors.New("the ledger does not say which store it is in: delete it by hand, then assay clean --forget")

// undoBucket removes a bucket that a ledger names. The errors are no errors of
// configuration: nothing that the caller gave is wrong.
func undoBucket(ctx context.Context, entry string) error {
	var l leftBucket
	if err := json.Unmarshal([]byte(entry), &l); err != nil {
		return err
	}
	if l.Store == "" || l.Credentials == "" {
		return errNoStore
	}
	w, err := ReadWorld(Files{Endpoint: l.Credentials})
	if err != nil {
		return fmt.Errorf("the credentials for %s are needed once more: %v", l.Store, err)
	}
	if now := w.Endpoint.URL(); now != l.Store {
		return fmt.Errorf("%s now has the credentials for %s, and the bucket is at %s", l.Credentials, now, l.Store)
	}
	e := *w.Endpoint
	e.Region = l.Region
	at, client := newStanding(nil, l.Store, probePatience), newClient(e, probePatience)
	probe, cancel := context.WithTimeoutCause(ctx, probePatience, fmt.Errorf("no answer within %v", probePatience))
	defer cancel()
	err = at.insist(probe, func() error {
		_, _, err := client.List(probe, l.Bucket, "", 1)
		return err
	})
	if answerOf(err) != telling {
		return fmt.Errorf("%s: %w", l.Store, err)
	}
	return empty(ctx, at, client, l.Bucket)
}

const emptyTries = 3 // of emptying a bucket into which late requests may still put something

// empty deletes a bucket and everything in it. One that is not there is no error.
func empty(ctx context.Context, at *standing, c Client, bucket string) error {
	for try := 1; ; try++ {
		if err := emptied(ctx, at, c, bucket); err != nil {
			return ignoreAbsent(err)
		}
		refilled := false
		err := at.ask(ctx, "delete bucket", false, func(ctx context.Context) error {
			err := c.DeleteBucket(ctx, bucket)
			if refilled = codeOf(err) == "BucketNotEmpty" && try < emptyTries; refilled {
				return nil
			}
			return err
		})
		if err != nil || !refilled {
			return ignoreAbsent(err)
		}
	}
}

func ignoreAbsent(err error) error {
	if Absent(err) {
		return nil
	}
	return err
}

// emptied deletes everything in a bucket.
func emptied(ctx context.Context, at *standing, c Client, bucket string) error {
	last := ""
	for more := true; more; {
		var page []Listed
		err := at.ask(ctx, "list", false, func(ctx context.Context) (err error) {
			page, more, err = c.List(ctx, bucket, "", 1000)
			return err
		})
		if err != nil || len(page) == 0 {
			return err
		}
		if page[0].Key == last {
			return fmt.Errorf("%s still lists %s/%s, which it has deleted", at.place, bucket, last)
		}
		last = page[0].Key
		keys := make([]string, len(page))
		for i, o := range page {
			keys[i] = o.Key
		}
		if err := at.ask(ctx, "delete", false, func(ctx context.Context) error { return c.DeleteMany(ctx, bucket, keys) }); err != nil {
			return err
		}
	}
	return nil
}
