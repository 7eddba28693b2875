package history

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestCheckpointReplaces(t *testing.T) {
	w, dir := create(t, small(4))
	for range 300 {
		_, err := w.Begin(Record{Verb: "put", Object: "a"})
		must(t, err)
	}
	var folded []Record
	for i := range 500 { // more than a segment holds
		folded = append(folded, Record{Op: uint64(i + 1), Writer: 4, Verb: "put", At: 5, Object: fmt.Sprint(i, strings.Repeat("-", 40))})
	}
	must(t, w.Checkpoint(slices.Values(folded)))
	seqs, err := segments(dir)
	must(t, err)
	if len(seqs) != 1 || seqs[0] == 1 {
		t.Fatalf("segments %v", seqs)
	}
	op, err := w.Begin(Record{Verb: "put"})
	must(t, err)
	if op != 501 {
		t.Errorf("operation %d after a checkpoint that goes to 500", op)
	}
	got := mustCollect(t, dir)
	if len(got) != 503 || got[0].Phase != Checkpoint || got[0].To != 0 || got[501].Phase != Checkpoint || got[501].To != 1 || got[502].Op != 501 {
		t.Fatalf("%d records", len(got))
	}
	for i, r := range folded {
		if !same(got[i+1], r) {
			t.Fatalf("record %d: %+v", i, got[i+1])
		}
	}
	must(t, w.Close())
	w, err = Continue(dir, small(4))
	must(t, err)
	defer w.Close()
	if op, err := w.Begin(Record{}); op != 502 || err != nil {
		t.Errorf("operation %d after 501: %v", op, err)
	}
	if got := mustCollect(t, dir); len(got) != 504 {
		t.Errorf("%d records", len(got))
	}
}

// The fold may read the history that it replaces.
func TestCheckpointOfItself(t *testing.T) {
	w, dir := create(t, small(4))
	for range 200 {
		_, err := w.Begin(Record{Verb: "put", Object: "a"})
		must(t, err)
	}
	must(t, w.Checkpoint(func(yield func(Record) bool) {
		last := Record{}
		for r, err := range ReadDir(dir) {
			if err != nil {
				t.Error(err)
			}
			last = r
		}
		yield(last)
	}))
	if got := mustCollect(t, dir); len(got) != 3 || got[1].Op != 200 {
		t.Fatalf("%+v", got)
	}
}

func TestRefusedCheckpointChangesNothing(t *testing.T) {
	w, dir := create(t, small(4))
	for range 100 {
		_, err := w.Begin(Record{Verb: "put"})
		must(t, err)
	}
	err := w.Checkpoint(slices.Values([]Record{{Op: 1}, {Phase: Checkpoint}}))
	if !errors.Is(err, errRefused) {
		t.Fatal(err)
	}
	_, err = w.Begin(Record{Verb: "put"})
	must(t, err)
	must(t, w.Sync())
	if got := mustCollect(t, dir); len(got) != 101 {
		t.Fatalf("%d records", len(got))
	}
	left, err := filepath.Glob(filepath.Join(dir, "*"+unfinished))
	if err != nil || len(left) > 0 {
		t.Fatalf("left behind: %v %v", left, err)
	}
}

// Segments that a crash kept from being removed are not read, nor are those
// that it kept from being finished.
func TestLeftovers(t *testing.T) {
	w, dir := create(t, small(4))
	must(t, w.Append(Record{Op: 1, Verb: "put"}))
	old, err := os.ReadFile(filepath.Join(dir, segmentName(1)))
	must(t, err)
	must(t, w.Checkpoint(slices.Values([]Record{{Op: 1, Verb: "put"}})))
	must(t, w.Close())
	want := mustCollect(t, dir)
	for _, b := range [][]byte{old, nil, make([]byte, 5000)} {
		must(t, os.WriteFile(filepath.Join(dir, segmentName(1)), b, 0o644))
		must(t, os.WriteFile(filepath.Join(dir, segmentName(3)+unfinished), old, 0o644))
		must(t, os.WriteFile(filepath.Join(dir, "notes"), old, 0o644))
		if got := mustCollect(t, dir); len(got) != len(want) {
			t.Fatalf("%d records", len(got))
		}
	}
	w, err = Continue(dir, small(4))
	must(t, err)
	must(t, w.Close())
	if left, _ := filepath.Glob(filepath.Join(dir, "*"+unfinished)); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	// The checkpoint itself gone: the old segment alone is not the history.
	must(t, os.WriteFile(filepath.Join(dir, segmentName(1)), old, 0o644))
	must(t, os.Remove(filepath.Join(dir, segmentName(2))))
	var damage *DamageError
	if _, err := collect(dir); !errors.As(err, &damage) {
		t.Errorf("without the checkpoint: %v", err)
	}
}

// Whoever reads while checkpoints replace what he reads sees a true history.
func TestReadWhileCheckpointed(t *testing.T) {
	w, dir := create(t, Options{Writer: 1, SegmentSize: minSegment})
	stop := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		for n := uint64(0); ; {
			last, err := lastOf(dir)
			if err != nil || last < n {
				t.Errorf("operation %d after %d: %v", last, n, err)
				return
			}
			n = last
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	defer reader.Wait()
	defer close(stop)
	for i := range pick(3000, 100_000) {
		op, err := w.Begin(Record{Verb: "put", Object: strings.Repeat("o", i%100)})
		must(t, err)
		if i%300 == 299 {
			must(t, w.Checkpoint(slices.Values([]Record{{Op: op, Verb: "put"}})))
		}
	}
}

// lastOf folds a history to its last operation, each of which must be one more
// than the one before.
func lastOf(dir string) (uint64, error) {
	var last uint64
	fresh := true
	for r, err := range ReadDir(dir) {
		switch {
		case err != nil:
			return last, err
		case r.Phase == Checkpoint:
			fresh = r.To == 0
			continue
		case !fresh && r.Op != last+1:
			return last, fmt.Errorf("operation %d follows %d", r.Op, last)
		}
		last, fresh = r.Op, false
	}
	return last, nil
}
