package object_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/object"
	"github.com/seed-1b600011/assay/refstore"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/seed"
	"github.com/seed-1b600011/assay/verdict"
)

// front stands between assay and the reference store, and does to requests what
// honest stores, and what stands in front of them, do.
type front struct {
	store   *refstore.Server
	process int // of the store
	address string
	forward *httputil.ReverseProxy
	count   atomic.Int64 // requests so far
	// trouble does something to request number n (from 1), or reports that it
	// is to be passed on.
	trouble trouble

	mu     sync.Mutex
	server *http.Server
}

type trouble func(w http.ResponseWriter, r *http.Request, n int64) (pass bool)

func newFront(t *testing.T, trouble trouble) *front {
	t.Helper()
	ledger, err := machine.OpenLedger(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store, err := refstore.Start(context.Background(), ledger, refstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	to, err := url.Parse(store.Front().URL)
	if err != nil {
		t.Fatal(err)
	}
	f := &front{store: store, process: processOf(t, ledger), address: "127.0.0.1:0", trouble: trouble}
	f.forward = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = to.Scheme, to.Host, r.In.Host
		},
		FlushInterval: -1,
		ErrorHandler:  func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	if err := f.listen(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(f.kill(), store.Close(context.Background()), ledger.Close()); err != nil {
			t.Error(err)
		}
	})
	return f
}

// processOf is the process that the ledger names.
func processOf(t *testing.T, ledger *machine.Ledger) int {
	t.Helper()
	token := []byte("ASSAY_TOKEN=" + ledger.Left()[0].Name)
	all, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range all {
		if environ, _ := os.ReadFile(path); bytes.Contains(environ, token) {
			pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			return pid
		}
	}
	t.Fatal("the store has no process")
	return 0
}

// listen takes requests, at the address where it did before.
func (f *front) listen() error {
	l, err := net.Listen("tcp", f.address)
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.address, f.server = l.Addr().String(), &http.Server{Handler: f}
	go f.server.Serve(l)
	return nil
}

// kill ends everything that listens and is connected.
func (f *front) kill() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.server.Close()
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if f.trouble(w, r, f.count.Add(1)) {
		f.forward.ServeHTTP(w, r)
	}
}

// world is that of a run against the store behind the front.
func (f *front) world(patience time.Duration) object.World {
	e := f.store.Front()
	return object.World{Place: "endpoint.yaml", Patience: patience,
		Endpoint: &object.Endpoint{Host: f.address, AccessKey: e.AccessKey, SecretKey: e.SecretKey, Region: e.Region}}
}

// play runs a scenario in the world.
func play(t *testing.T, w object.World, text string) *scenario.Outcome {
	t.Helper()
	reg := &scenario.Registry{}
	object.Register(reg, w)
	all, err := scenario.Parse("s.yaml", []byte(text), reg)
	if err != nil {
		t.Fatal(err)
	}
	sd := seed.New()
	plan, err := all[0].Plan(sd, 0, scenario.Adjust{})
	if err != nil {
		t.Fatal(err)
	}
	ledger, err := machine.OpenLedger(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ledger.Close() })
	out, err := (&scenario.Runner{Registry: reg, Ledger: ledger, Dir: ledger.Dir()}).Run(t.Context(), plan)
	if err != nil {
		t.Fatal(err)
	}
	if t.Failed() {
		t.Logf("seed %v", sd)
	}
	return out
}

func answer(w http.ResponseWriter, status int, code string) bool {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<?xml version=\"1.0\"?><Error><Code>%s</Code><Message>not now</Message></Error>", code)
	return false
}

func page(w http.ResponseWriter, status int) bool {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(status)
	io.WriteString(w, "<html><body><h1>No server is available to handle this request.</h1></body></html>")
	return false
}

// hangUp ends the connection without an answer, or in the middle of one.
func hangUp(w http.ResponseWriter) bool {
	c, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	return false
}

// planted is the key whose put a lie loses; nothing stands in its way, so that
// the store has acknowledged it.
const planted = "00000017"

const everything = `
- name: everything
  required: {buckets: 1}
  objects: {count: 150, size: {min: 0B, max: 4K}}
  concurrency: 8
  tests: [put, mixed: {operations: 200}, put, get]
  checks: [check-content, check-list]
`

const lossy = `
- name: a loss
  required: {buckets: 1}
  objects: {count: 150, size: {min: 24B, max: 4K}}
  concurrency: 8
  tests: [put]
  checks: [check-content, check-list]
`

