package object

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/refstore"
	"github.com/seed-1b600011/assay/scenario"
)

// store is where the buckets of one plan are: a reference store of their own,
// which ends with the last of them, or one that was there before.
type store struct {
	*standing
	client Client
	server *refstore.Server // nil: not ours
	users  atomic.Int64
}

// outlives is whether what is in the store stays when the run ends.
func (s *store) outlives() bool { return s.server == nil }

// dead tells why a server of our own cannot answer any more.
func dead(server *refstore.Server) error {
	select {
	case <-server.Done():
		return fmt.Errorf("the reference store has ended: %w", errors.Join(errEnded, server.Err()))
	default:
		return nil
	}
}

var errEnded = errors.New("its process is gone")

func (s *store) release(ctx context.Context) error {
	if s.users.Add(-1) > 0 || s.server == nil {
		return nil
	}
	return s.server.Close(ctx)
}

// refuse tells what of a scenario's buckets this package cannot do yet.
func refuse(spec *scenario.Spec) error {
	for _, b := range spec.Required.Buckets {
		switch {
		case b.Replication.On:
			return errors.New("this assay does not set up replication yet")
		case b.Versioning:
			return errors.New("this assay does not set up versioning yet")
		case b.Expiration > 0:
			return errors.New("this assay does not set up expiration yet")
		}
	}
	return nil
}

// probePatience bounds the first request to a store: one that hangs is told soon.
const probePatience = 10 * time.Second

// prepare makes the buckets of a plan.
func (w World) prepare(ctx context.Context, e *scenario.Env) ([]scenario.Live, error) {
	chosen, err := w.choose(e)
	if err != nil {
		return nil, err
	}
	s, err := w.open(ctx, e, chosen)
	if err != nil {
		return nil, err
	}
	s.users.Add(1) // ours, until all buckets are there
	var lives []scenario.Live
	for i, spec := range e.Plan.Required.Buckets {
		b, err := w.bucket(ctx, e, s, spec, chosen[i])
		if err != nil {
			err = fmt.Errorf("bucket %s: %w", spec.Name, err)
			for _, l := range slices.Backward(lives) {
				err = errors.Join(err, l.Close(context.WithoutCancel(ctx)))
			}
			return nil, errors.Join(err, s.release(context.WithoutCancel(ctx)))
		}
		lives = append(lives, b)
	}
	return lives, s.release(ctx)
}

// choose picks the backend of each bucket: nil for the store's own.
func (w World) choose(e *scenario.Env) ([]*Backend, error) {
	if w.Endpoint != nil {
		for _, f := range e.Plan.Faults {
			if f.Fault.Name == lieName {
				return nil, scenario.Misconfigured(w.Place, "lie is a fault of the reference store, and no endpoint can be told to do it")
			}
		}
	}
	chosen := make([]*Backend, len(e.Plan.Required.Buckets))
	for i, spec := range e.Plan.Required.Buckets {
		if spec.Transient || len(spec.Clouds) == 0 || spec.Clouds[0] == cluster {
			continue
		}
		if w.Endpoint == nil {
			chosen[i] = &Backend{Name: spec.Clouds[0] + "-1", Type: spec.Clouds[0]}
			continue
		}
		fit := slices.DeleteFunc(slices.Clone(w.Backends), func(b Backend) bool { return b.Type != spec.Clouds[0] })
		if len(fit) == 0 {
			return nil, scenario.Misconfigured(w.Place, "there is no backend of type %s for bucket %s", spec.Clouds[0], spec.Name)
		}
		chosen[i] = &fit[e.Plan.Draw("backend", spec.Name).Below(0, uint64(len(fit)))]
	}
	return chosen, nil
}

// open gives the store of a plan, started if it is the reference store. The
// backends chosen are completed with where they are.
func (w World) open(ctx context.Context, e *scenario.Env, chosen []*Backend) (*store, error) {
	if w.Endpoint != nil {
		s := newStanding(e, w.Endpoint.URL(), w.Patience)
		return &store{standing: s, client: newClient(*w.Endpoint, s.limit)}, nil
	}
	var config refstore.Config
	for _, b := range chosen {
		if b != nil && !slices.ContainsFunc(config.Backends, func(c refstore.BackendConfig) bool { return c.Name == b.Name }) {
			config.Backends = append(config.Backends, refstore.BackendConfig{Name: b.Name, Type: b.Type, Bucket: "cloud"})
		}
	}
	server, err := refstore.Start(ctx, e.Ledger, config)
	if err != nil {
		return nil, err
	}
	for _, there := range server.Backends() {
		for _, b := range chosen {
			if b != nil && b.Name == there.Name {
				b.Bucket, b.Endpoint = there.Bucket, endpointOf(there.Endpoint)
			}
		}
	}
	s := newStanding(e, "the reference store", w.Patience)
	s.dead = func() error { return dead(server) }
	client := newClient(endpointOf(server.Front()), s.limit)
	if w.hindered {
		client = &hinderedClient{Client: client}
	}
	return &store{standing: s, client: client, server: server}, nil
}

