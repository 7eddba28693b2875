package object

import (
	"context"

	"github.com/seed-1b600011/assay/owed"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
)

// Register adds buckets, and the tests, faults and checks on them, to the
// registry. w says where the stores are.
func Register(r *scenario.Registry, w World) {
	r.Clouds = w.cloudTypes()
	r.Target(scenario.Target{Kind: scenario.BucketKind, Prepare: w.prepare, Refuse: refuse})
	registerPut(r)
	registerGet(r)
	registerDelete(r)
	registerMixed(r)
	registerContent(r)
	registerList(r)
	registerBackend(r)
	registerLie(r)
}

// Test registers a test on buckets. T is a struct of its options, zero their
// defaults. run is called for parts of the plan's objects, from several
// goroutines at once.
func Test[T any](r *scenario.Registry, t scenario.Test, zero T, run func(ctx context.Context, b *Bucket, o *Objects, options T) error) {
	t.Target, t.Options = scenario.BucketKind, zero
	if t.Items == nil {
		t.Items = func(p *scenario.Plan, _ any) int64 { return int64(p.Objects.Count) }
	}
	t.Run = func(ctx context.Context, e *scenario.Env, l scenario.Live, task scenario.Task, options any) error {
		o := &Objects{plan: e.Plan, task: task, base: uint32(e.Plan.Generations(task.Test))}
		return run(ctx, l.(*Bucket), o, *options.(*T))
	}
	r.Test(t)
}

// Check registers a check on buckets. judge gets what the history obliges
// the bucket to hold.
func Check[T any](r *scenario.Registry, c scenario.Check, zero T, judge func(ctx context.Context, b *Bucket, book *owed.Book, options T) ([]verdict.Finding, error)) {
	c.Target, c.Options = scenario.BucketKind, zero
	c.Judge = func(ctx context.Context, e *scenario.Env, l scenario.Live, options any) ([]verdict.Finding, error) {
		b := l.(*Bucket)
		book, err := b.judged.book(e)
		if err != nil {
			return nil, err
		}
		return judge(ctx, b, book, *options.(*T))
	}
	r.Check(c)
}
