package refstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

// Config says what a server consists of. The zero value is a store without
// backends.
type Config struct {
	Dir       string          `json:"dir,omitempty"`        // for the spill file; empty: the system's for temporary files
	BodyMax   int64           `json:"body_max,omitempty"`   // bytes of a body that stays in memory; 0: 64 KiB, negative: none does
	MemoryMax int64           `json:"memory_max,omitempty"` // bytes of all bodies in memory; 0: 512 MiB
	ObjectMax int64           `json:"object_max,omitempty"` // bytes of one put; 0: 5 GiB
	Region    string          `json:"region,omitempty"`     // empty: us-east-1
	Backends  []BackendConfig `json:"backends,omitempty"`
}

// BackendConfig is one backend: a store of its own, where the front store keeps
// the objects of the buckets that were created with its name as location.
type BackendConfig struct {
	Name   string `json:"name"`             // not empty, not the region, unique
	Type   string `json:"type,omitempty"`   // aws, gcp, …: kept for the caller, all behave alike
	Bucket string `json:"bucket,omitempty"` // where it keeps them; empty: "backend"
}

func (c Config) withDefaults() Config {
	if c.Region == "" {
		c.Region = "us-east-1"
	}
	c.Backends = append([]BackendConfig(nil), c.Backends...)
	for i := range c.Backends {
		if c.Backends[i].Bucket == "" {
			c.Backends[i].Bucket = "backend"
		}
	}
	return c
}

// Endpoint is where a store is and who may use it.
type Endpoint struct {
	URL string `json:"url"`
	Credentials
}

// Backend is a backend that is running.
type Backend struct {
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	Bucket   string   `json:"bucket"` // an object of front bucket B is here as B/KEY
	Endpoint Endpoint `json:"endpoint"`
}

// Stats is what a server holds and has done.
type Stats struct {
	Front    StoreStats            `json:"front"`
	Backends map[string]StoreStats `json:"backends"`
	Bodies   int64                 `json:"bodies_bytes"` // each body once, however many stores hold it
	Memory   int64                 `json:"memory_bytes"` // of them, those in memory
	Spilled  int64                 `json:"spilled_bytes"`
}

// cluster is the front store and its backends, each with a listener.
type cluster struct {
	bodies    *Bodies
	front     *Store
	stores    map[string]*Store
	servers   []*http.Server
	listeners []net.Listener

	endpoint Endpoint
	backends []Backend
}

// backendKeyMax leaves room for the name of the front bucket and a slash
// before a key of full length.
const backendKeyMax = 1024 + 63 + 1

// newCluster makes all stores and opens their listeners on loopback.
func newCluster(c Config) (*cluster, error) {
	c = c.withDefaults()
	bodies := NewBodies(c.Dir, c.BodyMax, c.MemoryMax)
	k := &cluster{
		bodies: bodies,
		front:  NewStore(bodies, StoreOptions{ObjectMax: c.ObjectMax}),
		stores: map[string]*Store{},
	}
	var err error
	if k.endpoint, err = k.listen(k.front, c.Region); err != nil {
		return nil, errors.Join(err, k.close())
	}
	for _, b := range c.Backends {
		if err := k.addBackend(c, b); err != nil {
			return nil, errors.Join(err, k.close())
		}
	}
	return k, nil
}

func (k *cluster) addBackend(c Config, b BackendConfig) error {
	if b.Name == "" || b.Name == c.Region || k.stores[b.Name] != nil {
		return fmt.Errorf("refstore: backend %q: want a name that is neither empty, nor the region, nor used twice", b.Name)
	}
	store := NewStore(k.bodies, StoreOptions{KeyMax: backendKeyMax, ObjectMax: c.ObjectMax})
	if err := k.front.AddBackend(b.Name, store, b.Bucket); err != nil {
		return fmt.Errorf("refstore: backend %s: bucket %s: %w", b.Name, b.Bucket, err)
	}
	endpoint, err := k.listen(store, c.Region)
	if err != nil {
		return err
	}
	k.stores[b.Name] = store
	k.backends = append(k.backends, Backend{b.Name, b.Type, b.Bucket, endpoint})
	return nil
}

// listen gives a store a listener and an account of its own.
func (k *cluster) listen(s *Store, region string) (Endpoint, error) {
	credentials := Credentials{"ASSAY" + strings.ToUpper(rand.Text()[:15]), rand.Text() + rand.Text()[:14], region}
	url, err := k.serve(NewS3(s, credentials))
	return Endpoint{url, credentials}, err
}

// serve opens a listener for handler; run answers on it.
func (k *cluster) serve(handler http.Handler) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("refstore: listen: %w", err)
	}
	k.listeners = append(k.listeners, l)
	k.servers = append(k.servers, &http.Server{
		Handler:                      handler,
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            time.Minute,
		ErrorLog:                     log.New(os.Stderr, "refstore: ", 0), // panics
	})
	return "http://" + l.Addr().String(), nil
}

// run answers requests until ctx ends, then drops all connections.
func (k *cluster) run(ctx context.Context) error {
	ended := make(chan error, len(k.servers))
	for i, s := range k.servers {
		go func() { ended <- s.Serve(k.listeners[i]) }()
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-ended:
		err = fmt.Errorf("refstore: serve: %w", err)
	}
	return errors.Join(err, k.close())
}

func (k *cluster) close() error {
	var errs []error
	for _, s := range k.servers {
		errs = append(errs, s.Close())
	}
	for _, l := range k.listeners {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, k.bodies.Close())...)
}

func (k *cluster) stats() Stats {
	s := Stats{
		Front:    k.front.Stats(),
		Backends: map[string]StoreStats{},
		Bodies:   k.bodies.bytes.Load(),
		Memory:   k.bodies.memory.Load(),
		Spilled:  k.bodies.spill.used.Load(),
	}
	for name, store := range k.stores {
		s.Backends[name] = store.Stats()
	}
	return s
}
