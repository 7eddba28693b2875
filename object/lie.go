package object

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/seed-1b600011/assay/refstore"
	"github.com/seed-1b600011/assay/scenario"
)

// lie are the options of the fault: what the reference store does to what it
// has acknowledged. See refstore.Lie for the exact meaning.
type lie struct {
	Kind        string          `yaml:"kind" doc:"what goes wrong" enum:"lose,stale,swap,flip,etag,resurrect,list-hides,list-invents" required:"true"`
	At          string          `yaml:"at" doc:"what is damaged: what the store serves, or what its backend holds; default store" enum:"store,backend"`
	Key         string          `yaml:"key" doc:"pattern of the keys concerned, with * and ?; default: any"`
	Probability float64         `yaml:"probability" doc:"of each request that could be touched; default 1" min:"0" max:"1"`
	Count       int64           `yaml:"count" doc:"how many requests are touched at most; default: no limit" min:"1"`
	Skip        scenario.Amount `yaml:"skip" doc:"how many requests that could be touched pass first"`
}

const lieName = "lie"

var errNoLies = errors.New("only the reference store can be told to lie")

func registerLie(r *scenario.Registry) {
	r.Fault(scenario.Fault{
		Name: lieName, Doc: "the reference store damages what it has acknowledged; what it damaged stays so", Target: scenario.BucketKind, Options: lie{},
		Shown: shown,
		Inject: func(ctx context.Context, e *scenario.Env, l scenario.Live, options any) (scenario.Injected, error) {
			b, o := l.(*Bucket), options.(*lie)
			if b.store.server == nil {
				return nil, errNoLies
			}
			told, err := b.store.server.Lie(ctx, refstore.Lie{
				Kind: refstore.Kind(o.Kind), At: o.At, Bucket: b.real, Key: o.Key,
				Probability: o.Probability, Count: o.Count, AfterRequests: int64(o.Skip), Seed: e.Plan.Draw("lie", b.name, o.Kind),
			})
			if err != nil {
				return nil, err
			}
			return &toldLie{told: told}, nil
		},
	})
}

// shown returns why no check of the plan could see a lie: a listing that is wrong
// shows in a listing only.
func shown(s *scenario.Spec, use scenario.FaultUse) error {
	kind := use.Options.(*lie).Kind
	if kind != string(refstore.ListHides) && kind != string(refstore.ListInvents) {
		return nil
	}
	for _, c := range s.Checks {
		if c.Check.Name == "check-list" && (c.Aim.On == "" || use.Aim.On == "" || c.Aim.On == use.Aim.On) {
			return nil
		}
	}
	return fmt.Errorf("nothing can show a lie of kind %s without check-list", kind)
}

// toldLie is a lie that is on.
type toldLie struct {
	told *refstore.Told

	mu   sync.Mutex
	keys []string
}

func (t *toldLie) Touched(ctx context.Context) (int64, error) {
	n, keys, err := t.told.Touched(ctx)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keys = keys
	return n, err
}

func (t *toldLie) Stop(ctx context.Context) error { return t.told.Stop(ctx) }

// Planted are the keys that were damaged, as far as Touched has been asked.
func (t *toldLie) Planted() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.keys
}
