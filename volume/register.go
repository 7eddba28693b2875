package volume

import (
	"context"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/owed"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
)

// Register adds volumes, and the tests, faults and checks on them, to the
// registry. Disks that can be broken are made by the drivers, of which a
// scenario names one under device.
func Register(r *scenario.Registry, drivers ...flakey.Driver) {
	w := world{drivers}
	r.Target(scenario.Target{Kind: scenario.VolumeKind, Prepare: w.prepare, Again: w.again, Fill: w.harden, Refuse: w.refuse, Lacks: w.lacks})
	registerWriting(r)
	registerReading(r)
	registerLatency(r)
	registerRenaming(r)
	registerExec(r)
	registerFiles(r)
	registerFsck(r)
	registerFaults(r)
	registerPowerCut(r)
	registerKill(r)
	registerPressure(r)
}

// Test registers a test on volumes. T is a struct of its options, zero their
// defaults. run is called for parts of the plan's files, from several
// goroutines at once, and again while a fault that ends the round is to come.
func Test[T any](r *scenario.Registry, t scenario.Test, zero T, run func(ctx context.Context, v *Volume, f *Files, options T) error) {
	t.Target, t.Options, t.Repeats = scenario.VolumeKind, zero, true
	if t.Items == nil {
		t.Items = func(p *scenario.Plan, _ any) int64 { return int64(p.Files.Count) }
	}
	t.Run = func(ctx context.Context, e *scenario.Env, l scenario.Live, task scenario.Task, options any) error {
		v := l.(*Volume)
		return run(ctx, v, &Files{v: v, task: task}, *options.(*T))
	}
	r.Test(t)
}

// Check registers a check on volumes. judge gets what the history obliges the
// volume to hold. A volume that cannot be mounted is told of before any check.
func Check[T any](r *scenario.Registry, c scenario.Check, zero T, judge func(ctx context.Context, v *Volume, book *owed.Book, options T) ([]verdict.Finding, error)) {
	c.Target, c.Options = scenario.VolumeKind, zero
	c.Judge = func(ctx context.Context, e *scenario.Env, l scenario.Live, options any) ([]verdict.Finding, error) {
		v := l.(*Volume)
		found, err := v.unmountable(), error(nil)
		if v.mountable() {
			var book *owed.Book
			if book, err = v.env.Book(); err == nil {
				found, err = judge(ctx, v, book, *options.(*T))
			}
		}
		for i := range found {
			if found[i].Blame == "" {
				found[i].Blame = v.blame()
			}
		}
		return found, err
	}
	r.Check(c)
}
