package web

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// serve runs a server until the test ends.
func serve(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Listen(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Mux.Handle("GET /change", SameSite(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "changed") })))
	s.Mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		fmt.Fprint(w, len(b))
	})
	start(t, s)
	return s
}

// start lets the server serve until the test ends.
func start(t *testing.T, s *Server) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// ask sends a request with headers, given in pairs.
func ask(t *testing.T, method, url string, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	a, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, string(b)
}

func TestToken(t *testing.T) {
	s := serve(t, Options{Token: "secret", Address: "127.0.0.1"})
	for _, c := range []struct {
		authorization string
		want          int
	}{
		{"", 401}, {"Bearer secret", 200}, {"bearer secret", 200}, {"BEARER  secret", 200}, {"Bearers secret", 401}, {"Bearer secre", 401}, {"Bearer secrets", 401}, {"Bearer ", 401}, {"secret", 401},
		{"Basic bm9ib2R5OnNlY3JldA==", 200}, // nobody:secret
		{"Basic c2VjcmV0Og==", 401},         // secret:
	} {
		if got, _ := ask(t, "GET", s.URL()+"/change", "Authorization", c.authorization); got != c.want {
			t.Errorf("%q: %d, want %d", c.authorization, got, c.want)
		}
	}
	if got, text := ask(t, "GET", s.URL()+"/healthz"); got != 200 || text != "ok\n" {
		t.Errorf("/healthz without a token: %d %q", got, text)
	}
	if got, _ := ask(t, "GET", s.URL()+"/metrics"); got != 401 {
		t.Errorf("/metrics without a token: %d", got)
	}
}

func TestHealthAndMetrics(t *testing.T) {
	var ill error
	s := serve(t, Options{Health: func() error { return ill }})
	if _, text := ask(t, "GET", s.URL()+"/metrics"); !strings.Contains(text, "process_resident_memory_bytes") {
		t.Errorf("no metrics: %s", text)
	}
	ill = errors.New("the disk is gone")
	if got, text := ask(t, "GET", s.URL()+"/healthz"); got != 503 || text != "the disk is gone\n" {
		t.Errorf("%d %q", got, text)
	}
}

func TestSameSite(t *testing.T) {
	s := serve(t, Options{})
	host := s.Addr().String()
	const browser = "Mozilla/5.0 (X11; Linux x86_64)"
	for _, c := range []struct {
		headers []string
		want    int
	}{
		{nil, 200},
		{[]string{"User-Agent", "curl/8"}, 200},
		{[]string{"User-Agent", browser}, 403}, // it does not say who asks: one click more
		{[]string{"User-Agent", browser, "Sec-Fetch-Site", "none"}, 200},
		{[]string{"User-Agent", browser, "Sec-Fetch-Site", "same-origin"}, 200},
		{[]string{"User-Agent", browser, "Sec-Fetch-Site", "cross-site"}, 403},
		{[]string{"User-Agent", browser, "Sec-Fetch-Site", "same-site"}, 403}, // a neighbour in the domain
		{[]string{"User-Agent", browser, "Sec-Fetch-Site", "cross-site", "Referer", "http://" + host + "/"}, 403},
		{[]string{"User-Agent", browser, "Referer", "http://" + host + "/page"}, 200},
		{[]string{"User-Agent", browser, "Referer", "http://elsewhere/" + host}, 403},
		{[]string{"User-Agent", browser, "Origin", "http://" + host}, 200},
		{[]string{"User-Agent", browser, "Origin", "null"}, 403},
		{[]string{"User-Agent", "curl/8", "Origin", "https://elsewhere"}, 403},
	} {
		got, text := ask(t, "GET", s.URL()+"/change?a=1&b=%22", c.headers...)
		if got != c.want || (text == "changed") != (c.want == 200) {
			t.Errorf("%q: %d %q, want %d", c.headers, got, text, c.want)
		}
	}
	if _, text := ask(t, "GET", s.URL()+"/change?a=1&b=%22", "User-Agent", browser); !strings.Contains(text, `href="/change?a=1&amp;b=%22"`) {
		t.Errorf("the page that asks has no link to what was asked for:\n%s", text)
	}
}