// honest are stores that lose nothing. All of them come back within the
// patience of the runs here, which is far more than any machine needs.
var honest = map[string]func(f *front) trouble{
	"throttles one of ten": func(*front) trouble {
		return func(w http.ResponseWriter, _ *http.Request, n int64) bool {
			return n%10 != 9 || answer(w, 503, "SlowDown")
		}
	},
	"fails one of ten, after it did it": func(f *front) trouble {
		return func(w http.ResponseWriter, r *http.Request, n int64) bool {
			if n%10 != 9 {
				return true
			}
			f.forward.ServeHTTP(httptest.NewRecorder(), r)
			return answer(w, 500, "InternalError")
		}
	},
	"refuses ten requests in a row": func(*front) trouble {
		return func(w http.ResponseWriter, _ *http.Request, n int64) bool {
			return n%200 < 60 || n%200 >= 70 || answer(w, 503, "ServiceUnavailable")
		}
	},
	"is behind a load balancer that has lost it": func(*front) trouble {
		return func(w http.ResponseWriter, _ *http.Request, n int64) bool {
			return n%200 < 60 || n%200 >= 70 || page(w, 503)
		}
	},
	"is behind a web server that finds nothing": func(*front) trouble {
		return func(w http.ResponseWriter, _ *http.Request, n int64) bool {
			return n%200 < 60 || n%200 >= 70 || page(w, 404)
		}
	},
	"resets one connection in ten": func(f *front) trouble {
		return func(w http.ResponseWriter, r *http.Request, n int64) bool {
			if n%20 == 19 { // and has done it
				f.forward.ServeHTTP(httptest.NewRecorder(), r)
			}
			return n%10 != 9 || hangUp(w)
		}
	},
	"ends one answer in ten in its middle": func(f *front) trouble {
		return func(w http.ResponseWriter, r *http.Request, n int64) bool {
			if n%10 != 9 || r.Method != http.MethodGet {
				return true
			}
			whole := httptest.NewRecorder()
			f.forward.ServeHTTP(whole, r)
			maps.Copy(w.Header(), whole.Header())
			w.Header().Set("Content-Length", strconv.Itoa(whole.Body.Len()))
			w.WriteHeader(whole.Code)
			w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
			http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	},
	"is killed and started again": func(f *front) trouble {
		return func(w http.ResponseWriter, _ *http.Request, n int64) bool {
			if n != 100 {
				return true
			}
			go func() {
				f.kill()
				time.Sleep(100 * time.Millisecond) // so that some are refused; how many does not matter
				for f.listen() != nil {
					time.Sleep(10 * time.Millisecond)
				}
			}()
			return hangUp(w)
		}
	},
	"is stopped and goes on": func(f *front) trouble {
		return func(_ http.ResponseWriter, _ *http.Request, n int64) bool {
			if n == 100 {
				syscall.Kill(f.process, syscall.SIGSTOP)
				time.AfterFunc(200*time.Millisecond, func() { syscall.Kill(f.process, syscall.SIGCONT) })
			}
			return true
		}
	},
}

// TestHonestStores: what an honest store does for reasons of its own is no
// finding, the run waits for it and goes on; and what is really lost behind it
// is found all the same.
func TestHonestStores(t *testing.T) {
	for name, trouble := range honest {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, nil)
			f.trouble = trouble(f)
			if out := play(t, f.world(time.Minute), everything); out.Verdict != verdict.Pass {
				t.Errorf("%v: %s: %v\n%v", out.Verdict, out.Why, out.Findings, out.Refusals)
			} else if len(out.Refusals) == 0 && !strings.Contains(name, "stopped") {
				t.Error("it has done nothing")
			}
		})
		t.Run(name+" and loses one", func(t *testing.T) {
			t.Parallel()
			f := newFront(t, nil)
			troubled := trouble(f)
			f.trouble = func(w http.ResponseWriter, r *http.Request, n int64) bool {
				return r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, planted) || troubled(w, r, n)
			}
			if _, err := f.store.Lie(t.Context(), refstore.Lie{Kind: "lose", Key: planted, Count: 1, Probability: 1}); err != nil {
				t.Fatal(err)
			}
			out := play(t, f.world(time.Minute), lossy)
			if out.Verdict != verdict.Fail || len(out.Findings) != 2 || out.Err != nil {
				t.Fatalf("%v: %s: %v", out.Verdict, out.Why, out.Findings)
			}
			for _, found := range out.Findings {
				if found.Kind != verdict.Lost || found.Object != planted || !found.Stable {
					t.Errorf("%v", found)
				}
			}
		})
	}
}

// TestNotHonestEnough: what does not come back makes a run inconclusive, soon,
// and no finding; and what was found before stands.
func TestNotHonestEnough(t *testing.T) {
	for name, trouble := range map[string]func(w http.ResponseWriter, r *http.Request) bool{
		"expired credentials": func(w http.ResponseWriter, _ *http.Request) bool { return answer(w, 403, "ExpiredToken") },
		"throttles for ever":  func(w http.ResponseWriter, _ *http.Request) bool { return answer(w, 503, "SlowDown") },
		"a load balancer":     func(w http.ResponseWriter, _ *http.Request) bool { return page(w, 503) },
		"resets":              func(w http.ResponseWriter, _ *http.Request) bool { return hangUp(w) },
	} {
		for when, from := range map[string]int64{"tests": 80, "checks": 160} {
			t.Run(name+" while it "+when, func(t *testing.T) {
				t.Parallel()
				f := newFront(t, func(w http.ResponseWriter, r *http.Request, n int64) bool { return n < from || trouble(w, r) })
				out := play(t, f.world(500*time.Millisecond), lossy)
				if out.Verdict != verdict.Inconclusive || len(out.Findings) > 0 {
					t.Errorf("%v: %v", out.Verdict, out.Findings)
				}
			})
		}
	}
}

