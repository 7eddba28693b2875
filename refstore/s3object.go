package refstore

import (
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const (
	metaHeader  = "X-Amz-Meta-"
	metaMax     = 2 << 10 // bytes of names and values of user metadata
	defaultType = "binary/octet-stream"
)

// keptHeaders are stored with an object and come back with it.
var keptHeaders = []string{"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Expires"}

func (q *request) putObject() *Error {
	// Before the body is read: the client may wait for leave to send it.
	if _, err := q.s3.store.Bucket(q.bucket); err != nil {
		return err
	}
	if len(q.key) > q.s3.store.options.KeyMax {
		return ErrKeyTooLong
	}
	fields, err := keptFields(q.Header)
	if err != nil {
		return err
	}
	p, err := newPayload(q.Request, q.signed)
	if err != nil {
		return err
	}
	if p.size > q.s3.store.options.ObjectMax {
		return ErrEntityTooLarge
	}
	body, err := p.store(q.s3.store.bodies)
	if err != nil {
		return err
	}
	defer body.Release()
	sum := body.Sum()
	answer := q.s3.store.Do(q.bucket, q.key, Op{Verb: Put, Version: Version{
		Body:        body,
		Size:        body.Size(),
		ETag:        hex.EncodeToString(sum[:]),
		ContentType: q.Header.Get("Content-Type"),
		Fields:      fields,
		Checksum:    p.checksum,
	}})
	if answer.Err != nil {
		return answer.Err
	}
	h := q.w.Header()
	h["Etag"] = []string{`"` + answer.Version.ETag + `"`}
	setChecksum(h, p.checksum)
	return q.empty(http.StatusOK)
}

// keptFields are the headers of a put that are stored, in an order that does
// not depend on the map that they come in.
func keptFields(h http.Header) ([]Field, *Error) {
	var fields []Field
	size := 0
	for name, values := range h {
		meta := strings.HasPrefix(name, metaHeader)
		if !meta && !slices.Contains(keptHeaders, name) {
			continue
		}
		value := strings.Join(values, ",")
		if name == "Content-Encoding" {
			if value = withoutChunked(value); value == "" {
				continue
			}
		}
		if meta {
			size += len(name) - len(metaHeader) + len(value)
		}
		fields = append(fields, Field{name, value})
	}
	if size > metaMax {
		return nil, ErrMetadataTooLarge
	}
	slices.SortFunc(fields, func(a, b Field) int { return strings.Compare(a.Name, b.Name) })
	return fields, nil
}

// withoutChunked takes aws-chunked out of a Content-Encoding: it describes the
// request, not the object.
func withoutChunked(value string) string {
	var kept []string
	for part := range strings.SplitSeq(value, ",") {
		if part = strings.TrimSpace(part); part != "" && part != "aws-chunked" {
			kept = append(kept, part)
		}
	}
	return strings.Join(kept, ",")
}

func setChecksum(h http.Header, c Checksum) {
	if c.Algorithm != "" {
		h.Set(checksumHeader+c.Algorithm, c.Value)
		h.Set(checksumHeader+"Type", "FULL_OBJECT")
	}
}

// getObject answers GET and HEAD.
func (q *request) getObject() *Error {
	if err := q.noBody(); err != nil {
		return err
	}
	asked, err := ParseRange(q.Header.Get("Range"))
	if err != nil {
		return err
	}
	op := Op{Verb: Get, Range: asked}
	if q.Method == http.MethodHead {
		op.Verb = Head
	}
	answer := q.s3.store.Do(q.bucket, q.key, op)
	if answer.Err != nil {
		return answer.Err
	}
	status := q.describe(&answer, asked)
	if op.Verb == Head {
		q.w.WriteHeader(status)
		return nil
	}
	defer answer.Version.Body.Release()
	q.w.WriteHeader(status)
	q.send(&answer)
	return nil
}

// describe sets the header of an answer with an object, and gives its status.
func (q *request) describe(a *Answer, asked Range) int {
	h, v := q.w.Header(), &a.Version
	h["Etag"] = []string{`"` + v.ETag + `"`}
	h["Last-Modified"] = []string{v.Modified.UTC().Format(http.TimeFormat)}
	h["Accept-Ranges"] = []string{"bytes"}
	h["Content-Length"] = []string{strconv.FormatInt(a.To-a.From, 10)}
	contentType := v.ContentType
	if contentType == "" {
		contentType = defaultType
	}
	h["Content-Type"] = []string{contentType}
	for _, f := range v.Fields {
		h[f.Name] = []string{f.Value}
	}
	if !asked.Set {
		if strings.EqualFold(q.Header.Get("X-Amz-Checksum-Mode"), "ENABLED") {
			setChecksum(h, v.Checksum)
		}
		return http.StatusOK
	}
	h["Content-Range"] = []string{"bytes " + strconv.FormatInt(a.From, 10) + "-" +
		strconv.FormatInt(a.To-1, 10) + "/" + strconv.FormatInt(v.Size, 10)}
	return http.StatusPartialContent
}

// send streams the bytes of an answer. If the body cannot be read, the answer
// is broken off: a client must not take half a body for a whole one.
func (q *request) send(a *Answer) {
	v := &a.Version
	if v.Body.memory != nil && v.flip == 0 {
		_, _ = q.w.Write(v.Body.memory[a.From:a.To])
		return
	}
	buffer := q.s3.pieces.Get().(*[]byte)
	defer q.s3.pieces.Put(buffer)
	for at := a.From; at < a.To; {
		piece := (*buffer)[:min(int64(len(*buffer)), a.To-at)]
		n, err := v.ReadAt(piece, at)
		if err != nil && !errors.Is(err, io.EOF) {
			panic(http.ErrAbortHandler)
		}
		if _, err := q.w.Write(piece[:n]); err != nil {
			return
		}
		at += int64(n)
	}
}

func (q *request) deleteObject() *Error {
	if err := q.noBody(); err != nil {
		return err
	}
	if answer := q.s3.store.Do(q.bucket, q.key, Op{Verb: Delete}); answer.Err != nil {
		return answer.Err
	}
	return q.empty(http.StatusNoContent)
}
