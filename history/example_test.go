package history_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/seed-1b600011/assay/history"
)

// An operation is in the history before it is done, and its outcome after.
func Example() {
	tmp, err := os.MkdirTemp("", "assay-history")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(tmp)
	dir := filepath.Join(tmp, "history")

	w, err := history.Create(dir, history.Options{Writer: 1})
	if err != nil {
		log.Fatal(err)
	}
	op, err := w.Begin(history.Record{Verb: "put", Target: "b1", Object: "k/1", To: 4096, Generation: 1})
	if err != nil {
		log.Fatal(err) // then the put must not be done
	}
	// Here the put is done. Were this process killed now, the history would say
	// that it had been begun.
	if err := w.Append(history.Record{Op: op, Phase: history.Acknowledged}); err != nil {
		log.Fatal(err)
	}
	if err := w.Close(); err != nil {
		log.Fatal(err)
	}

	for r, err := range history.ReadDir(dir) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.Writer, r.Op, r.Phase, r.Verb, r.Object, r.To)
	}
	// Output:
	// 1 1 issued put k/1 4096
	// 1 1 acknowledged   0
}
