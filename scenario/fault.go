package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/seed"
)

// Fault model of triggers: a fault acts never before its trigger, and one that
// waits for a count acts at exactly that count, because the operation that
// reaches it, and any that ends later, waits until the fault is on. A fault that waits for a time acts
// as soon after it as the machine lets it. A fault without a trigger is on
// before the first operation.

// schedule is when one fault of a plan acts, over all rounds of a run.
type schedule struct {
	run   *run
	use   FaultUse
	place string    // in the plan, from 1: the Object of its records
	draws seed.Seed // of its waits and stays, by occurrence
	lives []Live

	mu      sync.Mutex
	began   int // occurrences so far
	touched int64
	planted []string // objects that it damaged, where the fault knows them
	on      []occurrence
}

// occurrence is a fault that is on, on one target.
type occurrence struct {
	Injected
	live Live
}

func newSchedule(r *run, i int, use FaultUse) *schedule {
	s := &schedule{run: r, use: use, place: strconv.Itoa(i + 1), draws: r.env.Plan.Draw("faults", strconv.Itoa(i))}
	for _, t := range r.env.Plan.aimed(use.Fault.Target, use.Aim) {
		s.lives = append(s.lives, r.lives[use.Fault.Target][t])
	}
	return s
}

// times is how often the fault begins; 0: without end.
func (s *schedule) times() int {
	if s.use.Trigger.Times == 0 && s.use.Trigger.Every == nil {
		return 1
	}
	return int(s.use.Trigger.Times)
}

// pending is whether the fault will begin again.
func (s *schedule) pending() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.times() == 0 || s.began < s.times()
}

// waitsForCount is whether the fault waits for a count, which no longer grows
// once the tests have ended.
func (s *schedule) waitsForCount() bool {
	t := s.use.Trigger
	return t.After != nil && t.After.Counted() || t.Every != nil && t.Every.Counted()
}

// begin arms the fault for a round. When it returns, a fault without a
// trigger is on and one that waits for a count is listening. wait returns when
// the fault will not act any more in this round, or ctx has ended.
func (s *schedule) begin(ctx context.Context) (wait func() error, err error) {
	if !s.pending() {
		return func() error { return nil }, nil
	}
	if s.use.Trigger.After == nil && s.use.Trigger.Every == nil {
		if err := s.inject(ctx); err != nil {
			return nil, err
		}
		return s.beside(func() error { return s.stay(ctx) }), nil
	}
	armed, err := s.arm()
	if err != nil {
		return nil, err
	}
	return s.beside(func() error { return s.occurrences(ctx, armed) }), nil
}

// beside does something while the tests go on. wait returns when it is done.
func (s *schedule) beside(do func() error) (wait func() error) {
	done := make(chan error, 1)
	go func() {
		err := safely(do)
		if err != nil {
			s.run.endRound(err) // what goes on without the fault proves nothing
		}
		done <- err
	}()
	return func() error { return <-done }
}

// alarm is a wait that has begun: ready when the fault is to act, ack once it has.
type alarm struct {
	ready <-chan struct{}
	ack   func()
}

// arm begins the wait for the next occurrence.
func (s *schedule) arm() (alarm, error) {
	s.mu.Lock()
	i := uint64(s.began)
	s.mu.Unlock()
	when, name := s.use.Trigger.Every, "every"
	if (i == 0 && s.use.Trigger.After != nil) || when == nil {
		when, name = s.use.Trigger.After, "after"
	}
	if when.Counted() {
		ready, on, err := s.count(when.Of, int64(when.Count.Draw(s.draws.For(name), i)))
		return alarm{ready, on}, err
	}
	ready := make(chan struct{})
	timer := time.AfterFunc(time.Duration(when.Time.Draw(s.draws.For(name), i)), func() { close(ready) })
	return alarm{ready, func() { timer.Stop() }}, nil
}

// count waits for so many more operations of the run, or writes or flushes of
// the target that the fault is for; of several targets the first counts.
func (s *schedule) count(of string, more int64) (<-chan struct{}, func(), error) {
	if of == "operations" {
		ready, on := s.run.env.Meter.At(of, more)
		return ready, on, nil
	}
	c, counts := s.lives[0].(Counter)
	if !counts {
		return nil, nil, fmt.Errorf("fault %s: %s has no %s to count", s.use.Fault.Name, s.lives[0].Name(), of)
	}
	ready, on, err := c.At(of, max(more, 1))
	if err != nil {
		return nil, nil, fmt.Errorf("fault %s: count the %s of %s: %w", s.use.Fault.Name, of, s.lives[0].Name(), err)
	}
	return ready, on, nil
}

func (s *schedule) occurrences(ctx context.Context, next alarm) error {
	for {
		select {
		case <-ctx.Done():
			next.ack()
			return nil
		case <-next.ready:
		}
		err := s.inject(ctx)
		if err != nil {
			s.run.endRound(err) // before the operation that waits goes on
		}
		again := err == nil && s.pending() && !s.use.Fault.EndsRound()
		due := next
		if again && s.use.Trigger.Every != nil {
			next, err = s.arm() // from when this one began
		}
		due.ack()
		if err != nil {
			return err
		}
		if err := s.stay(ctx); err != nil || !again || s.use.Trigger.Every == nil {
			if again {
				next.ack()
			}
			return err
		}
	}
}

