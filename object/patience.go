package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/seed"
)

const (
	// DefaultPatience is how long a store may be away, or refuse everything for
	// reasons of its own, before a test or a check gives up.
	DefaultPatience = 2 * time.Minute

	lastingPatience = 5 * time.Second // for refusals that waiting does not change
	firstPause      = 20 * time.Millisecond
	longestPause    = 2 * time.Second
	hastyTries      = 4 // of a request, once patience has been in vain
	firstWord       = 5 * time.Second
)

// standing is how one store stands: whether it answers, and since when it does
// not. Whoever asks the store does so through it, and so all share one patience.
// It is safe for concurrent use.
type standing struct {
	place string               // what messages call the store
	limit time.Duration        // of patience
	say   func(string)         // to the person who waits
	dead  func() error         // why the store can never answer again, if it is ours
	again func(string, *Error) // counts a request that has to be made again
	draws seed.Seed            // of the jitter

	mu     sync.Mutex
	asking int       // who waits for the store
	since  time.Time // of the last answer that told something, or when asking began
	moved  time.Time // when bytes of a body last moved
	last   error     // the last failure since then that told nothing; nil: none
	failed time.Time // when requests began to fail so
	spent  bool      // patience has ended, and nothing was told since
	drawn  uint64
	word   time.Duration // of silence at which the next word is due
	timer  *time.Timer   // nil: no request waits

	gate gate
}

// newStanding is for a store that messages call place. limit 0 is
// DefaultPatience; e may be nil, where there is no run.
func newStanding(e *scenario.Env, place string, limit time.Duration) *standing {
	if limit == 0 {
		limit = DefaultPatience
	}
	s := &standing{place: place, limit: limit, say: func(string) {}, dead: func() error { return nil }, again: func(string, *Error) {}}
	s.gate.changed = make(chan struct{})
	if e != nil {
		s.say, s.draws = e.Say, e.Plan.Draw("patience", place)
		s.again = func(verb string, err *Error) { e.Meter.Refused(verb+", asked again: "+err.Answer(), err.said()) }
	}
	return s
}

// errAway is the end of patience with a store.
type errAway struct {
	place string
	kind  answer
	after time.Duration
	err   error
}

func (e *errAway) Error() string {
	what := "has refused for reasons of its own"
	switch e.kind {
	case silent:
		what = "does not answer"
	case lasting:
		what = "refuses"
	}
	return fmt.Sprintf("%s %s, after %v of patience: %v", e.place, what, e.after.Round(100*time.Millisecond), e.err)
}

func (e *errAway) Unwrap() error { return e.err }

// ask makes a request, and makes it again for as long as the store tells
// nothing of the data and patience lasts. hasty: as somebody has waited in vain
// before, it is made only a few times. The error is what the store told, an
// *errAway, or why ctx or the store has ended.
func (s *standing) ask(ctx context.Context, verb string, hasty bool, request func(context.Context) error) error {
	s.enter()
	defer s.exit()
	began := time.Now()
	var since time.Time
	for try := 1; ; try++ {
		sent := time.Now()
		err := s.once(ctx, request)
		kind := answerOf(err)
		if kind == telling {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := s.dead(); err != nil {
			return err
		}
		if try == 1 {
			since = failing(kind, sent)
		}
		after := time.Since(since)
		if after >= s.bound(kind) || (hasty || s.inVain()) && (try >= hastyTries || time.Since(began) >= probePatience) {
			s.spend(began)
			return &errAway{s.place, kind, after, err}
		}
		s.count(verb, err)
		if err := s.pause(ctx, try); err != nil {
			return err
		}
	}
}

// failing is since when the store has been away, if the first request that shows
// it was sent then and has failed now. One that refuses was there until now; how
// long the body took that was lost is not all held against the store.
func failing(kind answer, sent time.Time) time.Time {
	now := time.Now()
	if earliest := now.Add(-headerPatience); kind == silent && sent.After(earliest) {
		return sent
	} else if kind == silent {
		return earliest
	}
	return now
}

// once makes a request once. Where patience has been in vain already, and
// nothing was told since, it is not given long.
func (s *standing) once(ctx context.Context, request func(context.Context) error) error {
	began := time.Now()
	bounded := ctx
	if s.inVain() {
		var cancel context.CancelFunc
		bounded, cancel = context.WithTimeoutCause(ctx, probePatience, fmt.Errorf("no answer within %v", probePatience))
		defer cancel()
	}
	err := request(bounded)
	if err == nil || ctx.Err() == nil {
		s.answered(err, began)
	}
	return err
}

func (s *standing) count(verb string, err error) {
	var e *Error
	if errors.As(err, &e) {
		s.again(verb, e)
	}
}

// bound is how long an answer of this kind is borne.
func (s *standing) bound(kind answer) time.Duration {
	if kind == lasting {
		return min(s.limit, lastingPatience)
	}
	return s.limit
}

// enter and exit stand around everything that waits for the store.
func (s *standing) enter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asking++; s.asking == 1 && s.last == nil {
		s.since = time.Now()
	}
	if s.timer == nil {
		s.word = firstWord
		s.timer = time.AfterFunc(time.Second, s.tell)
	}
}

