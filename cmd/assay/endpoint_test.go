package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/refstore"
	"github.com/seed-1b600011/assay/report"
)

// somewhere is a store that is not assay's own: it outlives the runs, and what
// they leave in it can be seen.
func somewhere(t *testing.T) *refstore.Server {
	t.Helper()
	ledger, err := machine.OpenLedger(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	s, err := refstore.Start(context.Background(), ledger, refstore.Config{Backends: []refstore.BackendConfig{
		{Name: "amazon", Type: "aws", Bucket: "cloud-a"}, {Name: "google", Type: "gcp", Bucket: "cloud-g"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if err := ledger.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func endpointFile(t *testing.T, url, access, secret string) string {
	t.Helper()
	return write(t, "endpoint.yaml", fmt.Sprintf("host: %s\naccess_key: %s\nsecret_key: %s\n", url, access, secret))
}

// buckets is how many buckets the store has.
func buckets(t *testing.T, s *refstore.Server) int64 {
	t.Helper()
	stats, err := s.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return int64(stats.Front.Buckets)
}

const onClouds = `
- name: on the store itself
  required: {buckets: 2}
  objects: {count: 1200, size: {min: 0B, max: 100B}}
  tests: [put, mixed: {operations: 500}]
  checks: [check-content, check-list, check-backend]
- name: on clouds
  required: {buckets: [{clouds: [1]}, {clouds: [gcp]}, {transient: true, clouds: [aws]}]}
  objects: {count: 50}
  tests: [put]
  checks: [check-backend]
`

func TestEndpoint(t *testing.T) {
	s := somewhere(t)
	front := s.Front()
	endpoint := endpointFile(t, front.URL, front.AccessKey, front.SecretKey)
	var backends, secrets strings.Builder
	backends.WriteString("backends:\n")
	for _, b := range s.Backends() {
		fmt.Fprintf(&backends, "- {name: %s, type: %s, secret: s-%s, bucket: %s, endpoint: '%s'}\n", b.Name, b.Type, b.Name, b.Bucket, b.Endpoint.URL)
		fmt.Fprintf(&secrets, "s-%s: {access_key: %s, secret_key: %s}\n", b.Name, b.Endpoint.AccessKey, b.Endpoint.SecretKey)
	}
	file, b, k := write(t, "s.yaml", onClouds), write(t, "b.yaml", backends.String()), write(t, "k.yaml", secrets.String())
	dir := t.TempDir()
	assay(t, dir, "run", "--endpoint", endpoint, "--backends", b, "--secrets", k, file).want(t, 0, "on clouds")
	if n := buckets(t, s); n != 0 {
		t.Errorf("%d buckets are left", n)
	}
	nothingLeft(t, dir, 0)

	assay(t, dir, "run", "--endpoint", endpoint, file).want(t, 2, "there is no backend of type aws: there are cluster")
	assay(t, dir, "run", "--endpoint", endpoint, "--backends", b, file).want(t, 2, `there is no secret "s-amazon" in any file: give --secrets`)
	assay(t, dir, "run", "--endpoint", endpoint, "examples/lying-store.yaml").want(t, 2, "lie is a fault of the reference store")
	assay(t, dir, "run", "--endpoint", endpoint, "--keep", "--only", "on the store itself", file).want(t, 0)
	if n := buckets(t, s); n != 2 {
		t.Errorf("%d buckets were kept, want 2", n)
	}
}

// TestCleanAfterEnd: buckets of a run that was ended at once are in the
// ledger, and assay clean empties and removes them.
func TestCleanAfterEnd(t *testing.T) {
	s := somewhere(t)
	front := s.Front()
	endpoint := endpointFile(t, front.URL, front.AccessKey, front.SecretKey)
	file := write(t, "long.yaml", long)
	for _, end := range []string{"SIGKILL", "two SIGINT"} {
		var dir string
		left := int64(0)
		// The second SIGINT may come when all is cleaned up already.
		for try := 0; left == 0 && try < 20; try++ {
			dir = t.TempDir()
			c := started(t, dir, "run", "--endpoint", endpoint, file)
			if end == "SIGKILL" {
				c.Process.Kill()
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				c.Wait()
			}()
			for over := false; !over; {
				select {
				case <-ended:
					over = true
				case <-time.After(2 * time.Millisecond): // two at once may become one
					c.Process.Signal(syscall.SIGINT)
				}
			}
			left = buckets(t, s)
		}
		if left == 0 {
			t.Errorf("after %s there is no bucket: it ended by itself before it was ended", end)
		}
		assay(t, dir, "clean").want(t, 0, "removed bucket", "removed directory")
		if n := buckets(t, s); n != 0 {
			t.Errorf("after %s and clean there are %d buckets", end, n)
		}
		nothingLeft(t, dir, 0)
	}
}

func TestWrongCredentials(t *testing.T) {
	s := somewhere(t)
	front := s.Front()
	file := write(t, "s.yaml", "- {name: a, required: {buckets: 3}, tests: [put], checks: [check-list]}\n")
	dir := t.TempDir()
	assay(t, dir, "run", "--endpoint", endpointFile(t, front.URL, front.AccessKey, "wrong"), file).want(t, 2, "refuses the credentials: SignatureDoesNotMatch")
	assay(t, dir, "run", "--endpoint", endpointFile(t, front.URL, "nobody", front.SecretKey), file).want(t, 2, "refuses the credentials: InvalidAccessKeyId")
	if n := buckets(t, s); n != 0 {
		t.Errorf("%d buckets are left", n)
	}
	nothingLeft(t, dir, 0)
}

// TestBadEndpoints: what answers is no store. That is the target's fault, told
// in one message, and nothing is left.
func TestBadEndpoints(t *testing.T) {
	t.Parallel() // one of them waits for ten seconds
	html := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<html><body>Welcome to nginx!</body></html>")
	}))
	t.Cleanup(html.Close)
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		fmt.Fprint(w, "<html><body>bad gateway</body></html>")
	}))
	t.Cleanup(broken.Close)
	login := httptest.NewServer(http.RedirectHandler("/login", http.StatusFound))
	t.Cleanup(login.Close)
	refuses := listen(t, nil)
	refuses.Close()
	for name, c := range map[string]struct{ url, want string }{
		"HTML with 200":  {html.URL, "is no S3 store"},
		"HTML with 502":  {broken.URL, "is no S3 store"},
		"a redirect":     {login.URL, "is no S3 store"},
		"refuses":        {"http://" + refuses.Addr().String(), "cannot be reached"},
		"closes at once": {"http://" + listen(t, func(c net.Conn) { c.Close() }).Addr().String(), "cannot be reached"},
		"hangs":          {"http://" + listen(t, func(net.Conn) {}).Addr().String(), "no answer within 10s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			file := write(t, "s.yaml", "- {name: a, required: {buckets: 2}, tests: [put], checks: [check-list]}\n")
			r := assay(t, dir, "run", "--endpoint", endpointFile(t, c.url, "a", "b"), file)
			r.want(t, 3, c.want)
			if strings.Count(r.out+r.errout, c.want) > 1 {
				t.Errorf("told more than once:\n%s%s", r.out, r.errout)
			}
		})
	}
}

