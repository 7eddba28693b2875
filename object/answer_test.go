package object

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// s3Error is the body of an S3 error.
func s3Error(code string) string {
	return "<?xml version=\"1.0\"?><Error><Code>" + code + "</Code><Message>in the store's\nown words</Message></Error>"
}

const html = "<html><body><h1>503 Service Unavailable</h1>No server is available to handle this request.</body></html>"

// TestAnswers: what stores, and what stands in front of them, really send, as
// the client reads it.
func TestAnswers(t *testing.T) {
	answers := map[string]struct {
		status int
		body   string
		want   answer
		absent bool
	}{
		"an object":                 {200, "x", telling, false},
		"NoSuchKey":                 {404, s3Error("NoSuchKey"), telling, true},
		"NoSuchBucket":              {404, s3Error("NoSuchBucket"), telling, true},
		"NoSuchKey with 503":        {503, s3Error("NoSuchKey"), passing, false},
		"404 of a web server":       {404, html, passing, false},
		"404 without a body":        {404, "", passing, false},
		"SlowDown":                  {503, s3Error("SlowDown"), passing, false},
		"SlowDown with 400":         {400, s3Error("SlowDown"), passing, false},
		"503 of a load balancer":    {503, html, passing, false},
		"502 of a load balancer":    {502, "", passing, false},
		"InternalError":             {500, s3Error("InternalError"), passing, false},
		"MinIO that starts":         {503, s3Error("XMinioServerNotInitialized"), passing, false},
		"MinIO that is full":        {507, s3Error("XMinioStorageFull"), passing, false},
		"a code that nobody knows":  {503, s3Error("UnderMaintenance"), passing, false},
		"429":                       {429, "", passing, false},
		"429 with a code":           {429, s3Error("TooManyRequests"), passing, false},
		"RequestTimeout":            {400, s3Error("RequestTimeout"), passing, false},
		"OperationAborted":          {409, s3Error("OperationAborted"), passing, false},
		"a login page":              {302, html, passing, false},
		"403 of a firewall":         {403, html, passing, false},
		"ExpiredToken":              {400, s3Error("ExpiredToken"), lasting, false},
		"ExpiredToken with 403":     {403, s3Error("ExpiredToken"), lasting, false},
		"InvalidAccessKeyId":        {403, s3Error("InvalidAccessKeyId"), lasting, false},
		"AccessDenied":              {403, s3Error("AccessDenied"), lasting, false},
		"SignatureDoesNotMatch":     {403, s3Error("SignatureDoesNotMatch"), lasting, false},
		"RequestTimeTooSkewed":      {403, s3Error("RequestTimeTooSkewed"), lasting, false},
		"QuotaExceeded":             {403, s3Error("QuotaExceeded"), lasting, false},
		"NotImplemented":            {501, s3Error("NotImplemented"), lasting, false},
		"a bucket of another place": {301, s3Error("PermanentRedirect"), lasting, false},
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := answers[strings.TrimPrefix(r.URL.Path, "/bucket/")]
		w.WriteHeader(a.status)
		io.WriteString(w, a.body)
	}))
	t.Cleanup(s.Close)
	c := NewClient(Endpoint{Host: s.URL, AccessKey: "a", SecretKey: "b"})
	for name, a := range answers {
		body, _, err := c.Get(t.Context(), "bucket", name)
		if err == nil {
			body.Close()
		}
		if got := answerOf(err); got != a.want || Absent(err) != a.absent {
			t.Errorf("%s: %v, absent %v; want %v: %v", name, got, Absent(err), a.want, err)
		}
		if strings.Contains(a.body, "own words") && !strings.HasSuffix(err.Error(), ": in the store's own words") {
			t.Errorf("%s: the message of the store is not in %q", name, err)
		}
	}
}

// TestNoAnswers: connections that end early, and answers that are not whole.
func TestNoAnswers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := l.Addr().String()
	l.Close()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/bucket/reset":
			reset(w)
		case "/bucket/truncated":
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, strings.Repeat("x", 500))
		case "/bucket":
			fmt.Fprint(w, "<ListBucketResult><Contents><Key>a</Key>")
		}
	}))
	t.Cleanup(s.Close)
	c := NewClient(Endpoint{Host: s.URL, AccessKey: "a", SecretKey: "b"})
	v := view{client: c, real: "bucket", at: newStanding(nil, s.URL, 0), bucket: &Bucket{}}
	_, _, list := c.List(t.Context(), "bucket", "", 10)
	_, _, refused := NewClient(Endpoint{Host: nobody, AccessKey: "a", SecretKey: "b"}).Get(t.Context(), "bucket", "key")
	read := func(key string) error {
		_, err := v.read(t.Context(), key, (&Bucket{env: planEnv(t)}).Tag(key, 1), nil)
		return err
	}
	for name, err := range map[string]error{"reset": read("reset"), "truncated": read("truncated"), "half a listing": list, "refused": refused} {
		if got := answerOf(err); got != silent || err == nil {
			t.Errorf("%s: %v: %v", name, got, err)
		}
	}
}

// reset ends a connection without an answer.
func reset(w http.ResponseWriter) {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	c.Close()
}

// TestPutSaysWhy: a put that is refused says so in the store's words, and
// DeleteMany of an object that is not there is no error.
func TestDeleteMany(t *testing.T) {
	body := "<DeleteResult><Error><Key>a</Key><Code>NoSuchKey</Code></Error></DeleteResult>"
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body) }))
	t.Cleanup(s.Close)
	c := NewClient(Endpoint{Host: s.URL, AccessKey: "a", SecretKey: "b"})
	if err := c.DeleteMany(context.Background(), "bucket", []string{"a"}); err != nil {
		t.Error(err)
	}
	body = "<DeleteResult><Error><Key>a</Key><Code>SlowDown</Code><Message>less</Message></Error></DeleteResult>"
	if err := c.DeleteMany(context.Background(), "bucket", []string{"a"}); answerOf(err) != passing || !strings.Contains(err.Error(), "SlowDown (HTTP status 200): less") {
		t.Error(err)
	}
}
