package history

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestWhatIsAppendedIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp("", "assay-history")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		w, err := Create(dir, small(7))
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		var want []Record
		for range rapid.IntRange(0, 120).Draw(t, "records") {
			r := Record{
				Op: rapid.Uint64().Draw(t, "op"), Writer: rapid.Uint32Range(1, 1<<32-1).Draw(t, "writer"),
				Attempt: rapid.Uint32().Draw(t, "attempt"), Phase: Phase(rapid.IntRange(0, int(Round)).Draw(t, "phase")),
				Verb: rapid.StringN(0, 20, MaxVerb).Draw(t, "verb"), At: time.Duration(rapid.Int64().Draw(t, "at") | 1),
				Target: rapid.StringN(0, 20, 300).Draw(t, "target"), Object: rapid.StringN(0, 40, 600).Draw(t, "object"),
				From: rapid.Int64().Draw(t, "from"), To: rapid.Int64().Draw(t, "to"),
				Effect: Effect(rapid.Byte().Draw(t, "effect")), Generation: rapid.Uint32().Draw(t, "generation"), Detail: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "detail"),
			}
			if err := w.Append(r); err != nil {
				t.Fatal(err)
			}
			want = append(want, r)
			if rapid.IntRange(0, 9).Draw(t, "sync") == 0 {
				if err := w.Sync(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if rapid.Bool().Draw(t, "close") {
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		}
		got, err := collect(dir)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Fatalf("%d records of %d", len(got), len(want))
		}
		for i := range want {
			if !same(got[i], want[i]) {
				t.Fatalf("record %d: got %+v, want %+v", i, got[i], want[i])
			}
		}
	})
}

func TestLargestRecord(t *testing.T) {
	w, dir := create(t, small(1))
	r := Record{Op: 1<<64 - 1, Attempt: 1<<32 - 1, Phase: Round, Verb: strings.Repeat("v", MaxVerb), At: -1 << 63,
		Target: strings.Repeat("t", MaxName), Object: strings.Repeat("o", MaxName), From: -1 << 63, To: 1<<63 - 1,
		Generation: 1<<32 - 1, Effect: 255, Detail: bytes.Repeat([]byte{9}, MaxDetail), Writer: 1<<32 - 1}
	must(t, w.Append(Record{Op: 1}))
	must(t, w.Append(r))
	must(t, w.Append(Record{Op: 3}))
	must(t, w.Checkpoint(func(yield func(Record) bool) { yield(r) }))
	got := mustCollect(t, dir)
	if len(got) != 3 || !same(got[1], r) {
		t.Fatalf("%d records", len(got))
	}
	for _, r := range []Record{
		{Verb: strings.Repeat("v", MaxVerb+1)}, {Target: strings.Repeat("t", MaxName+1)},
		{Object: strings.Repeat("o", MaxName+1)}, {Detail: make([]byte, MaxDetail+1)},
		{Phase: Checkpoint}, {Phase: 200},
	} {
		if err := w.Append(r); !errors.Is(err, errRefused) {
			t.Errorf("append of what is too large: %v", err)
		}
	}
	must(t, w.Append(Record{Op: 4}))
	if got := mustCollect(t, dir); len(got) != 4 {
		t.Fatalf("%d records after refusals", len(got))
	}
}

func TestZeroFieldsAreFilledIn(t *testing.T) {
	w, dir := create(t, Options{Writer: 3, SegmentSize: minSegment})
	before := newBootClock().now()
	must(t, w.Append(Record{Verb: "put"}))
	op, err := w.Begin(Record{Verb: "get", Phase: Refused})
	must(t, err)
	after := newBootClock().now()
	got := mustCollect(t, dir)
	if got[0].Writer != 3 || got[0].At < before || got[0].At > after || got[1].At < got[0].At {
		t.Errorf("%+v, appended between %d and %d", got, before, after)
	}
	if op != 1 || got[1].Op != 1 || got[1].Phase != Issued {
		t.Errorf("operation %d, %+v", op, got[1])
	}
}

