package object

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-1b600011/assay/scenario"
)

// planEnv is an Env of a plan that draws, and of nothing else.
func planEnv(t *testing.T) *scenario.Env {
	t.Helper()
	reg := &scenario.Registry{}
	Register(reg, World{})
	all, err := scenario.Parse("s.yaml", []byte("- {name: a, required: {buckets: 1}, tests: [put], checks: [check-list]}"), reg)
	if err != nil {
		t.Fatal(err)
	}
	p, err := all[0].Plan(1, 0, scenario.Adjust{})
	if err != nil {
		t.Fatal(err)
	}
	return &scenario.Env{Plan: p, Meter: &scenario.Meter{}}
}

var (
	errSlow    = &Error{Doing: "get b/k", Status: 503, Code: "SlowDown", Message: "less, please"}
	errExpired = &Error{Doing: "get b/k", Status: 403, Code: "ExpiredToken"}
	errReset   = &Error{Doing: "get b/k", Err: errors.New("connection reset")}
	errNone    = &Error{Doing: "get b/k", Status: 404, Code: "NoSuchKey"}
)

// heard is a standing, and what it has said since it was asked last.
func heard(limit time.Duration) (s *standing, words func() []string) {
	var said []string
	s = newStanding(nil, "the store", limit)
	s.say = func(w string) { said = append(said, w) } // with s.mu held
	return s, func() []string {
		s.mu.Lock()
		defer s.mu.Unlock()
		defer func() { said = nil }()
		return said
	}
}

// TestAsk: a request is made again until the store tells something, or
// patience ends: late for what passes, soon for what lasts.
func TestAsk(t *testing.T) {
	for name, c := range map[string]struct {
		answers func(try int) error
		want    error
		longest time.Duration
		least   time.Duration
	}{
		"comes back":         {func(n int) error { return [...]error{errSlow, errReset, errSlow, nil}[n] }, nil, time.Second, 0},
		"comes back without": {func(n int) error { return [...]error{errSlow, errNone}[n] }, errNone, time.Second, 0},
		"throttles for ever": {func(int) error { return errSlow }, errSlow, 3 * time.Minute, 2 * time.Minute},
		"resets for ever":    {func(int) error { return errReset }, errReset, 3 * time.Minute, 2 * time.Minute},
		"refuses":            {func(int) error { return errExpired }, errExpired, 10 * time.Second, 5 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			s, _ := heard(0)
			tries, began := 0, time.Now()
			err := s.ask(t.Context(), "get", false, func(context.Context) error { tries++; return c.answers(tries - 1) })
			if took := time.Since(began); !errors.Is(err, c.want) || took < c.least || took > c.longest {
				t.Errorf("%s: %v after %v", name, err, took)
			}
			if isAway(err) != (c.least > 0) || s.inVain() != (c.least > 0) {
				t.Errorf("%s: away %v, in vain %v", name, isAway(err), s.inVain())
			}
			if tries > 200 {
				t.Errorf("%s: %d tries: it does not back off", name, tries)
			}
			if s.inVain() { // the next is not as patient
				began = time.Now()
				err := s.ask(t.Context(), "get", false, func(context.Context) error { return c.want })
				if took := time.Since(began); took > time.Second || !isAway(err) {
					t.Errorf("%s: the next took %v: %v", name, took, err)
				}
			}
		})
	}
}

// TestWords: while nothing comes, it is said for how long; and when it comes.
func TestWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, words := heard(0)
		_ = s.ask(t.Context(), "get", false, func(context.Context) error { time.Sleep(45 * time.Second); return nil })
		if got := fmt.Sprint(words()); got != "[the store: no answer for 5s the store: no answer for 10s the store: no answer for 20s the store: no answer for 40s the store answers again, after 45s]" {
			t.Error(got)
		}
		_ = s.ask(t.Context(), "get", false, func(context.Context) error { time.Sleep(time.Second); return errSlow })
		if got := words(); len(got) < 5 || !strings.HasSuffix(got[0], "but SlowDown (HTTP status 503): less, please") {
			t.Error(got)
		}
		time.Sleep(time.Minute)
		words()
		time.Sleep(time.Hour) // nobody waits, and nothing is said
		if got := words(); len(got) > 0 {
			t.Error(got)
		}
	})
}

