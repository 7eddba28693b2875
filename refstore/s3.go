package refstore

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// S3 speaks the S3 protocol, path-style, for a Store: an http.Handler that
// takes requests as the client sent them. Nothing may clean or rewrite their
// paths in between, so no http.ServeMux.
//
// What it does not know it refuses with NotImplemented: an unknown query
// parameter or x-amz- header is never ignored.
type S3 struct {
	store      *Store
	region     string
	signatures signatures
	requests   atomic.Uint64
	buffers    sync.Pool // of *bytes.Buffer
	pieces     sync.Pool // of *[]byte
}

// NewS3 makes the face of store for one account. Several faces may show one
// store.
func NewS3(store *Store, c Credentials) *S3 {
	buffer := func() any { return new(bytes.Buffer) }
	s := &S3{store: store, region: c.Region}
	s.signatures.credentials, s.signatures.now = c, store.options.Now
	s.signatures.buffers.New, s.buffers.New = buffer, buffer
	s.pieces.New = func() any { b := make([]byte, 64<<10); return &b }
	return s
}

// request is one request on its way.
type request struct {
	*http.Request
	target
	w      http.ResponseWriter
	signed *signed
	s3     *S3
}

// ServeHTTP answers one request.
func (s *S3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := &request{Request: r, w: w, s3: s}
	// Direct, under the canonical name: Set would look it up.
	w.Header()["X-Amz-Request-Id"] = []string{strconv.FormatUint(s.requests.Add(1), 16)}
	if err := q.serve(); err != nil {
		q.refuse(err)
	}
}

func (q *request) serve() *Error {
	var err *Error
	if q.target, err = parseTarget(q.RequestURI); err != nil {
		return err
	}
	if q.signed, err = q.s3.signatures.verify(q.Request, &q.target); err != nil {
		return err
	}
	if err := q.knownHeaders(); err != nil {
		return err
	}
	switch {
	case q.bucket == "":
		return q.service()
	case q.key == "":
		return q.onBucket()
	default:
		return q.onObject()
	}
}

func (q *request) service() *Error {
	if err := q.only(); err != nil {
		return err
	}
	if q.Method != http.MethodGet {
		return ErrMethodNotAllowed
	}
	return q.listBuckets()
}

func (q *request) onBucket() *Error {
	switch q.Method {
	case http.MethodPut:
		return q.createBucket()
	case http.MethodHead:
		return q.headBucket()
	case http.MethodDelete:
		return q.deleteBucket()
	case http.MethodGet:
		if q.has("location") {
			return q.bucketLocation()
		}
		return q.listObjects()
	case http.MethodPost:
		return q.deleteObjects()
	default:
		return ErrMethodNotAllowed
	}
}

func (q *request) onObject() *Error {
	if err := q.only(); err != nil {
		return err
	}
	switch q.Method {
	case http.MethodPut:
		return q.putObject()
	case http.MethodGet, http.MethodHead:
		return q.getObject()
	case http.MethodDelete:
		return q.deleteObject()
	case http.MethodPost:
		return ErrNotImplemented.because("a POST to an object")
	default:
		return ErrMethodNotAllowed
	}
}

// knownHeaders refuses what asks for something that would not be done: an
// unknown x-amz- header, a condition, a partial put.
func (q *request) knownHeaders() *Error {
	for name, values := range q.Header {
		if !q.knows(name, values) {
			return ErrNotImplemented.because("the header " + name + " is not known for this request")
		}
	}
	return nil
}

func (q *request) knows(name string, values []string) bool {
	put := q.Method == http.MethodPut && q.key != ""
	sends := put || q.Method == http.MethodPost
	switch name {
	case "X-Amz-Date", "X-Amz-Content-Sha256", "X-Amz-User-Agent":
		return len(values) == 1
	case "X-Amz-Sdk-Checksum-Algorithm":
		return sends
	case "X-Amz-Decoded-Content-Length", "X-Amz-Trailer":
		return sends && len(values) == 1
	case "X-Amz-Checksum-Mode":
		return q.Method == http.MethodGet || q.Method == http.MethodHead
	case "X-Amz-Bucket-Object-Lock-Enabled": // false asks for nothing
		return q.Method == http.MethodPut && q.bucket != "" && q.key == "" && slices.EqualFunc(values, []string{"false"}, strings.EqualFold)
	case "X-Amz-Storage-Class":
		return put && slices.Equal(values, []string{"STANDARD"})
	case "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Content-Range":
		return false
	}
	switch {
	case !strings.HasPrefix(name, "X-Amz-"):
		return true
	case strings.HasPrefix(name, metaHeader):
		return put
	case strings.HasPrefix(name, checksumHeader):
		return sends && len(values) == 1
	default:
		return false
	}
}

// noBody refuses a body where none has a meaning.
func (q *request) noBody() *Error {
	switch {
	case q.ContentLength != 0:
		return ErrUnexpectedContent
	case q.signed.payload != emptySHA256 && q.signed.payload != unsignedPayload:
		return ErrContentSHA256Mismatch
	}
	return nil
}

// smallBody is the body of a request that carries XML.
func (q *request) smallBody(limit int64) ([]byte, *Error) {
	p, err := newPayload(q.Request, q.signed)
	if err != nil {
		return nil, err
	}
	return p.bytes(limit)
}

// refuse answers with an error.
func (q *request) refuse(err *Error) {
	if err.Status == http.StatusRequestedRangeNotSatisfiable {
		q.w.Header().Set("Accept-Ranges", "bytes")
	}
	x := q.newXML()
	defer x.done()
	x.open("Error")
	x.text("Code", err.Code)
	x.text("Message", err.Message)
	if q.bucket != "" {
		x.text("BucketName", q.bucket)
	}
	if q.key != "" {
		x.text("Key", q.key)
	}
	path, _, _ := strings.Cut(q.RequestURI, "?")
	x.text("Resource", path)
	x.text("RequestId", q.w.Header().Get("X-Amz-Request-Id"))
	x.close("Error")
	x.send(err.Status)
}

// empty answers without a body.
func (q *request) empty(status int) *Error {
	if status != http.StatusNoContent {
		q.w.Header()["Content-Length"] = []string{"0"}
	}
	q.w.WriteHeader(status)
	return nil
}