func listen(t *testing.T, handle func(net.Conn)) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if handle != nil {
		go func() {
			var open []net.Conn // held, or the collector would close them
			for {
				c, err := l.Accept()
				if err != nil {
					for _, c := range open {
						c.Close()
					}
					return
				}
				open = append(open, c)
				handle(c)
			}
		}()
	}
	return l
}

// inFront is a proxy before the store that does something to some requests.
func inFront(t *testing.T, s *refstore.Server, refuse func(w http.ResponseWriter, r *http.Request) bool) *httptest.Server {
	t.Helper()
	to, err := url.Parse(s.Front().URL)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, r.In.Host
	}}
	p := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuse == nil || !refuse(w, r) {
			forward.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(p.Close)
	return p
}

func denied(w http.ResponseWriter) bool {
	w.WriteHeader(http.StatusForbidden)
	fmt.Fprint(w, "<Error><Code>AccessDenied</Code><Message>not this user</Message></Error>")
	return true
}

// TestCodeIsOfVerdict: where cleaning fails, the exit code is still that of the
// verdict in the report, with a finding and without one; and clean says what it
// cannot reach, until it is forgotten.
func TestCodeIsOfVerdict(t *testing.T) {
	for name, c := range map[string]struct {
		lose bool
		code int
		want string
	}{"a finding": {true, exitFail, "fail"}, "no finding": {false, exitInconclusive, "inconclusive"}} {
		t.Run(name, func(t *testing.T) {
			s := somewhere(t)
			if c.lose {
				if _, err := s.Lie(t.Context(), refstore.Lie{Kind: "lose", Key: "00000003", Count: 2, Probability: 1}); err != nil {
					t.Fatal(err)
				}
			}
			p := inFront(t, s, func(w http.ResponseWriter, r *http.Request) bool {
				return (r.Method == http.MethodPost || r.Method == http.MethodDelete) && denied(w)
			})
			endpoint := endpointFile(t, p.URL, s.Front().AccessKey, s.Front().SecretKey)
			file := write(t, "s.yaml", "- {name: a, required: {buckets: 1}, tests: [put], checks: [check-content]}\n")
			dir := t.TempDir()
			r := assay(t, dir, "run", "--patience", "100ms", "--output", "json", "--endpoint", endpoint, file)
			r.want(t, c.code, "left behind for assay clean", "not this user")
			var d report.Document
			if err := json.Unmarshal([]byte(r.out), &d); err != nil || d.Verdict.String() != c.want || d.Runs[0].Verdict.String() != c.want || d.Error == "" {
				t.Errorf("%v: %v, %v: %q", err, d.Verdict, d.Runs, d.Error)
			}
			r = assay(t, dir, "run", "--patience", "100ms", "--endpoint", endpoint, file)
			r.want(t, c.code, "left behind for assay clean", "\n"+c.want+" (seed ")
			if !c.lose {
				return
			}
			p.Close()
			assay(t, dir, "clean").want(t, exitInconclusive, "connection refused", p.URL, `"bucket":"assay-bucket-1-`)
			assay(t, dir, "clean", "--forget").want(t, 0, "forgot bucket", "which is still there", p.URL)
			assay(t, dir, "clean").want(t, 0, "nothing was left behind")
			if n := buckets(t, s); n != 2 {
				t.Errorf("%d buckets are there", n)
			}
		})
	}
}

