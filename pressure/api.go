package pressure

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/seed-1b600011/assay/web"
)

// openAPI describes everything below /v1 and /api; a test holds it to what is served.
//
//go:embed openapi.json
var openAPI string

func (s *Service) registerAPI(mux routes) {
	handle := func(pattern string, answer func(r *http.Request) (any, error)) {
		mux.Handle(pattern, web.SameSite(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			v, err := answer(r)
			reply(w, v, err)
		})))
	}
	handle("GET /v1/state", func(*http.Request) (any, error) { return s.All(), nil })
	handle("GET /v1/memory", func(*http.Request) (any, error) { return s.Memory.Current(), nil })
	handle("GET /v1/disk", func(*http.Request) (any, error) { return s.Disk.Current(), nil })
	handle("GET /v1/cpu", func(*http.Request) (any, error) { return s.CPU.Current(), nil })
	handle("PUT /v1/memory", s.putMemory)
	handle("PUT /v1/disk", s.putDisk)
	handle("PUT /v1/cpu", s.putCPU)
	handle("DELETE /v1/memory", func(*http.Request) (any, error) {
		s.plans.stop("mem")
		err := s.Memory.Release()
		return s.Memory.Current(), err
	})
	handle("DELETE /v1/disk", func(*http.Request) (any, error) {
		s.plans.stop("disk")
		err := s.Disk.Release()
		return s.Disk.Current(), err
	})
	handle("DELETE /v1/cpu", func(*http.Request) (any, error) {
		s.plans.stop("cpu")
		err := s.CPU.Release()
		return s.CPU.Current(), err
	})
	handle("GET /v1/plan", func(*http.Request) (any, error) { return s.plans.list(), nil })
	handle("POST /v1/plan", s.postPlan)
	handle("DELETE /v1/plan", func(*http.Request) (any, error) {
		s.plans.stop("mem", "disk", "cpu")
		return s.plans.list(), nil
	})
	mux.Handle("GET /v1/openapi.json", web.Script("application/json", openAPI))
}

// States are what all consumers do.
type States struct {
	Memory State     `json:"memory"`
	Disk   DiskState `json:"disk"`
	CPU    CPUState  `json:"cpu"`
}

// All is what every consumer does.
func (s *Service) All() States { return States{s.Memory.Current(), s.Disk.Current(), s.CPU.Current()} }

// accepted is an answer to what is still under way.
type accepted struct{ any }

// badRequest is an error of who has asked.
type badRequest struct{ error }

func (b badRequest) Unwrap() error { return b.error }

// problem is what an error is told as.
type problem struct {
	Error string `json:"error"`
	// State is what there is all the same, where less was reached than was asked for.
	State any `json:"state,omitempty"`
}

func reply(w http.ResponseWriter, v any, err error) {
	status := http.StatusOK
	if a, ok := v.(accepted); ok {
		v, status = a.any, http.StatusAccepted
	}
	if err != nil {
		v, status = problem{err.Error(), v}, statusOf(err)
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

func statusOf(err error) int {
	var bad badRequest
	var over *LimitError
	var overload *OverloadError
	var short *ShortError
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return http.StatusRequestEntityTooLarge
	case errors.As(err, &bad):
		return http.StatusBadRequest
	case errors.As(err, &over), errors.As(err, &overload):
		return http.StatusUnprocessableEntity
	case errors.As(err, &short):
		return http.StatusInsufficientStorage
	case errors.Is(err, ErrSuperseded):
		return http.StatusConflict
	}
	return http.StatusInternalServerError
}

// decode reads a body that is one JSON object without unknown keys.
func decode(r *http.Request, into any) error {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return badRequest{fmt.Errorf("read the body: %w", err)}
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return badRequest{fmt.Errorf("the body: %w", err)}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return badRequest{errors.New("the body: there is more than one JSON value")}
	}
	return nil
}

// duration is a text such as "90s" or "1h30m".
type duration time.Duration

// UnmarshalJSON reads one.
func (d *duration) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return fmt.Errorf("%s is no duration: want a text such as \"90s\"", b)
	}
	v, err := time.ParseDuration(text)
	if err != nil || v < 0 {
		return fmt.Errorf("%q is no duration: want one such as 90s or 1h30m", text)
	}
	*d = duration(v)
	return nil
}

