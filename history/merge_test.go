package history

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// written makes a history of records at the given times, in ms.
func written(t *testing.T, writer uint32, o Options, at ...int) string {
	t.Helper()
	o.Writer = writer
	w, dir := create(t, o)
	for i, ms := range at {
		must(t, w.Append(Record{Op: uint64(i + 1), At: time.Duration(ms) * time.Millisecond}))
	}
	must(t, w.Close())
	return dir
}

func merged(dirs ...string) (string, error) {
	var b strings.Builder
	for r, err := range Merge(dirs...) {
		if err != nil {
			return b.String(), err
		}
		if r.Phase == Checkpoint {
			fmt.Fprintf(&b, "%d:c%d ", r.Writer, r.To)
			continue
		}
		fmt.Fprintf(&b, "%d:%d ", r.Writer, r.Op)
	}
	return strings.TrimSpace(b.String()), nil
}

func TestMergeOrder(t *testing.T) {
	o := small(0)
	a := written(t, 1, o, 10, 20, 20, 50)
	b := written(t, 2, o, 5, 20, 60)
	back := written(t, 3, o, 30, 12, 55) // its own order is kept
	none := written(t, 4, o)
	for want, dirs := range map[string][]string{
		"2:1 1:1 1:2 1:3 2:2 1:4 2:3":             {a, b},
		"2:1 1:1 2:2 1:2 1:3 1:4 2:3":             {b, a},
		"2:1 1:1 1:2 1:3 2:2 3:1 3:2 1:4 3:3 2:3": {none, a, b, back},
		"": {none},
	} {
		if got, err := merged(dirs...); err != nil || got != want {
			t.Errorf("got  %s (%v)\nwant %s", got, err, want)
		}
	}
	if got, err := merged(); err != nil || got != "" {
		t.Errorf("of nothing: %s, %v", got, err)
	}
}

func TestMergeErrors(t *testing.T) {
	a, b := written(t, 1, small(0), 1, 2), written(t, 1, small(0), 1, 2)
	if _, err := merged(a, b); err == nil || !strings.Contains(err.Error(), "both by writer 1") {
		t.Errorf("two histories of one writer: %v", err)
	}
	if _, err := merged(a, filepath.Join(b, "no")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("one is missing: %v", err)
	}
	for range Merge(a) { // leaving early must not hurt
		break
	}
}

// What a checkpoint folds stands at its own times, not at the checkpoint's.
func TestMergeCheckpoint(t *testing.T) {
	o := small(0)
	o.Writer = 1
	w, a := create(t, o)
	must(t, w.Checkpoint(slices.Values([]Record{{Op: 1, At: 10}, {Op: 2, At: 30}})))
	must(t, w.Close())
	w, b := create(t, small(2))
	must(t, w.Append(Record{Op: 1, At: 20}))
	must(t, w.Append(Record{Op: 2, At: time.Hour}))
	must(t, w.Close())
	if got, err := merged(b, a); err != nil || got != "1:c0 1:1 2:1 1:2 1:c1 2:2" {
		t.Errorf("%s, %v", got, err)
	}
}

// Boots are told apart: a machine that was started anew counts from 0 again.
func TestMergeBoots(t *testing.T) {
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	history := func(writer uint32, boot byte, up time.Duration, wall time.Time, at ...time.Duration) string {
		dir := filepath.Join(t.TempDir(), "h")
		o := small(writer)
		o.Clock, o.Wall = ticking(up, 1), func() time.Time { return wall }
		o, err := o.withDefaults()
		must(t, err)
		w := &Writer{dir: dir, o: o, boot: [16]byte{boot}}
		must(t, makeDir(dir))
		w.lock, err = lock(dir)
		must(t, err)
		must(t, w.begin())
		for i, at := range at {
			must(t, w.Append(Record{Op: uint64(i + 1), At: at}))
		}
		must(t, w.Close())
		return dir
	}
	before := history(1, 1, 9*time.Hour, noon, 9*time.Hour, 9*time.Hour+10*time.Minute)
	after := history(2, 2, time.Minute, noon.Add(20*time.Minute), 2*time.Minute)
	// The same boot as the first, but the wall clock was set back meanwhile.
	same := history(3, 1, 9*time.Hour+5*time.Minute, noon.Add(-time.Hour), 9*time.Hour+5*time.Minute)
	if got, err := merged(after, before, same); err != nil || got != "1:1 3:1 1:2 2:1" {
		t.Errorf("%s, %v", got, err)
	}
}