func endpointOf(e refstore.Endpoint) Endpoint {
	return Endpoint{Host: e.URL, AccessKey: e.AccessKey, SecretKey: e.SecretKey, Region: e.Region}
}

// bucket makes one bucket, entered into the ledger first where it would
// outlive the run.
func (w World) bucket(ctx context.Context, e *scenario.Env, s *store, spec scenario.Bucket, on *Backend) (*Bucket, error) {
	b := &Bucket{name: spec.Name, env: e, client: s.client, backend: on, store: s,
		real: "assay-" + dns(spec.Name) + "-" + machine.Token()[:12], gone: func() error { return nil }}
	if s.outlives() {
		entry, err := w.left(b.real)
		if err != nil {
			return nil, err
		}
		if b.gone, err = e.Ledger.Intend(bucketKind, entry); err != nil {
			return nil, err
		}
	}
	location := ""
	if on != nil {
		location = on.Name
	}
	probe, cancel := context.WithTimeoutCause(ctx, probePatience, fmt.Errorf("no answer within %v", probePatience))
	defer cancel()
	if err := b.create(probe, location); err != nil {
		blamed := w.blame(probe, s, err)
		if phaseOf(err) == history.Unknown && s.outlives() { // it may be there all the same
			return nil, errors.Join(blamed, b.undoCreate(ctx))
		}
		return nil, errors.Join(blamed, b.gone())
	}
	s.users.Add(1)
	if err := b.probe(probe); err != nil {
		s.spend(time.Now()) // or closing would be patient with it
		return nil, errors.Join(err, b.Close(context.WithoutCancel(ctx)))
	}
	return b, nil
}

// create makes the bucket. Where an earlier try was left without an outcome,
// the bucket may be there: no other run has its name.
func (b *Bucket) create(ctx context.Context, location string) error {
	tries := 0
	return b.store.insist(ctx, func() error {
		tries++
		err := b.client.CreateBucket(ctx, b.real, location)
		if code := codeOf(err); tries > 1 && (code == "BucketAlreadyOwnedByYou" || code == "BucketAlreadyExists") {
			return nil
		}
		return err
	})
}

// probe asks for an object that is not there: whatever says that it is, says
// yes to everything, and what it acknowledges is no promise of a store.
func (b *Bucket) probe(ctx context.Context) error {
	err := b.store.insist(ctx, func() error {
		body, _, err := b.client.Get(ctx, b.real, "assay-probe-"+machine.Token())
		if err == nil {
			body.Close()
		}
		return err
	})
	if Absent(err) {
		return nil
	}
	if err == nil {
		return fmt.Errorf("what answers at %s is no S3 store: it has an object that nobody put", b.store.place)
	}
	return fmt.Errorf("what answers at %s is no S3 store: an object that is not there: %w", b.store.place, err)
}

const resetsBorne = 3 // requests without an answer, before a run

// insist makes one of the first requests to a store. It is patient with a store
// that throttles, and not with what may be no store.
func (s *standing) insist(ctx context.Context, request func() error) error {
	for try := 1; ; try++ {
		err := request()
		if err := s.dead(); err != nil {
			return err
		}
		var dial *net.OpError
		switch kind := answerOf(err); {
		case kind == telling, kind == lasting, kind == silent && try == resetsBorne, errors.As(err, &dial) && dial.Op == "dial":
			return err
		}
		if s.pause(ctx, try) != nil {
			return err
		}
	}
}

// undoCreate deletes a bucket of which nobody knows whether it was made. If
// the store does not tell then either, the ledger keeps it for later.
func (b *Bucket) undoCreate(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	err := b.client.DeleteBucket(ctx, b.real)
	if phaseOf(err) == history.Unknown && (statusOf(err) == 0 || codeOf(err) != "") {
		return nil
	}
	return b.gone() // what answers without an S3 error has made no bucket
}

// blame says whose mistake it is that the first request failed: credentials
// that the store does not take are the user's; an endpoint that does not
// answer as a store does is the target's.
func (w World) blame(ctx context.Context, s *store, err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	switch {
	case e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden:
		if e.Code != "" {
			return scenario.Misconfigured(w.Place, "the store at %s refuses the credentials: %s", s.place, strings.TrimSuffix(e.Code+": "+e.Message, ": "))
		}
	case e.Code == "InvalidLocationConstraint":
		return scenario.Misconfigured(w.Place, "the store at %s knows no such backend: %v", s.place, err)
	case e.Status != 0 && e.Code == "":
		return fmt.Errorf("what answers at %s is no S3 store: %w", s.place, err)
	case e.Status == 0 && context.Cause(ctx) != nil:
		return fmt.Errorf("%s: %w", s.place, context.Cause(ctx))
	case e.Status == 0:
		return fmt.Errorf("%s cannot be reached: %w", s.place, err)
	}
	return err
}

// dns is a name fit for the name of a bucket.
func dns(name string) string {
	s := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		if c >= 'A' && c <= 'Z' {
			return c - 'A' + 'a'
		}
		return '-'
	}, name)
	return strings.Trim(s[:min(len(s), 30)], "-")
}