// TestCleanFromElsewhere: the ledger knows the store, and a file of the same
// name in another directory is no endpoint of it.
func TestCleanFromElsewhere(t *testing.T) {
	s, other := somewhere(t), somewhere(t)
	here, there, dir := t.TempDir(), t.TempDir(), t.TempDir()
	for in, at := range map[string]*refstore.Server{here: s, there: other} {
		e := at.Front()
		text := fmt.Sprintf("host: %s\naccess_key: %s\nsecret_key: %s\n", e.URL, e.AccessKey, e.SecretKey)
		if err := os.WriteFile(filepath.Join(in, "ep.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := command(t.Context(), t, dir, "run", "--endpoint", "ep.yaml", write(t, "long.yaml", long))
	c.Dir = here
	drives(t, c)
	for buckets(t, s) == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	c.Process.Kill()
	c.Wait()
	c = command(t.Context(), t, dir, "clean")
	c.Dir = there
	resultOf(t, c).want(t, 0, "removed bucket", s.Front().URL)
	if n := buckets(t, s); n != 0 {
		t.Errorf("%d buckets are left", n)
	}
	nothingLeft(t, dir, 0)

	// A file that is another store's by now has not the credentials for it.
	c = command(t.Context(), t, dir, "run", "--keep", "--endpoint", "ep.yaml", write(t, "long.yaml", long))
	c.Dir = here
	drives(t, c)
	for buckets(t, s) == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	c.Process.Kill()
	c.Wait()
	if err := os.Rename(filepath.Join(there, "ep.yaml"), filepath.Join(here, "ep.yaml")); err != nil {
		t.Fatal(err)
	}
	assay(t, dir, "clean").want(t, exitInconclusive, "now has the credentials for "+other.Front().URL, "and the bucket is at "+s.Front().URL)
	if n := buckets(t, s); n == 0 {
		t.Error("the buckets are gone")
	}
	assay(t, dir, "clean", "--forget").want(t, 0, "forgot bucket")
	nothingLeft(t, dir, 0)
}

// TestSecretsAreNotShown: what may hold a secret is refused without being
// repeated.
func TestSecretsAreNotShown(t *testing.T) {
	const secret = "wJalrXUtnFEMI"
	ok := write(t, "s.yaml", "- {name: a, required: {buckets: 1}, tests: [put], checks: [check-list]}\n")
	for _, c := range []struct{ text, want string }{
		{"{host: 'http://user:" + secret + "@localhost:1', access_key: a, secret_key: b}", "has no user, password or parameters"},
		{"{host: 'user:" + secret + "@localhost:1', access_key: a, secret_key: b}", "has no user, password or parameters"},
		{"{host: 'http://localhost:1/?token=" + secret + "', access_key: a, secret_key: b}", "has no user, password or parameters"},
		{"{host: 'http://localhost:" + secret + "', access_key: a, secret_key: b}", "is no address of a store"},
		{"{host: 'ftp:// " + secret + "', access_key: a, secret_key: b}", "is no address of a store"},
		{secret, "want a mapping, not (not shown)"},
		{"- " + secret, "want a mapping, not a list"},
		{"*" + secret, "cannot be read as YAML"},
		{secret + ": a", "unknown key (not shown)"},
		{"{host: x, access_key: a, secret_key: [" + secret + "]}", "want a word, not a list"},
		{"{host: x, access_key: a, secret_key: b, insecure: " + secret + "}", "(not shown): want true or false"},
		{"{host: x, access_key: a, secret_key: b, ca-file: /nonexistent}", "ca-file: "},
	} {
		r := assay(t, t.TempDir(), "run", "--endpoint", write(t, "e.yaml", c.text), ok)
		r.want(t, 2, "e.yaml", c.want)
		if strings.Contains(r.out+r.errout, secret) {
			t.Errorf("%s: %s", c.text, r.errout)
		}
	}
}

// TestCertificates: a store behind TLS is believed by the certificate that its
// file names, or by none.
func TestCertificates(t *testing.T) {
	s := somewhere(t)
	plain := inFront(t, s, nil)
	secure := httptest.NewUnstartedServer(plain.Config.Handler)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}))
	file := write(t, "s.yaml", "- {name: a, required: {buckets: 1}, tests: [put], checks: [check-content]}\n")
	for more, want := range map[string]int{"": exitInconclusive, "insecure: true\n": exitPass, "ca-file: ca.pem\n": exitPass, "ca-file: " + write(t, "ca.pem", ca) + "\n": exitPass} {
		f := s.Front()
		endpoint := write(t, "endpoint.yaml", fmt.Sprintf("host: %s\naccess_key: %s\nsecret_key: %s\n%s", secure.URL, f.AccessKey, f.SecretKey, more))
		if err := os.WriteFile(filepath.Join(filepath.Dir(endpoint), "ca.pem"), []byte(ca), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := assay(t, t.TempDir(), "run", "--endpoint", endpoint, file); r.code != want {
			t.Errorf("%q: %d: %s%s", more, r.code, r.out, r.errout)
		}
	}
}
