package refstore

import (
	"encoding/base64"
	"strings"
	"time"
)

// ListQuery asks for a page of the list of a bucket, as ListObjectsV2 does.
type ListQuery struct {
	Prefix     string // only keys that begin so
	Delimiter  string // keys that have it after Prefix count as one common prefix, up to and including it; empty: none do
	StartAfter string // only keys behind this one; without meaning where Token is set
	Token      string // Next of the page before
	Max        int    // keys and common prefixes a page, at most; below 0 counts as 0
}

// Listed is a key as the list shows it.
type Listed struct {
	Name     string
	Size     int64
	ETag     string
	Modified time.Time
}

// Listing is a page of a list. Keys and prefixes are in the order of their
// bytes, and no key of a later page is before one of this.
type Listing struct {
	Keys      []Listed
	Prefixes  []string // the common prefixes
	Truncated bool     // there is more, behind Next
	Next      string   // the Token of the next page; empty if there is none
}

// A token says behind what the next page begins: behind a key, or behind all
// keys that a common prefix stands for. It is the base64 of a letter and the
// name.
const (
	tokenKey    = "k"
	tokenPrefix = "p"
)

// list makes a page. Keys are filtered first (prefix, start-after), then
// gathered into common prefixes: a prefix is shown if any key behind
// StartAfter has it, even where the prefix itself is before StartAfter.
func (x *index) list(q ListQuery) (Listing, *Error) {
	at, err := x.begin(q)
	if err != nil || q.Max <= 0 {
		return Listing{}, err
	}
	var page Listing
	last := "" // the token of what was taken last
	for {
		e := x.entry(at)
		if e == nil || !strings.HasPrefix(e.name, q.Prefix) {
			return page, nil
		}
		if !e.key.Listed() {
			at = x.next(at)
			continue
		}
		if len(page.Keys)+len(page.Prefixes) == q.Max {
			page.Truncated, page.Next = true, base64.URLEncoding.EncodeToString([]byte(last))
			return page, nil
		}
		if common, ok := commonPrefix(e.name, q); ok {
			page.Prefixes = append(page.Prefixes, common)
			last = tokenPrefix + common
			at = x.seek(behindPrefix(common))
			continue
		}
		v := &e.key.Version
		page.Keys = append(page.Keys, Listed{e.name, v.Size, v.ETag, v.Modified})
		last = tokenKey + e.name
		at = x.next(at)
	}
}

// begin is where the page begins.
func (x *index) begin(q ListQuery) (cursor, *Error) {
	reached := func(name string) bool { return name > q.StartAfter }
	if q.Token != "" {
		token, err := base64.URLEncoding.DecodeString(q.Token)
		if err != nil || len(token) == 0 {
			return cursor{}, ErrInvalidArgument.because("the continuation token is not one of this store")
		}
		name := string(token[1:])
		switch string(token[:1]) {
		case tokenKey:
			reached = func(n string) bool { return n > name }
		case tokenPrefix:
			reached = behindPrefix(name)
		default:
			return cursor{}, ErrInvalidArgument.because("the continuation token is not one of this store")
		}
	}
	return x.seek(func(name string) bool { return name >= q.Prefix && reached(name) }), nil
}

// behindPrefix is true of the names that follow all those that begin with prefix.
func behindPrefix(prefix string) func(string) bool {
	return func(name string) bool { return name > prefix && !strings.HasPrefix(name, prefix) }
}

// commonPrefix is what stands for name in the list, if it does not itself.
func commonPrefix(name string, q ListQuery) (string, bool) {
	if q.Delimiter == "" {
		return "", false
	}
	i := strings.Index(name[len(q.Prefix):], q.Delimiter)
	if i < 0 {
		return "", false
	}
	return name[:len(q.Prefix)+i+len(q.Delimiter)], true
}
