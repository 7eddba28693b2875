package refstore

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// payload is the body of a request: decoded, and compared with everything
// that the request says about it once it has been read.
type payload struct {
	size     int64 // decoded bytes
	body     io.Reader
	chunks   *chunkReader // nil unless aws-chunked
	sha256   hash.Hash    // nil: the body is not signed as a whole
	want     string       // of sha256, in hexadecimal
	md5      []byte       // nil: none was sent
	check    hash.Hash    // nil: no checksum was sent
	checksum Checksum
	trailer  bool // the value of checksum comes in the trailer
}

// Words that stand in x-amz-content-sha256 for a hash.
const (
	unsignedPayload  = "UNSIGNED-PAYLOAD"
	unsignedTrailer  = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	signedChunks     = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	streamingPayload = "STREAMING-"
)

// newPayload reads the headers that concern the body. Nothing of the body is
// read yet.
func newPayload(r *http.Request, s *signed) (*payload, *Error) {
	p := &payload{size: r.ContentLength, body: r.Body}
	if err := p.kind(r, s); err != nil {
		return nil, err
	}
	if p.size < 0 {
		return nil, ErrMissingContentLength
	}
	if header, sent := r.Header["Content-Md5"]; sent { // an empty one is one
		sum, err := base64.StdEncoding.DecodeString(strings.Join(header, ","))
		if err != nil || len(sum) != md5.Size {
			return nil, ErrInvalidDigest
		}
		p.md5 = sum
	}
	return p, p.findChecksum(r.Header)
}

// kind looks at how the body is sent and signed.
func (p *payload) kind(r *http.Request, s *signed) *Error {
	switch word := s.payload; {
	case word == unsignedPayload:
		return nil
	case word == unsignedTrailer:
		p.chunks = newChunkReader(r.Body, nil)
	case word == signedChunks:
		p.chunks = newChunkReader(r.Body, newChunkChain(s))
	case strings.HasPrefix(word, streamingPayload):
		return ErrNotImplemented.because("a body sent as " + word)
	default:
		if sum, err := hex.DecodeString(word); err != nil || len(sum) != sha256.Size {
			return ErrInvalidContentSHA256
		}
		p.sha256, p.want = sha256.New(), strings.ToLower(word)
		return nil
	}
	p.body = p.chunks
	header := r.Header.Get("X-Amz-Decoded-Content-Length")
	size, ok := offset(header)
	if header == "" || !ok {
		return ErrMissingContentLength.because("an aws-chunked body needs x-amz-decoded-content-length")
	}
	p.size = size
	return nil
}

// findChecksum finds the checksum in the headers, or the announcement of one
// in the trailer.
func (p *payload) findChecksum(h http.Header) *Error {
	for name, values := range h {
		algorithm, found := strings.CutPrefix(name, checksumHeader)
		if !found || len(values) == 0 {
			continue
		}
		if p.check != nil {
			return ErrMultipleChecksumHeaders
		}
		if err := p.expect(strings.ToLower(algorithm), values[0]); err != nil {
			return err
		}
	}
	if trailer := h.Get("X-Amz-Trailer"); trailer != "" {
		if p.chunks == nil || p.chunks.chain != nil {
			return ErrInvalidRequest.because("a trailer needs a body sent as " + unsignedTrailer)
		}
		algorithm, found := strings.CutPrefix(strings.ToLower(trailer), strings.ToLower(checksumHeader))
		if !found {
			return ErrNotImplemented.because("the trailer " + trailer)
		}
		if p.check != nil {
			return ErrMultipleChecksumHeaders
		}
		p.trailer = true
		return p.expect(algorithm, "")
	}
	return nil
}

func (p *payload) expect(algorithm, value string) *Error {
	p.check = newChecksum(algorithm)
	if p.check == nil {
		return ErrNotImplemented.because("the checksum " + algorithm)
	}
	if sum, err := base64.StdEncoding.DecodeString(value); value != "" && (err != nil || len(sum) != p.check.Size()) {
		return ErrInvalidChecksumHeader
	}
	p.checksum = Checksum{algorithm, value}
	return nil
}

// Read gives the decoded body.
func (p *payload) Read(b []byte) (int, error) {
	n, err := p.body.Read(b)
	if n > 0 {
		if p.sha256 != nil {
			p.sha256.Write(b[:n])
		}
		if p.check != nil {
			p.check.Write(b[:n])
		}
	}
	return n, err
}

// store reads the whole body into bodies, and compares. The caller holds the
// body that it gives.
func (p *payload) store(bodies *Bodies) (*Body, *Error) {
	body, err := bodies.Read(p, p.size)
	if err != nil {
		return nil, refusal(err)
	}
	if err := p.finish(body.Sum()); err != nil {
		body.Release()
		return nil, err
	}
	return body, nil
}

// bytes reads the whole body, of at most limit bytes, and compares.
func (p *payload) bytes(limit int64) ([]byte, *Error) {
	if p.size > limit {
		return nil, ErrMalformedXML.because("the body is longer than " + strconv.FormatInt(limit, 10) + " bytes")
	}
	b := make([]byte, p.size)
	if _, err := io.ReadFull(p, b); err != nil {
		return nil, refusal(early(err))
	}
	return b, p.finish(md5.Sum(b))
}

// finish compares the body with what the request says of it.
func (p *payload) finish(sum [md5.Size]byte) *Error {
	// What is left must be the end, and for aws-chunked the trailer.
	var more [1]byte
	switch n, err := io.ReadFull(p.body, more[:]); {
	case n > 0:
		return ErrIncompleteBody.because("the body is longer than was announced")
	case err != io.EOF:
		return refusal(err)
	}
	if p.sha256 != nil && hex.EncodeToString(p.sha256.Sum(nil)) != p.want {
		return ErrContentSHA256Mismatch
	}
	if p.md5 != nil && string(p.md5) != string(sum[:]) {
		return ErrBadDigest
	}
	if err := p.readTrailer(); err != nil {
		return err
	}
	if p.check != nil && !p.checksum.matches(p.check) {
		return ErrBadDigest
	}
	return nil
}

func (p *payload) readTrailer() *Error {
	if p.chunks == nil {
		return nil
	}
	came := p.chunks.trailer
	if !p.trailer {
		if came != (Field{}) {
			return ErrMalformedTrailer
		}
		return nil
	}
	if came.Name != strings.ToLower(checksumHeader)+p.checksum.Algorithm {
		return ErrMalformedTrailer
	}
	p.checksum.Value = came.Value
	return nil
}

// refusal is what a client is told when its body could not be read.
func refusal(err error) *Error {
	var refused *Error
	if errors.As(err, &refused) {
		return refused
	}
	var spill *ErrSpill
	if errors.As(err, &spill) {
		return ErrInternal.because(spill.Error())
	}
	return ErrIncompleteBody
}
