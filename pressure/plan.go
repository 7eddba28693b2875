package pressure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Plan changes a load over time.
type Plan struct {
	Resource string // memory, disk or cpu
	Shape    string // ramp, steps or sine
	// From and To are bytes, or cores. A sine begins at From and comes back to it.
	From, To float64
	For      time.Duration
	Steps    int           // of steps, two at least
	Period   time.Duration // of a sine; 0: For
	// Release gives all back at the end; otherwise the last value stays.
	Release bool
}

// at is the value at a time after the beginning.
func (p Plan) at(t time.Duration) float64 {
	part := min(float64(t)/float64(p.For), 1)
	switch p.Shape {
	case "steps":
		i := min(math.Floor(part*float64(p.Steps)), float64(p.Steps-1))
		part = i / float64(p.Steps-1)
	case "sine":
		period := p.Period
		if period == 0 {
			period = p.For
		}
		part = (1 - math.Cos(2*math.Pi*float64(min(t, p.For))/float64(period))) / 2
	}
	return p.From + part*(p.To-p.From)
}

func (p Plan) check() error {
	switch {
	case !slices.Contains([]string{"memory", "disk", "cpu"}, p.Resource):
		return fmt.Errorf("resource %q: want memory, disk or cpu", p.Resource)
	case !slices.Contains([]string{"ramp", "steps", "sine"}, p.Shape):
		return fmt.Errorf("shape %q: want ramp, steps or sine", p.Shape)
	case p.For <= 0:
		return errors.New("for: want how long it takes")
	case p.Shape == "steps" && (p.Steps < 2 || p.Steps > 1e6):
		return errors.New("steps: want 2 to 1000000")
	case p.Shape != "steps" && p.Steps != 0:
		return errors.New("steps: they belong to the shape steps")
	case p.Shape != "sine" && p.Period != 0:
		return errors.New("period: it belongs to the shape sine")
	case !(p.From >= 0 && p.From < 1<<62) || !(p.To >= 0 && p.To < 1<<62):
		return errors.New("from, to: want values from 0 on")
	}
	return nil
}

type planRequest struct {
	Resource string          `json:"resource"`
	Shape    string          `json:"shape"`
	From     json.RawMessage `json:"from"`
	To       json.RawMessage `json:"to"`
	For      duration        `json:"for"`
	Steps    int             `json:"steps"`
	Period   duration        `json:"period"`
	Then     string          `json:"then"`
}

func (q planRequest) plan() (Plan, error) {
	p := Plan{Resource: q.Resource, Shape: q.Shape, For: time.Duration(q.For), Steps: q.Steps, Period: time.Duration(q.Period), Release: q.Then == "release"}
	if q.Then != "" && q.Then != "hold" && q.Then != "release" {
		return p, fmt.Errorf("then %q: want hold or release", q.Then)
	}
	for _, v := range []struct {
		name string
		text json.RawMessage
		into *float64
	}{{"from", q.From, &p.From}, {"to", q.To, &p.To}} {
		if len(v.text) == 0 {
			continue // 0
		}
		if q.Resource == "cpu" {
			if err := json.Unmarshal(v.text, v.into); err != nil {
				return p, fmt.Errorf("%s: want a number of cores", v.name)
			}
			continue
		}
		var a amount
		if err := json.Unmarshal(v.text, &a); err != nil {
			return p, fmt.Errorf("%s: %w", v.name, err)
		}
		if a.word != "" {
			return p, fmt.Errorf("%s: want a size", v.name)
		}
		*v.into = float64(a.bytes)
	}
	return p, p.check()
}

// plans are those that run, one for each resource, and the ends of what is
// held for a time. Whatever else sets a resource stops them.
type plans struct {
	mu      sync.Mutex
	running map[string]*runningPlan
	number  map[string]int
}

type runningPlan struct {
	plan   Plan
	began  time.Time
	cancel context.CancelFunc
	err    error
}

// oldName is what the old interface calls a resource.
func oldName(resource string) string { return strings.TrimSuffix(resource, "ory") }

// stop ends what is planned for resources, and returns a number that is the
// resource's last until it is called again.
func (p *plans) stop(resources ...string) (number int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.number == nil {
		p.number, p.running = map[string]int{}, map[string]*runningPlan{}
	}
	for _, r := range resources {
		if old := p.running[r]; old != nil {
			old.cancel()
			delete(p.running, r)
		}
		p.number[r]++
		number = p.number[r]
	}
	return number
}

