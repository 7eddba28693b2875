package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/refstore"
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
