package refstore

import (
	"bytes"
	"encoding/xml"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

func FuzzTarget(f *testing.F) {
	for _, s := range []string{"/", "/b", "/b/k?list-type=2&max-keys=3&prefix=a%2f&encoding-type=url", "//", "/b//k", "http://h/b/k", "/%zz", "/b?a=%zz", "/b/%00+?x=+&&=", "*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		target, err := parseTarget(uri)
		if err != nil {
			return
		}
		if q, _, err := parseList(&target); err == nil && (q.Max < 0 || q.Max > pageMax) {
			t.Errorf("%q: a page of %d", uri, q.Max)
		}
		// What is encoded is read back as the same, however odd it is.
		var b bytes.Buffer
		b.WriteByte('/')
		encodeURI(&b, target.bucket, false)
		b.WriteByte('/')
		encodeURI(&b, target.key, true)
		b.WriteByte('?')
		canonicalQuery(&b, target.params)
		again, err := parseTarget(b.String())
		if err != nil || again.bucket != target.bucket || again.key != target.key || len(again.params) != len(target.params) {
			t.Errorf("%q: %+v, encoded as %q, is %+v, %v", uri, target, b.String(), again, err)
		}
	})
}

func FuzzRange(f *testing.F) {
	for _, s := range []string{"", "bytes=0-1", "bytes=-5", "bytes=7-", "bytes=1-2,3-4", "bytes=9223372036854775807-9223372036854775807"} {
		f.Add(s, int64(10))
	}
	f.Fuzz(func(t *testing.T, header string, size int64) {
		r, err := ParseRange(header)
		if err != nil || size < 0 {
			return
		}
		from, to, err := r.Of(size)
		if err == nil && (from < 0 || to > size || from > to || r.Set && from == to) {
			t.Errorf("%q of %d bytes: [%d,%d)", header, size, from, to)
		}
	})
}

func FuzzDelete(f *testing.F) {
	for _, s := range []string{"<Delete><Object><Key>a</Key></Object><Quiet>true</Quiet></Delete>", "<Delete><Object><Key>&#x1;</Key></Object></Delete>", "<Delete", ""} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		keys, quiet, err := parseDelete(body)
		_, _ = parseCreateBucket(body)
		if err != nil {
			return
		}
		if len(keys) == 0 || len(keys) > deleteMax || slices.Contains(keys, "") {
			t.Fatalf("%d keys", len(keys))
		}
		var b bytes.Buffer
		b.WriteString("<Delete>")
		if quiet {
			b.WriteString("<Quiet>true</Quiet>")
		}
		for _, key := range keys {
			b.WriteString("<Object><Key>")
			escapeXML(&b, key)
			b.WriteString("</Key></Object>")
		}
		b.WriteString("</Delete>")
		again, q, err := parseDelete(b.Bytes())
		if err != nil || q != quiet || !slices.Equal(again, keys) {
			t.Errorf("%q written as %q is %q, %v", keys, b.String(), again, err)
		}
	})
}

func FuzzChunks(f *testing.F) {
	for _, s := range []string{"0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", "3\r\nabc\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n", "3;chunk-signature=00\r\nabc\r\n0\r\n\r\n", "ffffffffffffff\r\n"} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, encoded []byte, piece int) {
		whole, errWhole := io.ReadAll(newChunkReader(bytes.NewReader(encoded), nil))
		bytewise, errBytewise := io.ReadAll(newChunkReader(iotest.OneByteReader(bytes.NewReader(encoded)), nil))
		if !bytes.Equal(whole, bytewise) || (errWhole == nil) != (errBytewise == nil) || len(whole) > len(encoded) {
			t.Errorf("%q: %q %v in one read, %q %v byte by byte", encoded, whole, errWhole, bytewise, errBytewise)
		}
		if piece < 1 {
			return
		}
		r := newChunkReader(strings.NewReader(chunked(string(encoded), piece, "", nil, "a:b\r\n")), nil)
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, encoded) || r.trailer != (Field{"a", "b"}) {
			t.Errorf("%q in pieces of %d: %q, trailer %v, %v", encoded, piece, got, r.trailer, err)
		}
	})
}

func FuzzAuthorization(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=AK/20260101/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=00")
	f.Fuzz(func(t *testing.T, header string) {
		c, err := parseAuthorization(header)
		if err == nil && (c.signature == "" || len(c.headers) == 0 || len(c.day) != 8) {
			t.Errorf("%q: %+v", header, c)
		}
	})
}

// What is written as XML is read back, where XML can say it at all.
func FuzzXMLText(f *testing.F) {
	for _, key := range oddKeys() {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var b bytes.Buffer
		b.WriteString("<a>")
		escapeXML(&b, s)
		b.WriteString("</a>")
		var got string
		if err := xml.Unmarshal(b.Bytes(), &got); err == nil && utf8.ValidString(s) && got != s {
			t.Errorf("%q written as %q is %q", s, b.String(), got)
		}
	})
}