func TestConcurrentAppends(t *testing.T) {
	w, dir := create(t, small(1))
	goroutines, each := 8, pick(150, 3000)
	var wg sync.WaitGroup
	for g := range goroutines {
		wg.Go(func() {
			for i := range each {
				op, err := w.Begin(Record{Verb: "put", Attempt: uint32(g), Generation: uint32(i + 1)})
				if err == nil {
					err = w.Append(Record{Op: op, Phase: Acknowledged})
				}
				if err == nil && i%50 == 49 {
					err = w.Sync()
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	stop := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() { readWhileWritten(t, dir, stop) })
	wg.Wait()
	close(stop)
	reader.Wait()
	must(t, w.Close())
	last := map[uint32]uint32{}
	issued := map[uint64]int{}
	got := mustCollect(t, dir)
	for _, r := range got {
		if r.Phase == Issued {
			if r.Generation != last[r.Attempt]+1 {
				t.Fatalf("goroutine %d: %d after %d", r.Attempt, r.Generation, last[r.Attempt])
			}
			last[r.Attempt] = r.Generation
		}
		issued[r.Op]++
	}
	if len(got) != 2*goroutines*each || len(issued) != goroutines*each {
		t.Fatalf("%d records of %d operations", len(got), len(issued))
	}
}

// Syncs meet rotations at every point of both.
func TestSyncWhileRotating(t *testing.T) {
	w, dir := create(t, small(1))
	var wg sync.WaitGroup
	n := pick(400, 20_000)
	for g := range 4 {
		wg.Go(func() {
			for range n {
				err := w.Append(Record{Verb: "put", Detail: make([]byte, 500)})
				if err == nil && g > 0 {
					err = w.Sync()
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	must(t, w.Close())
	if got := mustCollect(t, dir); len(got) != 4*n {
		t.Fatalf("%d records of %d", len(got), 4*n)
	}
}

// A mark covers what was there before its sync began, and not what came while
// the disk was at work.
func TestMarkCoversWhatWasSynced(t *testing.T) {
	w, dir := create(t, small(1))
	must(t, w.Append(Record{Op: 1}))
	covered, done, err := w.unmarked(w.seg, w.seg.pos)
	if done || err != nil {
		t.Fatal(done, err)
	}
	must(t, w.seg.sync())
	must(t, w.Append(Record{Op: 2}))
	if _, done, err := w.mark(w.seg, covered); done || err != nil {
		t.Fatal(done, err)
	}
	b, err := os.ReadFile(filepath.Join(dir, segmentName(1)))
	must(t, err)
	clear(b[covered:w.seg.pos]) // the machine is lost before the second sync, the anchor is not
	n := 0
	for _, err := range Read(bytes.NewReader(b)) {
		must(t, err)
		n++
	}
	if n != 1 {
		t.Fatalf("%d records", n)
	}
}

// readWhileWritten reads a living history again and again: never an error, and
// never less than the time before.
func readWhileWritten(t *testing.T, dir string, stop chan struct{}) {
	for n := 0; ; {
		got, err := collect(dir)
		if err != nil || len(got) < n {
			t.Errorf("a living history: %d records after %d: %v", len(got), n, err)
			return
		}
		for i, r := range got {
			if r.Phase == Issued && (r.Op == 0 || r.Verb != "put") {
				t.Errorf("record %d: %+v", i, r)
			}
		}
		n = len(got)
		select {
		case <-stop:
			return
		default:
		}
	}
}

func TestContinue(t *testing.T) {
	w, dir := create(t, small(5))
	if _, err := Continue(dir, small(5)); !errors.Is(err, ErrInUse) {
		t.Fatalf("continue beside a living writer: %v", err)
	}
	for range 200 {
		_, err := w.Begin(Record{Verb: "put"})
		must(t, err)
	}
	must(t, w.Append(Record{Op: 1000, Phase: Acknowledged}))
	must(t, w.Append(Record{Op: 5000, Writer: 99, Phase: Acknowledged}))
	must(t, w.Close())
	if _, err := Create(dir, small(5)); !errors.Is(err, fs.ErrExist) {
		t.Fatalf("create over a history: %v", err)
	}
	if _, err := Continue(dir, small(6)); err == nil {
		t.Fatal("continued by another writer")
	}
	if _, err := Continue(filepath.Join(dir, "no"), small(6)); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("continue nothing: %v", err)
	}
	for i := range 3 {
		w, err := Continue(dir, Options{SegmentSize: minSegment})
		must(t, err)
		op, err := w.Begin(Record{Verb: "put"})
		must(t, err)
		if op != uint64(1001+i) {
			t.Errorf("operation %d after 1000", op)
		}
		must(t, w.Close())
	}
	got := mustCollect(t, dir)
	if len(got) != 205 || got[204].Writer != 5 {
		t.Fatalf("%d records", len(got))
	}
}

func TestAfterClose(t *testing.T) {
	w, dir := create(t, small(1))
	must(t, w.Append(Record{Op: 1}))
	must(t, w.Close())
	info, err := os.Stat(filepath.Join(dir, segmentName(1)))
	must(t, err)
	if info.Size() >= minSegment {
		t.Errorf("%d bytes kept", info.Size())
	}
	for what, err := range map[string]error{"append": w.Append(Record{}), "sync": w.Sync(), "close": w.Close(),
		"checkpoint": w.Checkpoint(func(func(Record) bool) {})} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s after close: %v", what, err)
		}
	}
}

func TestNoHistory(t *testing.T) {
	if _, err := collect(t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty directory: %v", err)
	}
	if _, err := collect(filepath.Join(t.TempDir(), "no")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	for r, err := range Read() {
		t.Errorf("no readers: %+v, %v", r, err)
	}
	for _, err := range Read(strings.NewReader("")) {
		var damage *DamageError
		if !errors.As(err, &damage) || damage.Offset != 0 {
			t.Errorf("an empty reader: %v", err)
		}
	}
	for _, err := range Read(io.MultiReader(strings.NewReader("x"), broken{})) {
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("a broken reader: %v", err)
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestAppendAllocatesNothing(t *testing.T) {
	w, _ := create(t, Options{Writer: 1, SegmentSize: 1 << 20})
	objects := objectNames(100)
	i := 0
	if n := testing.AllocsPerRun(2000, func() {
		if err := w.Append(workload(objects, i)); err != nil {
			t.Fatal(err)
		}
		i++
	}); n != 0 {
		t.Errorf("%v allocations a record", n)
	}
}
