package object

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	"github.com/seed-1b600011/assay/scenario"
)

// Fault model: what stands between a client and a store refuses requests for
// reasons of its own (throttling, an error of its own, credentials that have
// run out), or loses a request before the store has got it, or an answer on its
// way back. The store keeps all that it has acknowledged. So many requests are
// hindered, from when the fault begins on and whatever goes on then, also those
// of the checks. The fuzzer alone has this fault: see package fuzz.

const hinderName = "hinder-buckets"

// hindering are the options.
type hindering struct {
	How   string `yaml:"how" doc:"what becomes of a request" enum:"slow-down,too-many-requests,internal-error,bad-gateway,expired-token,lost-request,lost-answer" required:"true"`
	Count int64  `yaml:"count" doc:"how many requests" min:"1" max:"1000" required:"true"`
}

// answer is what a client gets; Status 0 is no answer.
func (h hindering) answer() *Error {
	switch h.How {
	case "slow-down":
		return &Error{Status: http.StatusServiceUnavailable, Code: "SlowDown"}
	case "too-many-requests":
		return &Error{Status: http.StatusTooManyRequests}
	case "internal-error":
		return &Error{Status: http.StatusInternalServerError, Code: "InternalError"}
	case "bad-gateway":
		return &Error{Status: http.StatusBadGateway}
	case "expired-token":
		return &Error{Status: http.StatusForbidden, Code: "ExpiredToken"}
	}
	return &Error{Err: errors.New("the connection was reset")}
}

// RegisterHindered is Register for the reference store with a client whose
// requests the fault hinder-buckets hinders.
func RegisterHindered(r *scenario.Registry) {
	Register(r, World{hindered: true})
	r.Fault(scenario.Fault{Name: hinderName, Doc: "requests are refused, or get lost, on their way", Target: scenario.BucketKind, Options: hindering{},
		Inject: func(_ context.Context, _ *scenario.Env, l scenario.Live, options any) (scenario.Injected, error) {
			c, ok := l.(*Bucket).store.client.(*hinderedClient)
			if !ok {
				return nil, errors.New("this store's requests are not hindered")
			}
			return c.hinder(*options.(*hindering)), nil
		}})
}

// hinderedClient is a client some of whose requests go wrong.
type hinderedClient struct {
	Client
	mu  sync.Mutex
	all []*hindrance
}

// hindrance is one fault that is on, or was and still has requests to hinder.
type hindrance struct {
	client  *hinderedClient
	how     hindering
	touched int64
}

func (c *hinderedClient) hinder(how hindering) *hindrance {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := &hindrance{client: c, how: how}
	c.all = append(c.all, h)
	return h
}

// Touched is how many requests it has hindered so far.
func (h *hindrance) Touched(context.Context) (int64, error) {
	h.client.mu.Lock()
	defer h.client.mu.Unlock()
	return h.touched, nil
}

// Stop leaves those of its requests that have not come to the checks.
func (h *hindrance) Stop(context.Context) error { return nil }

// meets says what hinders the next request; done: it is carried out first.
func (c *hinderedClient) meets(doing string) (err error, done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.all {
		if h.touched < h.how.Count {
			h.touched++
			e := h.how.answer()
			e.Doing = doing
			return e, h.how.How == "lost-answer"
		}
	}
	return nil, true
}

// through does a request, or not, as what hinders it says.
func (c *hinderedClient) through(doing string, request func() error) error {
	hindered, done := c.meets(doing)
	if !done {
		return hindered
	}
	err := request()
	if hindered != nil {
		return hindered
	}
	return err
}

func (c *hinderedClient) Put(ctx context.Context, bucket, key string, body io.ReadSeeker, size int64) error {
	return c.through("put "+bucket+"/"+key, func() error { return c.Client.Put(ctx, bucket, key, body, size) })
}

func (c *hinderedClient) Delete(ctx context.Context, bucket, key string) error {
	return c.through("delete "+bucket+"/"+key, func() error { return c.Client.Delete(ctx, bucket, key) })
}

func (c *hinderedClient) Get(ctx context.Context, bucket, key string) (body io.ReadCloser, size int64, err error) {
	hindered, _ := c.meets("get " + bucket + "/" + key)
	if hindered != nil {
		return nil, 0, hindered
	}
	return c.Client.Get(ctx, bucket, key)
}

func (c *hinderedClient) List(ctx context.Context, bucket, after string, limit int) (page []Listed, more bool, err error) {
	hindered, _ := c.meets("list " + bucket)
	if hindered != nil {
		return nil, false, hindered
	}
	return c.Client.List(ctx, bucket, after, limit)
}
