package object

import (
	"context"

	"github.com/seed-1b600011/assay/owed"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
)

func registerContent(r *scenario.Registry) {
	Check(r, scenario.Check{
		Name: "check-content", Doc: "reads every object that was ever put: what was acknowledged is there, whole, and what was deleted is not",
		Controls: []scenario.Control{
			{Name: "one put in 10,000 is lost", Wants: verdict.Lost, Scenario: control("check-content", "put", "{kind: lose, count: 1, skip: 4321}")},
			{Name: "one bit of one in 10,000 is flipped", Wants: verdict.Corrupt, Scenario: control("check-content", "put", "{kind: flip, count: 1, skip: 2345}")},
			{Name: "two in 10,000 are swapped", Wants: verdict.Misdirected, Scenario: control("check-content", "put", "{kind: swap, count: 1, skip: 3456}")},
			{Name: "one overwrite in 10,000 is ignored", Wants: verdict.Stale, Scenario: control("check-content", "put, put", "{kind: stale, count: 1, skip: 5678}")},
			{Name: "one delete in 10,000 is ignored", Wants: verdict.Resurrected, Scenario: control("check-content", "put, delete", "{kind: resurrect, count: 1, skip: 6789}")},
			{Name: "a clean run of puts, overwrites, deletes and reads", Scenario: control("check-content", "put, mixed: {operations: 20000}", "")},
		},
	}, struct{}{}, func(ctx context.Context, b *Bucket, book *owed.Book, _ struct{}) ([]verdict.Finding, error) {
		found, err := b.view().judge(ctx, book)
		// What a check has looked at twice tells more than what a read met.
		return once(append(found, b.observed(book)...)), err
	})
}

// control is a scenario of 10,000 small objects with one lie, or none.
func control(check, tests, lie string) string {
	faults := ""
	if lie != "" {
		faults = "  faults: [lie: " + lie + "]\n"
	}
	return "- name: control\n" +
		"  required: {buckets: [{clouds: [aws, gcp, azure]}]}\n" + // a backend that is not the store itself
		"  objects: {count: 10000, size: {min: 24B, max: 2K}}\n" +
		"  tests: [" + tests + "]\n" + faults +
		"  checks: [" + check + "]\n"
}
