package object_test

import (
	"context"
	"time"

	"github.com/seed-1b600011/assay/object"
	"github.com/seed-1b600011/assay/owed"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
)

// put-slowly is a test of one's own.
func ExampleTest() {
	reg := &scenario.Registry{}
	type options struct {
		Pause scenario.Duration `yaml:"pause" doc:"after every put"`
	}
	object.Test(reg, scenario.Test{Name: "put-slowly", Doc: "puts one object after the other, with a pause"}, options{},
		func(ctx context.Context, b *object.Bucket, o *object.Objects, opt options) error {
			for object := range o.Mine {
				if err := b.Put(ctx, object); err != nil {
					return err
				}
				time.Sleep(time.Duration(opt.Pause))
			}
			return nil
		})
	// Output:
}

// check-each is a check of one's own, with the fault that it must find and the
// run that it must pass.
func ExampleCheck() {
	reg := &scenario.Registry{}
	const run = "- {name: c, required: {buckets: 1}, tests: [put], checks: [check-each], faults: "
	object.Check(reg, scenario.Check{Name: "check-each", Doc: "reads one object after the other", Controls: []scenario.Control{
		{Name: "a lost put", Wants: verdict.Lost, Scenario: run + "[lie: {kind: lose, count: 1}]}"},
		{Name: "a clean run", Scenario: run + "[]}"},
	}}, struct{}{}, func(ctx context.Context, b *object.Bucket, book *owed.Book, _ struct{}) (found []verdict.Finding, err error) {
		for key := range book.Objects(b.Real()) {
			seen, err := b.Read(ctx, book, key)
			if err != nil {
				return nil, err
			}
			for _, d := range book.Object(b.Real(), key).Judge(seen) {
				found = append(found, b.Finding(key, d))
			}
		}
		return found, nil
	})
	// Output:
}

// napping is a fault of one's own: it does nothing, and says so.
type napping struct{}

func (napping) Touched(context.Context) (int64, error) { return 0, nil }
func (napping) Stop(context.Context) error             { return nil }

func ExampleRegister() {
	reg := &scenario.Registry{}
	object.Register(reg, object.World{}) // what assay itself has
	reg.Fault(scenario.Fault{Name: "nap", Target: scenario.BucketKind,
		Inject: func(ctx context.Context, e *scenario.Env, l scenario.Live, options any) (scenario.Injected, error) {
			e.Say("a nap on " + l.Name())
			return napping{}, nil
		}})
	// Output:
}