// TestHung: a request that hangs after patience has been in vain is not given
// long.
func TestHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := heard(0)
		hang := func(ctx context.Context) error {
			select {
			case <-ctx.Done():
			case <-time.After(headerPatience):
			}
			return errReset
		}
		began := time.Now()
		err := s.ask(t.Context(), "get", false, hang)
		if took := time.Since(began); !isAway(err) || took > 3*time.Minute {
			t.Errorf("%v after %v", err, took)
		}
		began = time.Now()
		err = s.ask(t.Context(), "get", false, hang)
		if took := time.Since(began); !isAway(err) || took > 2*probePatience {
			t.Errorf("the next: %v after %v", err, took)
		}
	})
}

// TestGate: operations of 16 at once while the store is away for a minute. Few
// are spent on it, and none fails the test.
func TestGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := heard(0)
		back := time.Now().Add(time.Minute)
		var failed, done atomic.Int64
		for range 16 {
			go func() {
				for range 20 {
					l, err := s.pass(t.Context())
					if err != nil {
						t.Error(err)
					}
					time.Sleep(time.Millisecond)
					var failure error
					if time.Now().Before(back) {
						failure = errSlow
						failed.Add(1)
					}
					if err := s.passed(t.Context(), l, failure); err != nil {
						t.Error(err)
					}
					done.Add(1)
				}
			}()
		}
		time.Sleep(2 * time.Minute)
		if done.Load() != 320 || failed.Load() > 100 || time.Since(back) < 0 {
			t.Errorf("%d done, %d of them failed", done.Load(), failed.Load())
		}
	})
}

// TestGateGivesUp: a store that does not come back ends the test when patience
// ends, whoever asks; one that refuses the credentials, soon.
func TestGateGivesUp(t *testing.T) {
	for _, c := range []struct {
		failure error
		after   time.Duration
	}{{errSlow, 2 * time.Minute}, {errReset, 2 * time.Minute}, {errExpired, 5 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			s, _ := heard(0)
			began := time.Now()
			ended := make(chan error)
			for range 8 {
				go func() {
					for {
						l, err := s.pass(t.Context())
						if err == nil {
							err = s.passed(t.Context(), l, c.failure)
						}
						if err != nil {
							ended <- err
							return
						}
					}
				}()
			}
			for range 8 {
				if err := <-ended; !isAway(err) {
					t.Error(err)
				}
			}
			if took := time.Since(began); took < c.after || took > c.after+20*time.Second {
				t.Errorf("%v: gave up after %v", c.failure, took)
			}
		})
	}
}

// TestOldFailure: that the store failed long ago, when no request was made, is not
// held against it; nor is what it did while a fault was on.
func TestOldFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := heard(0)
		operation := func(failure error) error {
			l, err := s.pass(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return s.passed(t.Context(), l, failure)
		}
		for range 3 {
			if err := errors.Join(operation(errExpired), operation(nil)); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Hour)
		}
		l, _ := s.pass(t.Context())
		s.answered(errSlow, time.Now())
		s.pardoned(l)
		time.Sleep(time.Hour)
		if err := operation(errSlow); err != nil {
			t.Error(err)
		}
	})
}

// TestSlowRefusal: a request that took long before it was refused, or whose body
// was lost after long, shows once that the store is there.
func TestSlowRefusal(t *testing.T) {
	for _, failure := range []error{errExpired, errSlow, errReset} {
		synctest.Test(t, func(t *testing.T) {
			s, _ := heard(0)
			l, err := s.pass(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
			if err := s.passed(t.Context(), l, failure); err != nil {
				t.Errorf("%v in a test: %v", failure, err)
			}
			tries := 0
			err = s.ask(t.Context(), "get", false, func(context.Context) error {
				if tries++; tries == 2 {
					return nil
				}
				time.Sleep(time.Hour)
				return failure
			})
			if err != nil {
				t.Errorf("%v in a check: %v", failure, err)
			}
		})
	}
}

// TestDeletes: only a delete beside which no other can take effect is alone.
func TestDeletes(t *testing.T) {
	var d deletes
	a := d.begin(1)
	other := d.begin(2)
	if !d.end(1, a, false) || !d.end(2, other, false) {
		t.Error("alone")
	}
	a, b := d.begin(1), d.begin(1)
	if d.end(1, a, false) || d.end(1, b, false) {
		t.Error("two at once")
	}
	a = d.begin(1)
	d.end(1, a, true) // may take effect at any time
	if b = d.begin(1); d.end(1, b, false) {
		t.Error("after one without an outcome")
	}
	if a = d.begin(3); !d.end(3, a, false) || len(d.open) != 1 {
		t.Errorf("%v are kept", d.open)
	}
}
