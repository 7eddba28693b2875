package volume

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/owed"
	"github.com/seed-1b600011/assay/pathcheck"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
)

// How long a path takes to answer can only be seen while faults are on.
// probe-latency sees it, by package pathcheck, and writes it into the history;
// check-latency judges it afterwards. A probe promises nothing and changes
// nothing; its record says how long it took, or has taken so far.

const probeVerb = "probe"

type probing struct {
	Check    string            `yaml:"check" doc:"what a probe does; default read" enum:"read,write,stat,list"`
	Interval scenario.Duration `yaml:"interval" doc:"from one probe of a path to the next; default 100ms"`
	For      scenario.Duration `yaml:"for" doc:"how long it probes; default 10s"`
}

// Validate holds what one option alone cannot show.
func (p *probing) Validate() error {
	if p.Interval < scenario.Duration(time.Millisecond) || p.For <= 0 {
		return errors.New("interval is 1ms or more, and for is longer than nothing")
	}
	return nil
}

type latencies struct {
	Max scenario.Duration `yaml:"max" doc:"the longest that a probe may take"`
	P99 scenario.Duration `yaml:"p99" doc:"what 99 of 100 probes may take"`
}

// Validate holds what one option alone cannot show.
func (l *latencies) Validate() error {
	if l.Max <= 0 && l.P99 <= 0 {
		return errors.New("check-latency wants max, p99 or both")
	}
	return nil
}

func registerLatency(r *scenario.Registry) {
	Test(r, scenario.Test{
		Name: "probe-latency", Doc: "asks again and again how fast the volume answers, whatever hangs; check-latency judges it",
		Items: func(*scenario.Plan, any) int64 { return 1 },
	}, probing{Check: "read", Interval: scenario.Duration(100 * time.Millisecond), For: scenario.Duration(10 * time.Second)},
		func(ctx context.Context, v *Volume, f *Files, o probing) error { return v.probe(ctx, f, o) })
	Check(r, scenario.Check{
		Name: "check-latency", Doc: "the probes of probe-latency were answered in time; what was late is told with the fault that was on",
		Controls: latencyControls(), Proves: scenario.Answers,
	}, latencies{}, func(ctx context.Context, v *Volume, _ *owed.Book, o latencies) ([]verdict.Finding, error) {
		return v.checkLatency(time.Duration(o.Max), time.Duration(o.P99))
	})
}