// TestOneObject: an object of which the store never tells anything, though it
// answers others, is no finding, and does not hide one.
func TestOneObject(t *testing.T) {
	t.Parallel()
	f := newFront(t, func(w http.ResponseWriter, r *http.Request, n int64) bool {
		return r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, "00000003") || answer(w, 500, "InternalError")
	})
	if _, err := f.store.Lie(t.Context(), refstore.Lie{Kind: "lose", Key: planted, Count: 1, Probability: 1}); err != nil {
		t.Fatal(err)
	}
	out := play(t, f.world(500*time.Millisecond), lossy)
	if out.Verdict != verdict.Fail || len(out.Findings) != 2 || out.Err == nil || !strings.Contains(out.Err.Error(), "1 objects could not be judged, the first: ") ||
		!strings.Contains(out.Err.Error(), "00000003: InternalError (HTTP status 500): not now") {
		t.Errorf("%v: %v: %v", out.Verdict, out.Err, out.Findings)
	}
}

// TestSecondLook: an answer that tells of a loss is one, though the object is
// there a moment later: S3 promises that what it has acknowledged is read by
// everybody from then on. The finding says that it is no longer so. An answer that tells
// nothing is none, whatever comes first.
func TestSecondLook(t *testing.T) {
	for name, c := range map[string]struct {
		first func(w http.ResponseWriter) bool
		found int
	}{
		"NoSuchKey":             {func(w http.ResponseWriter) bool { return answer(w, 404, "NoSuchKey") }, 1},
		"404 without S3":        {func(w http.ResponseWriter) bool { return page(w, 404) }, 0},
		"SlowDown":              {func(w http.ResponseWriter) bool { return answer(w, 503, "SlowDown") }, 0},
		"a reset":               {hangUp, 0},
		"the login of a portal": {func(w http.ResponseWriter) bool { return page(w, 302) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var once sync.Once
			f := newFront(t, func(w http.ResponseWriter, r *http.Request, n int64) bool {
				pass := true
				if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, planted) {
					once.Do(func() { pass = c.first(w) })
				}
				return pass
			})
			out := play(t, f.world(time.Minute), lossy)
			if len(out.Findings) != c.found || out.Err != nil {
				t.Fatalf("%v, %v", out.Findings, out.Err)
			}
			for _, found := range out.Findings {
				if found.Stable || !found.Last.After(found.First) || !strings.HasSuffix(found.Found, " later no longer") {
					t.Errorf("%+v", found)
				}
			}
		})
	}
}

// TestDeleteOfNothing: a delete that is answered NoSuchKey, of an object that
// was put and that nothing else can have deleted, is reported.
func TestDeleteOfNothing(t *testing.T) {
	t.Parallel()
	f := newFront(t, nil)
	f.trouble = func(w http.ResponseWriter, r *http.Request, n int64) bool {
		if r.Method != http.MethodDelete || !strings.HasSuffix(r.URL.Path, planted) {
			return true
		}
		f.forward.ServeHTTP(httptest.NewRecorder(), r)
		return answer(w, 404, "NoSuchKey")
	}
	out := play(t, f.world(time.Minute), "- {name: a, required: {buckets: 1}, objects: {count: 30}, tests: [put, delete], checks: [check-content]}")
	want := verdict.Refusal{What: "delete of an object that was put and that nothing had deleted: NoSuchKey (HTTP status 404)", Message: "not now", Count: 1}
	if out.Verdict != verdict.Pass || len(out.Refusals) != 2 || out.Refusals[0] != want || out.Tick.Refused != 1 {
		t.Errorf("%v: %v, %d refused", out.Verdict, out.Refusals, out.Tick.Refused)
	}
}

// TestRefusedBytes: what the store did not take is not counted as moved.
func TestRefusedBytes(t *testing.T) {
	t.Parallel()
	f := newFront(t, func(w http.ResponseWriter, r *http.Request, n int64) bool {
		return r.Method != http.MethodPut || !strings.HasSuffix(r.URL.Path, "1") || answer(w, 400, "EntityTooLarge")
	})
	out := play(t, f.world(time.Second), "- {name: a, required: {buckets: 1}, objects: {count: 10, size: 1K}, tests: [put], checks: [check-content]}")
	if out.Tick.Bytes != 9<<10 || out.Tick.Refused != 1 || out.Verdict != verdict.Pass {
		t.Errorf("%v: %d bytes, %d refused", out.Verdict, out.Tick.Bytes, out.Tick.Refused)
	}
}