func (s *standing) exit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asking--
}

// answered notes how a request that was sent then has ended.
func (s *standing) answered(err error, began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if kind := answerOf(err); kind != telling {
		if s.last == nil {
			s.failed = failing(kind, began)
			if s.since.After(s.failed) {
				s.failed = s.since
			}
		}
		s.last = err
		return
	}
	if silence := time.Since(s.since); s.word > firstWord {
		s.say(fmt.Sprintf("%s answers again, after %v", s.place, silence.Round(time.Second)))
	}
	s.since, s.last, s.spent, s.word = time.Now(), nil, false, firstWord
}

// forgive forgets that the store was away: a fault was on, which allows it.
func (s *standing) forgive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.since, s.last, s.spent = time.Now(), nil, false
}

// away is for how long requests have failed while nothing was told.
func (s *standing) away() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return 0
	}
	return time.Since(s.failed)
}

// spend notes that patience has ended for somebody who began to ask then,
// unless others were told something in the meantime.
func (s *standing) spend(began time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spent = s.spent || !s.since.After(began)
}

// inVain reports whether patience has ended and nothing was told since.
func (s *standing) inVain() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spent
}

// tell says that nothing was told for so long, at times that double.
func (s *standing) tell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asking == 0 {
		s.timer = nil
		return
	}
	began := s.since
	if s.moved.After(began) {
		began = s.moved
	}
	if silence := time.Since(began); silence >= s.word {
		s.word *= 2
		s.say(fmt.Sprintf("%s: no answer for %v%s", s.place, silence.Round(time.Second), s.instead()))
	}
	s.timer.Reset(time.Second)
}

// instead is what the store answered last, if it tells of nothing.
func (s *standing) instead() string {
	var e *Error
	if !errors.As(s.last, &e) || answerOf(e) == silent {
		return ""
	}
	if e.Message == "" {
		return " but " + e.Answer()
	}
	return " but " + e.Answer() + ": " + e.Message
}

// pause waits before a request is made for the next time: twice as long each
// time, and a part of it that is drawn, so that those who wait do not all come
// back at once.
func (s *standing) pause(ctx context.Context, tries int) error {
	longest := int64(min(firstPause<<min(tries-1, 10), longestPause))
	s.mu.Lock()
	s.drawn++
	d := time.Duration(s.draws.Between(s.drawn, longest/2, longest))
	s.mu.Unlock()
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// body is the body of a request or an answer; bytes that move are a sign of
// life.
type body struct {
	io.Reader
	of *standing
}

func (b body) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if n > 0 {
		b.of.mu.Lock()
		b.of.moved = time.Now()
		b.of.mu.Unlock()
	}
	return n, err
}

// receiving is the body of an answer.
func (s *standing) receiving(r io.Reader) io.Reader { return body{r, s} }

// sent is a body that can be read from its beginning again, as the client may.
type sent struct {
	body
	io.Seeker
}

// sending is the body of a request.
func (s *standing) sending(r io.ReadSeeker) io.ReadSeeker { return sent{body{r, s}, r} }