// after releases a resource when a time is over, unless it was set otherwise.
func (p *plans) after(ctx context.Context, resource string, number int, hold time.Duration, release func() error) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(hold):
	}
	p.mu.Lock()
	last := p.number[resource] == number
	p.mu.Unlock()
	if last {
		_ = release() // what cannot be released now is when the consumer closes, and told there
	}
}

// PlanState is a plan that runs, or has failed.
type PlanState struct {
	Resource string    `json:"resource"`
	Shape    string    `json:"shape"`
	From     float64   `json:"from"`
	To       float64   `json:"to"`
	Began    time.Time `json:"began"`
	Ends     time.Time `json:"ends"`
	Error    string    `json:"error,omitempty"`
}

func (p *plans) list() []PlanState {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := []PlanState{}
	for _, r := range []string{"mem", "disk", "cpu"} {
		if run := p.running[r]; run != nil {
			st := PlanState{Resource: run.plan.Resource, Shape: run.plan.Shape, From: run.plan.From, To: run.plan.To, Began: run.began, Ends: run.began.Add(run.plan.For)}
			if run.err != nil {
				st.Error = run.err.Error()
			}
			all = append(all, st)
		}
	}
	return all
}

func (s *Service) postPlan(r *http.Request) (any, error) {
	var q planRequest
	if err := decode(r, &q); err != nil {
		return nil, err
	}
	p, err := q.plan()
	if err != nil {
		return nil, badRequest{err}
	}
	if err := s.Follow(p); err != nil {
		return nil, err
	}
	return accepted{s.plans.list()}, nil
}

// Follow begins a plan in place of what was set for its resource. One that
// would come over the limit is refused.
func (s *Service) Follow(p Plan) error {
	if err := p.check(); err != nil {
		return badRequest{err}
	}
	top := max(p.From, p.To)
	switch p.Resource {
	case "memory", "disk":
		st := s.Memory.Current()
		if p.Resource == "disk" {
			st = s.Disk.Current().State
		}
		if top > float64(max(st.Limit, st.Held)) {
			return &LimitError{Asked: int64(top), Limit: st.Limit, Bound: st.Bound}
		}
	case "cpu":
		if err := s.CPU.fits(top); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancel(s.ctx)
	run := &runningPlan{plan: p, began: time.Now(), cancel: cancel}
	s.plans.stop(oldName(p.Resource))
	s.plans.mu.Lock()
	s.plans.running[oldName(p.Resource)] = run
	s.plans.mu.Unlock()
	s.work.Go(func() {
		defer cancel()
		s.follow(ctx, run)
	})
	return nil
}

// beat is how often a plan sets its resource anew.
const beat = 200 * time.Millisecond

func (s *Service) follow(ctx context.Context, run *runningPlan) {
	tick := time.NewTicker(beat)
	defer tick.Stop()
	for over := false; !over; {
		t := time.Since(run.began)
		over = t >= run.plan.For
		err := s.reach(ctx, run.plan.Resource, run.plan.at(t))
		if ctx.Err() != nil {
			return // something else was set
		}
		s.plans.mu.Lock()
		run.err = err
		s.plans.mu.Unlock()
		if over {
			break
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	var err error
	if run.plan.Release {
		err = s.reach(ctx, run.plan.Resource, 0)
	}
	s.plans.mu.Lock()
	defer s.plans.mu.Unlock()
	if err != nil {
		run.err = err
	}
	if r := oldName(run.plan.Resource); s.plans.running[r] == run && run.err == nil {
		delete(s.plans.running, r)
	}
}

func (s *Service) reach(ctx context.Context, resource string, value float64) error {
	switch resource {
	case "memory":
		return s.Memory.Set(ctx, int64(value))
	case "disk":
		return s.Disk.Set(ctx, int64(value))
	}
	s.plans.mu.Lock() // whoever stops a plan has its turn after that
	defer s.plans.mu.Unlock()
	if ctx.Err() != nil {
		return nil
	}
	if value == 0 {
		return s.CPU.Release()
	}
	return s.CPU.Set(Load{Cores: value})
}
