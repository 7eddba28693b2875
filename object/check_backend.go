package object

import (
	"context"

	"github.com/seed-1b600011/assay/owed"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
)

func registerBackend(r *scenario.Registry) {
	Check(r, scenario.Check{
		Name: "check-backend", Doc: "reads every object on the backend that its bucket is kept on, through the backend's own client",
		Controls: []scenario.Control{
			{Name: "one put in 10,000 does not reach the backend", Wants: verdict.Lost, Scenario: control("check-backend", "put", "{kind: lose, at: backend, count: 1, skip: 4321}")},
			{Name: "one bit of one in 10,000 is flipped on the backend", Wants: verdict.Corrupt, Scenario: control("check-backend", "put", "{kind: flip, at: backend, count: 1, skip: 2345}")},
			{Name: "two in 10,000 are swapped on the backend", Wants: verdict.Misdirected, Scenario: control("check-backend", "put", "{kind: swap, at: backend, count: 1, skip: 3456}")},
			{Name: "one overwrite in 10,000 does not reach the backend", Wants: verdict.Stale, Scenario: control("check-backend", "put, put", "{kind: stale, at: backend, count: 1, skip: 5678}")},
			{Name: "one delete in 10,000 does not reach the backend", Wants: verdict.Resurrected, Scenario: control("check-backend", "put, delete", "{kind: resurrect, at: backend, count: 1, skip: 6789}")},
			{Name: "a clean run of puts, overwrites, deletes and reads", Scenario: control("check-backend", "put, mixed: {operations: 20000}", "")},
		},
	}, struct{}{}, func(ctx context.Context, b *Bucket, book *owed.Book, _ struct{}) ([]verdict.Finding, error) {
		return b.onBackend().judge(ctx, book)
	})
}

// onBackend is the bucket as its backend holds it: objects KEY of bucket B are
// there as B/KEY. A bucket on the tested store's own storage is its own backend.
func (b *Bucket) onBackend() view {
	if b.backend == nil {
		return b.view()
	}
	at := newStanding(b.env, "backend "+b.backend.Name+" at "+b.backend.URL(), b.store.limit)
	return view{bucket: b, client: newClient(b.backend.Endpoint, at.limit), real: b.backend.Bucket, prefix: b.real + "/", at: at}
}