func TestLoopback(t *testing.T) {
	for _, address := range []string{"0.0.0.0", "::", "192.0.2.1", "example.org"} {
		if _, err := Listen(Options{Address: address}); !errors.Is(err, ErrOptions) {
			t.Errorf("%s without a token: %v", address, err)
		}
	}
	s := serve(t, Options{})
	if !s.Addr().(*net.TCPAddr).IP.IsLoopback() {
		t.Errorf("without a token it listens on %v", s.Addr())
	}
	if got, _ := ask(t, "GET", s.URL()+"/change", "Host", "rebound.example"); got != 403 {
		t.Errorf("a foreign name for loopback: %d", got)
	}
	for _, host := range []string{"localhost:1234", "127.0.0.1", "[::1]:8080"} {
		if got, _ := ask(t, "GET", s.URL()+"/change", "Host", host); got != 200 {
			t.Errorf("%s: %d", host, got)
		}
	}
	for _, o := range []Options{{Open: true}, {Token: "x"}} {
		s := serve(t, o)
		if !s.Addr().(*net.TCPAddr).IP.IsUnspecified() {
			t.Errorf("%+v listens on %v", o, s.Addr())
		}
	}
}

// certificate makes one for 127.0.0.1 and returns its files.
func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, &c, &c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := certificate(t, dir)
	s := serve(t, Options{CertFile: cert, KeyFile: key})
	if !strings.HasPrefix(s.URL(), "https://") {
		t.Errorf("URL %s", s.URL())
	}
	if got, _ := ask(t, "GET", s.URL()+"/change"); got != 200 {
		t.Errorf("over TLS: %d", got)
	}
	serial := func() string {
		c, err := tls.Dial("tcp", s.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	before := serial()
	certificate(t, dir)
	if serial() == before {
		t.Error("a certificate that was replaced is not used")
	}
	for _, o := range []Options{{CertFile: cert}, {KeyFile: key}, {CertFile: key, KeyFile: cert}, {CertFile: "none", KeyFile: "none"}} {
		if _, err := Listen(o); !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestBodyIsLimited(t *testing.T) {
	s := serve(t, Options{Body: 1000})
	for size, want := range map[int]int{1000: 200, 1001: 413} {
		a, err := http.Post(s.URL()+"/echo", "text/plain", strings.NewReader(strings.Repeat("x", size)))
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if a.StatusCode != want {
			t.Errorf("%d bytes: %d, want %d", size, a.StatusCode, want)
		}
	}
}

// TestEndlessBody sends one that has no end, and is told to stop.
func TestEndlessBody(t *testing.T) {
	s := serve(t, Options{})
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go func() {
		fmt.Fprintf(c, "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
		for chunk := fmt.Sprintf("10000\r\n%s\r\n", strings.Repeat("x", 0x10000)); ; {
			if _, err := io.WriteString(c, chunk); err != nil {
				return // the server has closed it
			}
		}
	}()
	if line, err := bufio.NewReader(c).ReadString('\n'); !strings.HasPrefix(line, "HTTP/1.1 413 ") {
		t.Errorf("%q %v", line, err)
	}
}

// TestIdleConnections wants memory that a thousand silent clients do not grow
// by more than what a connection is worth.
func TestIdleConnections(t *testing.T) {
	s := serve(t, Options{})
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	before := inUse()
	for i := range 1000 {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i%2 == 0 {
			fmt.Fprintf(c, "GET /change HTTP/1.1\r\nX-Slow: ") // and never more
		}
	}
	if got, _ := ask(t, "GET", s.URL()+"/healthz"); got != 200 {
		t.Errorf("beside a thousand idle connections: %d", got)
	}
	if after := inUse(); after > before+64<<20 {
		t.Errorf("a thousand idle connections take %d MiB", (after-before)>>20)
	}
}
