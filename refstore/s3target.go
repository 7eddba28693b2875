package refstore

import (
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// target is the request target of HTTP, taken apart. It is read from the line
// that the client sent: net/http's own paths are cleaned and decoded in ways
// that lose the difference between keys.
type target struct {
	bucket, key string // decoded; empty: not there
	params      []param
}

// param is one parameter of a query, decoded.
type param struct{ name, value string }

// parseTarget reads /BUCKET/KEY?QUERY. Everything behind the slash that
// follows the bucket is the key, verbatim after percent-decoding.
func parseTarget(uri string) (target, *Error) {
	if !strings.HasPrefix(uri, "/") {
		// The absolute form, which RFC 9112 has a server accept.
		_, rest, found := strings.Cut(uri, "://")
		slash := strings.IndexByte(rest, '/')
		if !found || slash < 0 {
			return target{}, ErrInvalidURI
		}
		uri = rest[slash:]
	}
	path, query, _ := strings.Cut(uri[1:], "?")
	bucket, key, _ := strings.Cut(path, "/")
	var t target
	var err error
	if t.bucket, err = url.PathUnescape(bucket); err != nil {
		return target{}, ErrInvalidURI
	}
	if t.key, err = url.PathUnescape(key); err != nil {
		return target{}, ErrInvalidURI
	}
	if t.bucket == "" && key != "" {
		return target{}, ErrInvalidBucketName
	}
	if !utf8.ValidString(t.key) || !utf8.ValidString(t.bucket) {
		return target{}, ErrInvalidURI.because("a key is text in UTF-8")
	}
	var refused *Error
	t.params, refused = parseQuery(query)
	return t, refused
}

// parseQuery reads NAME=VALUE&…; a plus sign is a space, and a name without
// an equals sign has an empty value.
func parseQuery(query string) ([]param, *Error) {
	var params []param
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return nil, ErrInvalidURI
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return nil, ErrInvalidURI
		}
		params = append(params, param{name, value})
	}
	return params, nil
}

// has tells whether the parameter is there, with or without a value.
func (t *target) has(name string) bool {
	return slices.ContainsFunc(t.params, func(p param) bool { return p.name == name })
}

// get is the value of the first parameter of that name.
func (t *target) get(name string) string {
	for _, p := range t.params {
		if p.name == name {
			return p.value
		}
	}
	return ""
}

// only refuses every parameter but these and x-id, by which the AWS clients
// name the operation. An unknown one asks for something that would not be done.
func (t *target) only(names ...string) *Error {
	for i, p := range t.params {
		if p.name != "x-id" && !slices.Contains(names, p.name) {
			return ErrNotImplemented.because("the parameter " + p.name + " is not known for this request")
		}
		for _, q := range t.params[:i] {
			if q.name == p.name {
				return ErrInvalidArgument.because("the parameter " + p.name + " is there twice")
			}
		}
	}
	return nil
}
