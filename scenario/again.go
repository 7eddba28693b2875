package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/verdict"
)

// Witness is a Live that can be looked at again as it was when it was judged.
type Witness interface {
	// Evidence keeps in dir what that takes and gives what Target.Again needs to
	// know, as JSON.
	Evidence(ctx context.Context, dir string) (any, error)
}

// evidence is the file evidence.json of a run: the first round with a finding.
type evidence struct {
	Version int                        `json:"version"`
	Round   int                        `json:"round"`        // from 0
	Judged  time.Duration              `json:"judged_at_ns"` // CLOCK_BOOTTIME at which the checks began: what the history says later is theirs
	Targets map[string]json.RawMessage `json:"targets"`      // by name
}

const (
	evidenceName    = "evidence.json"
	evidenceVersion = 1
	evidenceBound   = 5 * time.Minute
)

// keepEvidence keeps what was judged, in the first round that had a finding.
func (run *run) keepEvidence(ctx context.Context, judged time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, evidenceBound)
	defer cancel()
	e := evidence{Version: evidenceVersion, Round: run.env.Round(), Judged: judged, Targets: map[string]json.RawMessage{}}
	for _, l := range run.all() {
		w, ok := l.(Witness)
		if !ok {
			continue
		}
		kept, err := w.Evidence(ctx, run.env.Dir)
		if err != nil {
			return fmt.Errorf("evidence of %s: %w", l.Name(), err)
		}
		if e.Targets[l.Name()], err = json.Marshal(kept); err != nil {
			return fmt.Errorf("evidence of %s: %w", l.Name(), err)
		}
	}
	if len(e.Targets) == 0 {
		return nil
	}
	b, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	run.witnessed = true
	return machine.WriteFile(filepath.Join(run.env.Dir, evidenceName), append(b, '\n'), 0o600)
}

// Again looks once more at the first round of a run that had a finding, from
// what that run has kept in dir: the targets are made as they were when they
// were judged, and the checks judge them by the history up to then. dir itself
// stays as it is. Errors are as those of Run.
func (r *Runner) Again(ctx context.Context, dir string) (*Outcome, error) {
	began := time.Now()
	r = r.withDefaults()
	p, e, err := r.readEvidence(dir)
	if err != nil {
		return nil, err
	}
	own, gone, err := r.runDir(p, began)
	if err != nil {
		return nil, err
	}
	run := r.newRun()
	out := &Outcome{Plan: p, Began: began}
	err = run.again(ctx, p, own, dir, e, out)
	run.end()
	out.Findings = run.findings
	run.decide(out)
	if len(out.Findings) == 0 && out.Err == nil {
		out.Verdict, out.Why = verdict.Inconclusive, "the round shows no finding when it is looked at again"
	}
	out.Took = time.Since(began)
	if !r.Keep {
		out.Err = errors.Join(out.Err, os.RemoveAll(own))
	}
	out.Err = errors.Join(out.Err, gone())
	if IsConfig(err) && len(out.Findings) == 0 {
		return nil, err
	}
	run.env.event(verdict.Event{State: verdict.Done})
	return out, nil
}

func (r *Runner) readEvidence(dir string) (*Plan, evidence, error) {
	var e evidence
	b, err := os.ReadFile(filepath.Join(dir, evidenceName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, e, Misconfigured("--again "+dir, "there is no %s in it: only a run with a finding on a volume that was recorded can be looked at again", evidenceName)
	}
	if err == nil {
		err = json.Unmarshal(b, &e)
	}
	if err == nil && e.Version != evidenceVersion {
		err = fmt.Errorf("%s is of version %d, and this assay reads %d", evidenceName, e.Version, evidenceVersion)
	}
	if err != nil {
		return nil, e, Misconfigured("--again "+dir, "%v", err)
	}
	all, err := ReadFile(filepath.Join(dir, "plan.yaml"), r.Registry)
	if err != nil {
		return nil, e, err
	}
	if len(all) != 1 {
		return nil, e, Misconfigured("--again "+dir, "plan.yaml holds %d plans", len(all))
	}
	p, err := all[0].Plan(0, 0, Adjust{})
	return p, e, err
}

func (run *run) again(ctx context.Context, p *Plan, own, dir string, e evidence, out *Outcome) (err error) {
	run.env = &Env{Plan: p, Ledger: run.Ledger, Events: run.Events, Meter: &Meter{}, Dir: own, Keep: run.Keep, Began: machine.Boottime(), rule: run.rule,
		records: func() iter.Seq2[history.Record, error] {
			return before(e.Judged, history.ReadDir(filepath.Join(dir, "history")))
		}}
	run.env.round.Store(int64(e.Round))
	run.env.again = dir
	run.env.History, err = history.Create(filepath.Join(own, "history"), history.Options{Clock: machine.Boottime})
	if err != nil {
		return run.broke(Misconfigured("--dir "+run.Dir, "%v", err))
	}
	defer func() { run.broke(run.env.History.Close()) }()
	defer run.clean(ctx)
	run.enter(verdict.Prepare, 0)
	for _, kind := range names(run.Registry.targets) {
		t := run.Registry.targets[kind]
		n := len(p.aimed(kind, Aim{}))
		if n == 0 {
			continue
		}
		if t.Again == nil {
			return run.broke(Misconfigured("--again "+dir, "%s cannot be made again as they were", kind))
		}
		run.lives[kind], err = patiently(ctx, run, "the preparation of "+kind,
			func() ([]Live, error) { return t.Again(ctx, run.env, dir, e.Targets) }, closeLate(ctx))
		if err != nil {
			return run.broke(err)
		}
	}
	out.Rounds = 1
	_, err = patiently(ctx, run, "the look", func() (struct{}, error) { return struct{}{}, run.judge(ctx) }, nil)
	return run.broke(err)
}

// before gives the records up to a time, and what an opening checkpoint holds.
func before(at time.Duration, records iter.Seq2[history.Record, error]) iter.Seq2[history.Record, error] {
	return func(yield func(history.Record, error) bool) {
		for r, err := range records {
			if err == nil && r.At >= at {
				return
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

// blamed names the evidence in the findings of this run.
func (run *run) blamed() {
	run.mu.Lock()
	defer run.mu.Unlock()
	for i := range run.findings {
		run.findings[i].Evidence = filepath.Join(run.env.Dir, evidenceName)
	}
}
