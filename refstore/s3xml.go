package refstore

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"time"
	"unicode/utf8"
)

// xmlWriter writes an XML answer into a buffer that is used again.
type xmlWriter struct {
	q *request
	b *bytes.Buffer
}

const s3Namespace = "http://s3.amazonaws.com/doc/2006-03-01/"

func (q *request) newXML() xmlWriter {
	b := q.s3.buffers.Get().(*bytes.Buffer)
	b.Reset()
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>` + "\n")
	return xmlWriter{q, b}
}

func (x xmlWriter) done() { x.q.s3.buffers.Put(x.b) }

// root opens the outermost element of an answer that is no error.
func (x xmlWriter) root(name string) { x.b.WriteString("<" + name + ` xmlns="` + s3Namespace + `">`) }

func (x xmlWriter) open(name string)  { x.b.WriteString("<" + name + ">") }
func (x xmlWriter) close(name string) { x.b.WriteString("</" + name + ">") }

func (x xmlWriter) text(name, value string) {
	x.open(name)
	escapeXML(x.b, value)
	x.close(name)
}

func (x xmlWriter) number(name string, n int64) {
	x.open(name)
	x.b.Write(strconv.AppendInt(x.b.AvailableBuffer(), n, 10))
	x.close(name)
}

func (x xmlWriter) time(name string, at time.Time) {
	x.open(name)
	x.b.Write(at.UTC().AppendFormat(x.b.AvailableBuffer(), "2006-01-02T15:04:05.000Z"))
	x.close(name)
}

// send answers with what has been written; a HEAD gets the header alone.
func (x xmlWriter) send(status int) {
	h := x.q.w.Header()
	h["Content-Type"] = []string{"application/xml"}
	h["Content-Length"] = []string{strconv.Itoa(x.b.Len())}
	x.q.w.WriteHeader(status)
	if x.q.Method != http.MethodHead {
		// The client is gone if this fails; there is nobody to tell.
		_, _ = x.q.w.Write(x.b.Bytes())
	}
}

// escapeXML writes s so that a reader of XML gets s back. Control characters
// become character references, as S3 writes them: XML 1.0 allows those of no
// control character but three, so a strict reader refuses them. It is told, at
// least; encoding/xml would put U+FFFD in their place and name another key.
func escapeXML(b *bytes.Buffer, s string) {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1: // no UTF-8: only in what a refusal quotes
			b.WriteRune(utf8.RuneError)
		case r == '&':
			b.WriteString("&amp;")
		case r == '<':
			b.WriteString("&lt;")
		case r == '>':
			b.WriteString("&gt;")
		case r == '"':
			b.WriteString("&quot;")
		case r < ' ', r == 0x7f, r == 0xfffe, r == 0xffff:
			fmt.Fprintf(b, "&#x%X;", r)
		default:
			b.WriteString(s[i : i+n])
		}
		i += n
	}
}
