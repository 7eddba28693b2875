package refstore

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"hash"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Credentials are the one account of a store.
type Credentials struct {
	AccessKey string `json:"access_key"`
	SecretKey string `json:"secret_key"`
	Region    string `json:"region"`
}

const (
	algorithm   = "AWS4-HMAC-SHA256"
	amzTime     = "20060102T150405Z"
	skewMax     = 15 * time.Minute
	emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// signatures verifies AWS Signature Version 4 in the Authorization header, as
// "Signature Version 4: create a signed request" in the AWS IAM user guide and
// the S3 API reference have it. Safe for concurrent use.
type signatures struct {
	credentials Credentials
	now         func() time.Time
	day         atomic.Pointer[dayKey]
	buffers     sync.Pool // of *bytes.Buffer
}

// dayKey signs for one day. Deriving the key takes four HMACs, so it is kept.
type dayKey struct {
	day  string // YYYYMMDD
	macs sync.Pool
}

func (k *dayKey) sign(b []byte) []byte {
	mac := k.macs.Get().(hash.Hash)
	defer k.macs.Put(mac)
	mac.Reset()
	mac.Write(b)
	return mac.Sum(nil)
}

// signed is a verified request. Chunks and trailers of its body are signed on
// from here.
type signed struct {
	payload   string // x-amz-content-sha256
	time      string // x-amz-date
	scope     string
	signature string
	key       *dayKey
}

// credential is an Authorization header taken apart.
type credential struct {
	accessKey, day, region, service string
	headers                         []string // as signed: lower case
	signature                       string
}

// parseAuthorization reads AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…,
// Signature=….
func parseAuthorization(header string) (credential, *Error) {
	rest, found := strings.CutPrefix(header, algorithm+" ")
	if !found {
		return credential{}, ErrNotImplemented.because("the only way to authorize is " + algorithm)
	}
	var c credential
	var scope string
	for rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, ",")
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "Credential":
			scope = value
		case "SignedHeaders":
			c.headers = strings.Split(value, ";")
		case "Signature":
			c.signature = value
		default:
			return credential{}, ErrAuthorizationMalformed
		}
	}
	parts := strings.Split(scope, "/")
	n := len(parts)
	if n < 5 || parts[n-1] != "aws4_request" || len(parts[n-4]) != len("YYYYMMDD") || c.signature == "" || len(c.headers) == 0 {
		return credential{}, ErrAuthorizationMalformed
	}
	// An access key may itself have slashes.
	c.accessKey = strings.Join(parts[:n-4], "/")
	c.day, c.region, c.service = parts[n-4], parts[n-3], parts[n-2]
	return c, nil
}

// verify tells whether r was signed with the credentials, over everything that
// decides what it does. The body is verified while it is read.
func (s *signatures) verify(r *http.Request, t *target) (*signed, *Error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		for _, p := range t.params {
			if strings.HasPrefix(p.name, "X-Amz-") || p.name == "AWSAccessKeyId" {
				return nil, ErrNotImplemented.because("a presigned URL")
			}
		}
		return nil, ErrAccessDenied.because("the request is not signed")
	}
	c, err := parseAuthorization(header)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(c.accessKey), []byte(s.credentials.AccessKey)) != 1 {
		return nil, ErrInvalidAccessKeyID
	}
	if c.region != s.credentials.Region || c.service != "s3" {
		return nil, ErrAuthorizationMalformed.because("the scope of the signature must be region " + s.credentials.Region + ", service s3")
	}
	at, err := s.fresh(r, c)
	if err != nil {
		return nil, err
	}
	payload := r.Header.Get("X-Amz-Content-Sha256")
	if payload == "" {
		return nil, ErrInvalidRequest.because("the header x-amz-content-sha256 is missing")
	}
	if err := coversAll(r, c.headers); err != nil {
		return nil, err
	}
	key := s.keyOf(c.day)
	scope := c.day + "/" + c.region + "/s3/aws4_request"
	b := s.buffers.Get().(*bytes.Buffer)
	defer s.buffers.Put(b)
	b.Reset()
	canonicalRequest(b, r, t, c.headers, payload)
	hashed := sha256.Sum256(b.Bytes())
	b.Reset()
	b.WriteString(algorithm + "\n" + at + "\n" + scope + "\n")
	b.Write(hex.AppendEncode(b.AvailableBuffer(), hashed[:]))
	want := hex.EncodeToString(key.sign(b.Bytes()))
	if subtle.ConstantTimeCompare([]byte(want), []byte(c.signature)) != 1 {
		return nil, ErrSignatureDoesNotMatch
	}
	return &signed{payload, at, scope, c.signature, key}, nil
}