// probe probes the files of the plan, or the directory that they are in.
func (v *Volume) probe(ctx context.Context, f *Files, o probing) error {
	check, err := pathcheck.ParseCheck(o.Check)
	if err != nil {
		return err
	}
	places := map[string]string{} // by the path as the kernel knows it
	if check == pathcheck.Write || check == pathcheck.List {
		places[path.Join(v.root, v.place, filesDir)] = ""
	} else {
		for i := range f.Count() {
			if err := f.there(ctx, i); err != nil {
				return err
			}
			for _, p := range []string{f.Path(i), moved(f.Path(i))} {
				if v.File(p) != nil && f.Size(i, 1) > 0 { // a read of nothing is an error
					places[path.Join(v.root, v.below(p))] = p
					break
				}
			}
		}
	}
	failed := make(chan error, 1)
	c, err := pathcheck.New(pathcheck.Options{Events: func(e pathcheck.Event) {
		if err := v.probed(ctx, check, places[e.Path], e); err != nil {
			select {
			case failed <- err:
			default:
			}
		}
	}})
	if err != nil {
		return err
	}
	for place := range places {
		c.Start(place, time.Duration(o.Interval), check)
	}
	select {
	case err = <-failed:
	case <-time.After(time.Duration(o.For)):
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	return errors.Join(err, v.endProbes(c, check, places))
}

// endProbes takes note of the probes that have not ended, and lets their
// processes go: those that hang in the kernel do when the disk answers.
func (v *Volume) endProbes(c *pathcheck.Checker, check pathcheck.Check, places map[string]string) error {
	now := time.Now()
	var errs []error
	for _, flight := range c.Flights() {
		errs = append(errs, v.noteProbe(history.Unknown, check, places[flight.Path], now.Sub(flight.Since), nil))
	}
	c.Close()
	select {
	case <-c.Gone():
	case <-time.After(time.Second):
	}
	return errors.Join(errs...)
}

// probed takes note of a probe that has ended.
func (v *Volume) probed(ctx context.Context, check pathcheck.Check, p string, e pathcheck.Event) error {
	if e.Kind != pathcheck.Checked {
		return nil
	}
	phase, detail := history.Acknowledged, []byte(nil)
	if e.Err != 0 {
		phase, detail = history.Refused, []byte(e.Err.Error())
	}
	v.env.Meter.Operation(ctx, phase, 0, e.Delay)
	return v.noteProbe(phase, check, p, e.Delay, detail)
}

func (v *Volume) noteProbe(phase history.Phase, check pathcheck.Check, p string, took time.Duration, detail []byte) error {
	op, err := v.env.History.Begin(history.Record{Verb: probeVerb, Target: v.Name(), Object: p, To: took.Nanoseconds(), Detail: []byte(check.String())})
	if err != nil {
		return err
	}
	return v.env.History.Append(history.Record{Op: op, Phase: phase, Detail: detail})
}

// probe is one of the history.
type probe struct {
	began, took time.Duration // the former CLOCK_BOOTTIME
	object      string
	op          uint64
}

// shadow is a time for which a fault was on.
type shadow struct {
	fault    string
	from, to time.Duration
}

// probes are those that no check has judged, and the faults of the whole run.
type probes struct {
	all      []probe
	faults   []shadow
	answered int    // of all; what was refused or has no answer yet is none
	refused  string // how the last was, if any
	cut      bool   // the round was cut short, and may have none
}

// proof is nil unless nothing is known of the volume, if no probe was late.
func (p probes) proof() error {
	switch {
	case p.cut || p.answered > 0:
		return nil
	case len(p.all) == 0:
		return errors.New("check-latency has nothing to judge: there was no probe (probe-latency makes them, of files that are not empty)")
	case p.refused != "":
		return fmt.Errorf("check-latency has nothing to judge: every probe that ended was refused: %s", p.refused)
	}
	return errors.New("check-latency has nothing to judge: no probe has ended")
}

// unjudged reads them from the history.
func (v *Volume) unjudged() (p probes, err error) {
	on := map[string]int{} // index of what has not ended, by target and place in the plan
	ours := map[uint64]bool{}
	rounds := 0
	for r, err := range v.env.Records() {
		if err != nil {
			return p, err
		}
		switch {
		case r.Phase == history.FaultOn:
			on[r.Target+"/"+r.Object] = len(p.faults)
			p.faults = append(p.faults, shadow{fault: faultText(r), from: r.At, to: 1<<63 - 1})
		case r.Phase == history.FaultOff:
			if i, ok := on[r.Target+"/"+r.Object]; ok {
				p.faults[i].to = r.At
			}
		case r.Phase == history.Round && r.Target == v.Target():
			rounds++
		case r.Phase == history.Refused && ours[r.Op]:
			p.refused = string(r.Detail)
		case r.Phase == history.Acknowledged && ours[r.Op]:
			p.answered++
		case r.Phase == history.Issued && r.Verb == probeVerb && r.Target == v.Name() && r.Op > v.judged:
			took := time.Duration(r.To)
			p.all = append(p.all, probe{began: r.At - took, took: took, object: r.Object, op: r.Op})
			ours[r.Op] = true
		}
	}
	p.cut = rounds > v.roundsJudged
	v.roundsJudged = rounds
	return p, nil
}

// faultText is a fault with the options that its record has.
func faultText(r history.Record) string {
	var d struct {
		Options map[string]any `json:"options"`
	}
	if json.Unmarshal(r.Detail, &d) != nil {
		return r.Verb
	}
	for k, o := range d.Options {
		if o == nil || o == "" || o == 0.0 || o == false {
			delete(d.Options, k)
		}
	}
	if len(d.Options) == 0 {
		return r.Verb
	}
	b, err := json.Marshal(d.Options)
	if err != nil {
		return r.Verb
	}
	return r.Verb + " " + string(b)
}