// MarshalJSON writes one.
func (d duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// amount is a number of bytes, a size as text, or a word.
type amount struct {
	bytes int64
	word  string // max, full
	given bool
}

// UnmarshalJSON reads one.
func (a *amount) UnmarshalJSON(b []byte) error {
	text := string(b)
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
	}
	a.given = true
	if text == "max" || text == "full" {
		a.word = text
		return nil
	}
	var err error
	a.bytes, err = ParseBytes(text)
	return err
}

type memoryRequest struct {
	Bytes  amount   `json:"bytes"`
	Locked bool     `json:"locked"`
	For    duration `json:"for"`
}

type diskRequest struct {
	Bytes  amount   `json:"bytes"`
	Inodes *int64   `json:"inodes"`
	For    duration `json:"for"`
}

type cpuRequest struct {
	Cores   float64  `json:"cores"`
	Percent *float64 `json:"percent"`
	For     duration `json:"for"`
}

func (s *Service) putMemory(r *http.Request) (any, error) {
	var q memoryRequest
	if err := decode(r, &q); err != nil {
		return nil, err
	}
	if !q.Bytes.given || q.Bytes.word == "full" {
		return nil, badRequest{errors.New("bytes: want a size or max")}
	}
	return s.background(r, "mem", time.Duration(q.For), func() any { return s.Memory.Current() }, func(ctx context.Context) error {
		if q.Bytes.word != "" {
			return s.Memory.Fill(ctx, q.Locked)
		}
		return s.Memory.SetLocked(ctx, q.Bytes.bytes, q.Locked)
	}, s.Memory.Release)
}

func (s *Service) putDisk(r *http.Request) (any, error) {
	var q diskRequest
	if err := decode(r, &q); err != nil {
		return nil, err
	}
	if !q.Bytes.given && q.Inodes == nil {
		return nil, badRequest{errors.New("want bytes, inodes or both")}
	}
	if q.Inodes != nil && *q.Inodes < 0 {
		return nil, badRequest{errors.New("inodes: want a number from 0 on")}
	}
	return s.background(r, "disk", time.Duration(q.For), func() any { return s.Disk.Current() }, func(ctx context.Context) (err error) {
		if q.Inodes != nil {
			if err := s.Disk.inodesFit(*q.Inodes); err != nil {
				return err // before anything has changed
			}
		}
		switch {
		case q.Bytes.word == "max":
			err = s.Disk.Fill(ctx)
		case q.Bytes.word == "full":
			err = s.Disk.SetFull(ctx)
		case q.Bytes.given:
			err = s.Disk.Set(ctx, q.Bytes.bytes)
		}
		if err == nil && q.Inodes != nil {
			err = s.Disk.SetInodes(ctx, *q.Inodes)
		}
		return err
	}, s.Disk.Release)
}

func (s *Service) putCPU(r *http.Request) (any, error) {
	var q cpuRequest
	if err := decode(r, &q); err != nil {
		return nil, err
	}
	l := Load{Cores: q.Cores, For: time.Duration(q.For)}
	if q.Percent != nil {
		if *q.Percent == 0 {
			return nil, badRequest{errors.New("percent: want more than 0; DELETE gives the CPU time back")}
		}
		l.Percent = *q.Percent
	}
	if _, err := l.Total(); err != nil {
		return nil, badRequest{err}
	}
	s.plans.stop("cpu")
	err := s.CPU.Set(l)
	return s.CPU.Current(), err
}

const (
	atOnce   = 100 * time.Millisecond // that an answer waits in any case
	waitMost = time.Minute
)

// background begins to reach what was asked for, and waits for it as long as
// the query says (wait=30s). What takes longer goes on behind the answer.
func (s *Service) background(r *http.Request, resource string, hold time.Duration, state func() any, set func(context.Context) error, release func() error) (any, error) {
	wait := atOnce
	if text := r.URL.Query().Get("wait"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 || d > waitMost {
			return nil, badRequest{fmt.Errorf("wait=%q: want a duration up to %v", text, waitMost)}
		}
		wait = max(wait, d)
	}
	number := s.plans.stop(resource)
	done := make(chan error, 1)
	s.work.Go(func() {
		err := set(s.ctx)
		done <- err
		if err != nil {
			s.log.Printf("%s: %v", resource, err)
		}
		if hold > 0 {
			s.plans.after(s.ctx, resource, number, hold, release)
		}
	})
	select {
	case err := <-done:
		return state(), err
	case <-r.Context().Done():
	case <-time.After(wait):
	}
	return accepted{state()}, nil
}