// injectBound is how long a fault may take to begin, on all of its targets.
const injectBound = 5 * time.Minute

// inject begins one occurrence on every target that the fault is for, as a
// whole: the end of the round does not leave it half begun. Where the round has
// ended already it does not begin at all. So of two faults that end a round and
// are due at once one acts, and the other in the next round.
func (s *schedule) inject(ctx context.Context) error {
	if s.use.Fault.EndsRound() {
		s.run.ending.Lock()
		defer s.run.ending.Unlock()
	}
	if ctx.Err() != nil {
		return nil
	}
	s.mu.Lock()
	s.began++
	s.mu.Unlock()
	s.run.env.faultsOn.Add(1)
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), injectBound)
	defer cancel()
	for _, l := range s.lives {
		if err := s.injectOn(bounded, l); err != nil {
			return fmt.Errorf("fault %s on %s: %w", s.use.Fault.Name, l.Name(), err)
		}
	}
	if s.use.Fault.EndsRound() {
		s.run.endRound(errRoundEnded)
	}
	return nil
}

func (s *schedule) injectOn(ctx context.Context, l Live) error {
	if err := s.record(history.FaultOn, l, 0); err != nil {
		return err
	}
	injected, err := s.use.Fault.Inject(ctx, s.run.env, l, s.use.Options)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.on = append(s.on, occurrence{injected, l})
	s.mu.Unlock()
	if s.use.Fault.EndsRound() {
		return s.run.roundOf(l, s.use.Fault, s.place)
	}
	return nil
}

// stay keeps the occurrence on for as long as the plan says, then ends it.
func (s *schedule) stay(ctx context.Context) error {
	if !s.use.Fault.Instant && !s.use.Fault.EndsRound() {
		var over <-chan time.Time
		if f := s.use.Trigger.For; f != (Range[Duration]{}) {
			over = time.After(time.Duration(f.Draw(s.draws.For("for"), uint64(s.began))))
		}
		select {
		case <-over:
		case <-ctx.Done():
		}
	}
	return s.end(context.WithoutCancel(ctx))
}

const stopPatience = 30 * time.Second

// end takes the fault away from every target and counts what it touched. It
// may be called at any time, and again.
func (s *schedule) end(ctx context.Context) error {
	s.mu.Lock()
	on := s.on
	s.on = nil
	s.mu.Unlock()
	if len(on) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	var errs []error
	var touched int64
	for _, o := range slices.Backward(on) {
		errs = append(errs, o.Stop(ctx))
		n, err := o.Touched(ctx)
		errs = append(errs, err, s.record(history.FaultOff, o.live, n))
		touched += n
		if p, ok := o.Injected.(interface{ Planted() []string }); ok {
			s.planted = append(s.planted, p.Planted()...)
		}
	}
	s.mu.Lock()
	s.touched += touched
	s.mu.Unlock()
	s.run.env.faultsOn.Add(-1)
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("fault %s: take it away: %w", s.use.Fault.Name, err)
	}
	return nil
}

// outcome is what the fault did in the whole run.
func (s *schedule) outcome() FaultOutcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	return FaultOutcome{Name: s.use.Fault.Name, Began: s.began, Touched: s.touched, Unit: s.use.Fault.unit(), Planted: s.planted}
}

// FaultOutcome is what one fault of a plan did.
type FaultOutcome struct {
	Name    string   `json:"name"`
	Began   int      `json:"began"`             // how often
	Touched int64    `json:"touched"`           // how many of Unit
	Unit    string   `json:"unit"`              // what was touched: requests, blocks, processes, …
	Planted []string `json:"planted,omitempty"` // objects that it damaged, where the fault knows them
}

func (s *schedule) record(phase history.Phase, l Live, touched int64) error {
	detail, err := json.Marshal(map[string]any{"fault": s.use.Fault.Name, "options": s.use.Options})
	if err != nil {
		return fmt.Errorf("record fault %s: %w", s.use.Fault.Name, err)
	}
	return s.run.env.History.Append(history.Record{Phase: phase, Verb: s.use.Fault.Name, Target: l.Target(), Object: s.place,
		From: touched, Effect: s.use.Fault.Effect, Detail: detail})
}

// roundOf records that a fault has ended the round of a target.
func (run *run) roundOf(l Live, f *Fault, place string) error {
	run.mu.Lock()
	run.ended[l] = true
	run.mu.Unlock()
	return run.env.History.Append(history.Record{Phase: history.Round, Verb: f.Name, Target: l.Target(), Object: place, Effect: f.Effect})
}

// bystander records that the round of a target has ended because that of another
// has: what ran on it was killed. Heal has seen to that, so nothing that was
// under way there can take effect any more.
func (run *run) bystander(l Live) error {
	return run.env.History.Append(history.Record{Phase: history.Round, Verb: "end", Target: l.Target(), Effect: history.Ends})
}
