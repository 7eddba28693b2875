package object

import (
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed-1b600011/assay/scenario"
)

// Endpoint is the address of an S3 store and the credentials for it.
type Endpoint struct {
	Host      string `yaml:"host" required:"true"` // a URL, or a host with its port: then over http
	AccessKey string `yaml:"access_key" required:"true"`
	SecretKey string `yaml:"secret_key" required:"true"`
	Region    string `yaml:"region"`   // default us-east-1
	CAFile    string `yaml:"ca-file"`  // PEM certificates that may sign the store's; default: those of the system
	Insecure  bool   `yaml:"insecure"` // take any certificate

	roots *x509.CertPool // of CAFile
}

// URL is the host as a URL.
func (e Endpoint) URL() string {
	if strings.Contains(e.Host, "://") {
		return e.Host
	}
	return "http://" + e.Host
}

// tls is how the store's certificate is looked at. Nil: as the system does.
func (e Endpoint) tls() *tls.Config {
	if e.roots == nil && !e.Insecure {
		return nil
	}
	return &tls.Config{RootCAs: e.roots, InsecureSkipVerify: e.Insecure}
}

// check finds what is wrong with an endpoint of the file at place, and reads
// what it names; a relative name is one beside that file.
func (e *Endpoint) check(place string) error {
	if err := checkURL(place, e.URL()); err != nil || e.CAFile == "" {
		return err
	}
	path := e.CAFile
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(place), path)
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return scenario.Misconfigured(place, "ca-file: %v", err)
	}
	e.roots = x509.NewCertPool()
	if !e.roots.AppendCertsFromPEM(pem) {
		return scenario.Misconfigured(place, "ca-file: there is no certificate in %s", path)
	}
	return nil
}

// Backend is a store on which the tested one keeps buckets: what a user of
// the tested store never sees, and check-backend looks at.
type Backend struct {
	Name   string // the location constraint of buckets that are kept on it
	Type   string // one of scenario.CloudNames
	Bucket string // its bucket, in which the tested store keeps its own buckets' objects
	Endpoint
}

// World is where the targets are. The zero value is the reference store, with
// a backend of each type that a plan names.
type World struct {
	Place    string    // what messages call the endpoint: its file
	Endpoint *Endpoint // nil: the reference store
	Backends []Backend
	Patience time.Duration // with a store that is away or throttles; 0: DefaultPatience

	hindered bool // the reference store's: see RegisterHindered
}

// Files are the files that say where the targets are, in the form that older
// users have them; empty: none.
type Files struct{ Endpoint, Backends, Secrets string }

type backendsFile struct {
	Backends []backendEntry `yaml:"backends" required:"true"`
}

type backendEntry struct {
	Name     string         `yaml:"name" required:"true"`
	Type     scenario.Cloud `yaml:"type" required:"true"`
	Secret   string         `yaml:"secret" required:"true"`
	Bucket   string         `yaml:"bucket" required:"true"`
	Endpoint string         `yaml:"endpoint"`
	Region   string         `yaml:"region"`
	Record   string         `yaml:"record"`
	CAFile   string         `yaml:"ca-file"`
	Insecure bool           `yaml:"insecure"`
}

type secret struct {
	AccessKey string `yaml:"access_key" required:"true"`
	SecretKey string `yaml:"secret_key" required:"true"`
}

// ReadWorld reads the files. Errors are of type *scenario.ConfigError.
func ReadWorld(f Files) (World, error) {
	var w World
	if f.Endpoint == "" {
		if f.Backends != "" || f.Secrets != "" {
			return w, scenario.Misconfigured("--backends", "backends are those of a store: give its --endpoint too")
		}
		return w, nil
	}
	w.Place, w.Endpoint = f.Endpoint, &Endpoint{}
	if err := scenario.ReadSecrets(f.Endpoint, w.Endpoint); err != nil {
		return w, err
	}
	if err := w.Endpoint.check(f.Endpoint); err != nil {
		return w, err
	}
	if f.Backends == "" {
		return w, nil
	}
	var err error
	w.Backends, err = readBackends(f)
	return w, err
}

func readBackends(f Files) ([]Backend, error) {
	var file backendsFile
	if err := scenario.ReadStrict(f.Backends, &file); err != nil {
		return nil, err
	}
	secrets := map[string]secret{}
	if f.Secrets != "" {
		if err := scenario.ReadSecrets(f.Secrets, &secrets); err != nil {
			return nil, err
		}
	}
	var all []Backend
	seen := map[string]bool{}
	for _, e := range file.Backends {
		keys, ok := secrets[e.Secret]
		switch {
		case seen[e.Name]:
			return nil, scenario.Misconfigured(f.Backends, "two backends are named %q", e.Name)
		case !ok:
			return nil, scenario.Misconfigured(f.Backends, "backend %q: there is no secret %q in %s", e.Name, e.Secret, orFlag(f.Secrets))
		}
		seen[e.Name] = true
		host := e.Endpoint
		if host == "" {
			if host = clouds[string(e.Type)]; host == "" {
				return nil, scenario.Misconfigured(f.Backends, "backend %q: a backend of type %s wants an endpoint", e.Name, e.Type)
			}
		}
		b := Backend{Name: e.Name, Type: string(e.Type), Bucket: e.Bucket,
			Endpoint: Endpoint{Host: host, AccessKey: keys.AccessKey, SecretKey: keys.SecretKey, Region: e.Region,
				CAFile: e.CAFile, Insecure: e.Insecure}}
		if err := b.check(f.Backends); err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	return all, nil
}

// clouds are the well-known endpoints of backend types that have one.
var clouds = map[string]string{
	"aws": "https://s3.amazonaws.com",
	"gcp": "https://storage.googleapis.com",
}

func orFlag(path string) string {
	if path == "" {
		return "any file: give --secrets"
	}
	return path
}

// checkURL finds what is wrong with the address of a store. An address with
// credentials in it is refused: it would be in every message and in the ledger.
// No error repeats what may have them in it.
func checkURL(place, raw string) error {
	if strings.ContainsAny(raw, "@?#") {
		return scenario.Misconfigured(place, "host: an address of a store has no user, password or parameters in it: want http://HOST:PORT, https://HOST or HOST:PORT, and the credentials in access_key and secret_key")
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return scenario.Misconfigured(place, "host: this is no address of a store: want http://HOST:PORT, https://HOST or HOST:PORT")
	}
	return nil
}

// cloudTypes are the backend types that a plan may name in this world; nil: any.
func (w World) cloudTypes() []string {
	if w.Endpoint == nil {
		return nil
	}
	types := []string{cluster}
	for _, b := range w.Backends {
		types = append(types, b.Type)
	}
	return types
}

const cluster = "cluster" // the backend type of the tested store itself