// fresh is the time of the request, if it is near enough to ours.
func (s *signatures) fresh(r *http.Request, c credential) (string, *Error) {
	at := r.Header.Get("X-Amz-Date")
	when, err := time.Parse(amzTime, at)
	if err != nil {
		return "", ErrAccessDenied.because("the header x-amz-date is missing or no time")
	}
	if !strings.HasPrefix(at, c.day) {
		return "", ErrAuthorizationMalformed.because("the day of the signature is not that of x-amz-date")
	}
	if apart := s.now().Sub(when); apart > skewMax || apart < -skewMax {
		return "", ErrRequestTimeTooSkewed
	}
	return at, nil
}

// coversAll refuses a request with an unsigned header that could change what
// it means.
func coversAll(r *http.Request, headers []string) *Error {
	if !slices.Contains(headers, "host") {
		return ErrAccessDenied.because("the header host is not signed")
	}
	for name := range r.Header {
		if !strings.HasPrefix(name, "X-Amz-") {
			continue
		}
		if !slices.ContainsFunc(headers, func(h string) bool { return strings.EqualFold(h, name) }) {
			return ErrAccessDenied.because("the header " + strings.ToLower(name) + " is not signed")
		}
	}
	return nil
}

func (s *signatures) keyOf(day string) *dayKey {
	if k := s.day.Load(); k != nil && k.day == day {
		return k
	}
	key := []byte("AWS4" + s.credentials.SecretKey)
	for _, part := range []string{day, s.credentials.Region, "s3", "aws4_request"} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	k := &dayKey{day: day}
	k.macs.New = func() any { return hmac.New(sha256.New, key) }
	s.day.Store(k)
	return k
}

// canonicalRequest writes what is signed. S3 encodes the path once and does
// not clean it.
func canonicalRequest(b *bytes.Buffer, r *http.Request, t *target, headers []string, payload string) {
	b.WriteString(r.Method)
	b.WriteString("\n/")
	encodeURI(b, t.bucket, true)
	if path, _, _ := strings.Cut(r.RequestURI, "?"); t.key != "" || t.bucket != "" && strings.HasSuffix(path, "/") {
		b.WriteByte('/')
		encodeURI(b, t.key, true)
	}
	b.WriteByte('\n')
	canonicalQuery(b, t.params)
	b.WriteByte('\n')
	for _, name := range headers {
		b.WriteString(name)
		b.WriteByte(':')
		canonicalHeader(b, r, name)
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	for i, name := range headers {
		if i > 0 {
			b.WriteByte(';')
		}
		b.WriteString(name)
	}
	b.WriteByte('\n')
	b.WriteString(payload)
}

func canonicalQuery(b *bytes.Buffer, params []param) {
	if len(params) == 0 {
		return
	}
	encoded := make([]param, len(params))
	for i, p := range params {
		encoded[i] = param{encodedURI(p.name), encodedURI(p.value)}
	}
	slices.SortStableFunc(encoded, func(a, b param) int {
		if c := strings.Compare(a.name, b.name); c != 0 {
			return c
		}
		return strings.Compare(a.value, b.value)
	})
	for i, p := range encoded {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.name)
		b.WriteByte('=')
		b.WriteString(p.value)
	}
}

// canonicalHeader writes the values of a header, trimmed, with runs of spaces
// made one.
func canonicalHeader(b *bytes.Buffer, r *http.Request, name string) {
	var values []string
	switch name {
	case "host":
		b.WriteString(r.Host)
		return
	case "content-length":
		b.WriteString(strconv.FormatInt(max(r.ContentLength, 0), 10))
		return
	default:
		values = r.Header[http.CanonicalHeaderKey(name)]
	}
	for i, v := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		v = strings.TrimSpace(v)
		for j := range len(v) {
			if v[j] != ' ' || v[j-1] != ' ' { // v[0] is no space
				b.WriteByte(v[j])
			}
		}
	}
}

// encodeURI writes s with every byte percent-encoded that RFC 3986 does not
// call unreserved, and slashes kept where a path is meant.
func encodeURI(b *bytes.Buffer, s string, path bool) {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9',
			c == '-', c == '.', c == '_', c == '~', c == '/' && path:
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
}

func encodedURI(s string) string {
	var b bytes.Buffer
	encodeURI(&b, s, false)
	return b.String()
}
