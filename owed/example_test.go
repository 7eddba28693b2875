package owed_test

import (
	"fmt"
	"iter"
	"time"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/owed"
)

// A bucket acknowledged two puts of a key; a third is without an answer. The
// key is then found missing.
func Example() {
	records := []history.Record{
		{Op: 1, Phase: history.Issued, Verb: "put", Target: "bucket", Object: "key", To: 4096, Generation: 1},
		{Op: 1, Phase: history.Acknowledged, At: 1 * time.Second},
		{Op: 2, Phase: history.Issued, Verb: "put", Target: "bucket", Object: "key", To: 4096, Generation: 2, At: 2 * time.Second},
		{Op: 2, Phase: history.Acknowledged, At: 3 * time.Second},
		{Op: 3, Phase: history.Issued, Verb: "put", Target: "bucket", Object: "key", To: 4096, Generation: 3, At: 4 * time.Second},
		{Op: 3, Phase: history.Unknown, At: 5 * time.Second},
	}
	book, err := owed.Fold(all(records), func(string) owed.Rule { return owed.Rule{} })
	if err != nil {
		fmt.Println(err)
		return
	}
	state := book.Object("bucket", "key")
	fmt.Println("allowed:", state.Generations(), "may be absent:", state.MayBeAbsent())
	for _, d := range state.Judge(owed.Seen{}) {
		fmt.Printf("%s\n promised %s\n found %s\n", d.Kind, d.Promised, d.Found)
	}
	// Output:
	// allowed: [2 3] may be absent: false
	// lost
	//  promised generation 3, 4096 bytes (put, operation 3, issued 4.0 s after start, outcome unknown) or generation 2, 4096 bytes (put, operation 2, acknowledged 3.0 s after start)
	//  found no such object
}

func all(records []history.Record) iter.Seq2[history.Record, error] {
	return func(yield func(history.Record, error) bool) {
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	}
}
