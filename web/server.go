package web

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Options say where a server listens and whom it answers.
type Options struct {
	// Address is the host or IP address to listen on. Empty: every one with a
	// token or Open, loopback without.
	Address string
	// Port is the TCP port; 0: one that is free, see Server.Addr.
	Port int
	// Token is wanted of every request but those to /healthz. Empty: of none.
	Token string
	// Open allows to listen beyond loopback without a token.
	Open bool
	// CertFile and KeyFile are PEM files of a certificate and its key. Both or
	// neither: then there is no TLS. They are read again at every handshake, as
	// such files are replaced before they expire.
	CertFile, KeyFile string
	// Health tells why the server is not well; nil: it always is.
	Health func() error
	// Connections is how many there are at most at the same time. When there is
	// one more, the one that has waited longest for a request is closed. Half of
	// them, rounded up, may have a request answered at the same time; more are
	// refused with 503, but not /healthz. 0: 512.
	Connections int
	// Body is the largest body that a request may have, in bytes: it is in memory
	// before its request is answered. 0: 4 KiB.
	Body int64
	// Log is told what goes wrong with connections; nil: nobody is.
	Log *log.Logger
}

func (o Options) withDefaults() Options {
	if o.Connections == 0 {
		o.Connections = 512
	}
	if o.Body == 0 {
		o.Body = 4 << 10
	}
	if o.Address == "" {
		o.Address = "127.0.0.1"
		if o.Token != "" || o.Open {
			o.Address = "0.0.0.0"
		}
	}
	return o
}

// ErrOptions is what errors.Is finds in an error of the options themselves.
var ErrOptions = errors.New("the server's options")

func (o Options) check() error {
	if (o.CertFile == "") != (o.KeyFile == "") {
		return fmt.Errorf("%w: a certificate and its key come together", ErrOptions)
	}
	if o.Port < 0 || o.Port > 65535 {
		return fmt.Errorf("%w: port %d: want 0 to 65535", ErrOptions, o.Port)
	}
	if o.Token == "" && !o.Open && !loopback(o.Address) {
		return fmt.Errorf("%w: whoever reaches %s could use it: give it a token, or say that it is open", ErrOptions, o.Address)
	}
	if o.CertFile != "" {
		if _, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile); err != nil {
			return fmt.Errorf("%w: TLS: %w", ErrOptions, err)
		}
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Server answers over HTTP. Its Mux has /healthz and /metrics; everything else
// is the caller's, to be added before Serve.
type Server struct {
	Mux *http.ServeMux
	// Metrics are what /metrics shows.
	Metrics *prometheus.Registry

	o      Options
	listen net.Listener
	places chan struct{} // of requests that are being answered
}

// Listen binds the address, so that a port that is taken is told at once.
// Serve must follow, or Close.
func Listen(o Options) (*Server, error) {
	o = o.withDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	s := &Server{Mux: http.NewServeMux(), Metrics: prometheus.NewRegistry(), o: o, places: make(chan struct{}, (o.Connections+1)/2)}
	s.Metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	s.Mux.HandleFunc("GET /healthz", s.health)
	s.Mux.Handle("GET /metrics", promhttp.HandlerFor(s.Metrics, promhttp.HandlerOpts{MaxRequestsInFlight: 8}))
	s.Mux.HandleFunc("GET "+assetPath, asset)
	l, err := net.Listen("tcp", net.JoinHostPort(o.Address, strconv.Itoa(o.Port)))
	if err != nil {
		return nil, err
	}
	s.listen = limitConnections(l, o.Connections)
	return s, nil
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if s.o.Health != nil {
		if err := s.o.Health(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
	}
	fmt.Fprintln(w, "ok")
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listen.Addr() }

// URL is where a person on this machine finds the server.
func (s *Server) URL() string {
	scheme := "http"
	if s.o.CertFile != "" {
		scheme = "https"
	}
	a := s.listen.Addr().(*net.TCPAddr)
	host := a.IP.String()
	if a.IP.IsUnspecified() {
		host = "localhost"
	}
	return fmt.Sprintf("%s://%s", scheme, net.JoinHostPort(host, strconv.Itoa(a.Port)))
}

// Close gives the address back without having served.
func (s *Server) Close() error { return s.listen.Close() }

// patience is how long requests may go on after ctx has ended.
const patience = 3 * time.Second

// Serve answers until ctx ends, then lets what is being answered end, for a
// few seconds at most. It returns nil if ctx has ended it.
func (s *Server) Serve(ctx context.Context) error {
	discard := s.o.Log
	if discard == nil {
		discard = log.New(nowhere{}, "", 0)
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true) // of which a connection has one request at a time
	h := &http.Server{
		Handler:           s.handler(),
		ErrorLog:          discard,
		Protocols:         &protocols,
		ConnContext:       withConn,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      2 * time.Minute,
		IdleTimeout:       90 * time.Second,
		MaxHeaderBytes:    8 << 10,
	}
	ended := make(chan error, 1)
	go func() {
		if s.o.CertFile != "" {
			h.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.certificate}
			ended <- h.ServeTLS(s.listen, "", "")
			return
		}
		ended <- h.Serve(s.listen)
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("serve on %s: %w", s.Addr(), err)
	case <-ctx.Done():
	}
	over, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if h.Shutdown(over) != nil {
		h.Close() // a client that does not end is cut off
	}
	<-ended
	return nil
}

func (s *Server) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c, err := tls.LoadX509KeyPair(s.o.CertFile, s.o.KeyFile)
	return &c, err
}

type nowhere struct{}

func (nowhere) Write(b []byte) (int, error) { return len(b), nil }

// handler is the mux behind what holds for every request.
func (s *Server) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")        // nobody's page lays ours under a click
		h.Set("Referrer-Policy", "same-origin") // SameSite knows our own pages by it
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		if s.o.Token == "" && !s.o.Open && !loopback(hostOf(r)) {
			http.Error(w, "refused: this server is for this machine alone, and "+strconv.Quote(r.Host)+" is not its name", http.StatusForbidden)
			return
		}
		if r.URL.Path == "/healthz" {
			defer answering(r)()
			s.Mux.ServeHTTP(w, r)
			return
		}
		if !s.allowed(r) {
			h.Set("WWW-Authenticate", `Basic realm="assay: any name, and the token as the password", charset="UTF-8"`)
			http.Error(w, "a token is wanted: Authorization: Bearer TOKEN", http.StatusUnauthorized)
			return
		}
		s.answer(w, r)
	})
}

// answer reads the body of a request and answers it, if not too many are being
// answered already. The body comes first: a client that sends it slowly is one
// that waits, and makes room for others.
func (s *Server) answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.o.Body))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		http.Error(w, fmt.Sprintf("refused: a body of more than %d bytes", large.Limit), http.StatusRequestEntityTooLarge)
		return
	case err != nil:
		http.Error(w, "the body has not come", http.StatusBadRequest)
		return
	}
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many requests at the same time", http.StatusServiceUnavailable)
		return
	}
	defer answering(r)()
	r.Body = io.NopCloser(bytes.NewReader(body))
	s.Mux.ServeHTTP(w, r)
}

// hostOf is the name by which a browser has found us. A page whose name was
// made to mean loopback (DNS rebinding) shows its own.
func hostOf(r *http.Request) string {
	if host, _, err := net.SplitHostPort(r.Host); err == nil {
		return host
	}
	return strings.Trim(r.Host, "[]")
}
