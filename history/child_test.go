package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/seed"
)

// A child is a process that writes a history until it is killed, and does what
// it writes: every operation stores a number in a file beside the history. What
// can be seen in that file had begun, so it has to be in the history.

const (
	historyDir = "h"
	begunFile  = "begun" // slot op: the operation that was done
	ackedFile  = "acked" // slot op: the same, after its acknowledgement was appended
	readyFile  = "ready"
	objects    = 24 // of the checkpointing child
)

func childMain(kind, dir string) error {
	begun, err := os.OpenFile(filepath.Join(dir, begunFile), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	acked, err := os.OpenFile(filepath.Join(dir, ackedFile), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	w, err := childWriter(filepath.Join(dir, historyDir))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, readyFile), nil, 0o644); err != nil {
		return err
	}
	if kind == "checkpoint" {
		return childFolds(w, begun)
	}
	return childAppends(w, begun, acked)
}

func childWriter(dir string) (*Writer, error) {
	o := Options{Writer: 9, SegmentSize: minSegment}
	if seqs, err := segments(dir); err == nil && len(seqs) > 0 {
		return Continue(dir, o)
	}
	return Create(dir, o)
}

func setSlot(f *os.File, slot, value uint64) error {
	_, err := f.WriteAt(binary.LittleEndian.AppendUint64(nil, value), int64(slot)*8)
	return err
}

// childAppends runs four goroutines, one of which syncs now and then, until it
// is killed.
func childAppends(w *Writer, begun, acked *os.File) error {
	errs := make(chan error, 4)
	for g := range 4 {
		go func() {
			for i := 0; ; i++ {
				if err := childOperation(w, begun, acked); err != nil {
					errs <- err
					return
				}
				if g == 0 && i%16 == 0 {
					if err := w.Sync(); err != nil {
						errs <- err
						return
					}
				}
			}
		}()
	}
	return <-errs
}

func childOperation(w *Writer, begun, acked *os.File) error {
	op, err := w.Begin(Record{Verb: "write", Target: "begun", Object: "slots", Generation: 1})
	if err != nil {
		return err
	}
	if err := setSlot(begun, op, op); err != nil {
		return err
	}
	if err := w.Append(Record{Op: op, Phase: Acknowledged}); err != nil {
		return err
	}
	return setSlot(acked, op, op)
}

// childFolds gives a few objects new generations and replaces its history by a
// checkpoint of them again and again.
func childFolds(w *Writer, begun *os.File) error {
	state := map[string]Record{}
	for i := 0; ; i++ {
		slot := uint64(i % objects)
		r := Record{Verb: "write", Object: fmt.Sprintf("object-%d", slot)}
		r.Generation = uint32(w.op + 1)
		op, err := w.Begin(r)
		if err != nil {
			return err
		}
		if err := setSlot(begun, slot, op); err != nil {
			return err
		}
		r.Op = op
		state[r.Object] = r
		if i%40 == 39 {
			if err := w.Checkpoint(func(yield func(Record) bool) {
				for _, r := range state {
					if !yield(r) {
						return
					}
				}
			}); err != nil {
				return err
			}
		}
	}
}

// runChild starts a child in dir and kills it after a time up to atMost, in
// which it has been at work, or in a third of all rounds was just starting.
func runChild(t *testing.T, kind, dir string, d seed.Seed, atMost time.Duration) {
	t.Helper()
	_ = os.Remove(filepath.Join(dir, readyFile))
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+kind+":"+dir)
	cmd.Stderr = os.Stderr
	must(t, cmd.Start())
	var once sync.Once
	kill := func() { once.Do(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }) }
	defer kill()
	for range 10_000 {
		if d.Chance(1, 1./3) {
			break
		}
		if _, err := os.Stat(filepath.Join(dir, readyFile)); err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Duration(d.Below(0, uint64(atMost))))
	kill()
	if code := cmd.ProcessState.ExitCode(); code != -1 {
		t.Fatalf("the child ended by itself with %d", code)
	}
}

func slots(t *testing.T, dir, name string) []uint64 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if !errors.Is(err, fs.ErrNotExist) { // the child was killed before it made it
		must(t, err)
	}
	s := make([]uint64, len(b)/8)
	for i := range s {
		s[i] = binary.LittleEndian.Uint64(b[i*8:])
	}
	return s
}

// survived reads a history whose writer was killed, perhaps before it began.
func survived(t *testing.T, dir string) []Record {
	t.Helper()
	rs, err := collect(dir)
	if !errors.Is(err, fs.ErrNotExist) {
		must(t, err)
	}
	return rs
}

func TestKilledWriter(t *testing.T) {
	dir := t.TempDir()
	began := 0
	kills := pick(20, 1000)
	for round := range kills {
		if round%10 == 0 { // a history is continued nine times, then a new one begun
			dir = t.TempDir()
		}
		runChild(t, "append", dir, seed.Seed(11).Index(uint64(round)), 12*time.Millisecond)
		issued, acknowledged := map[uint64]bool{}, map[uint64]bool{}
		for _, r := range survived(t, filepath.Join(dir, historyDir)) {
			if r.Phase == Issued && issued[r.Op] {
				t.Fatalf("round %d: operation %d twice", round, r.Op)
			}
			issued[r.Op] = issued[r.Op] || r.Phase == Issued
			acknowledged[r.Op] = acknowledged[r.Op] || r.Phase == Acknowledged
		}
		for op, value := range slots(t, dir, begunFile) {
			if value != 0 && !issued[value] {
				t.Fatalf("round %d: operation %d had begun and is not in the history", round, op)
			}
		}
		for op, value := range slots(t, dir, ackedFile) {
			if value != 0 && !acknowledged[value] {
				t.Fatalf("round %d: operation %d was acknowledged and that is not in the history", round, op)
			}
		}
		if round%10 == 9 || round == kills-1 {
			began += len(issued)
		}
	}
	if began < kills {
		t.Fatalf("only %d operations began in %d rounds", began, kills)
	}
	t.Logf("%d kills, %d operations", kills, began)
}

func TestKilledCheckpoint(t *testing.T) {
	dir := t.TempDir()
	folded := 0
	for round := range pick(20, 500) {
		runChild(t, "checkpoint", dir, seed.Seed(12).Index(uint64(round)), 10*time.Millisecond)
		latest := map[string]uint64{}
		for _, r := range survived(t, filepath.Join(dir, historyDir)) {
			if r.Phase == Checkpoint && r.To == 0 {
				folded++
				clear(latest)
			}
			if r.Object != "" {
				latest[r.Object] = max(latest[r.Object], r.Op)
			}
		}
		for i, op := range slots(t, dir, begunFile) {
			if name := fmt.Sprintf("object-%d", i); latest[name] < op {
				t.Fatalf("round %d: %s had operation %d, the history knows of %d", round, name, op, latest[name])
			}
		}
	}
	if folded == 0 {
		t.Fatal("no checkpoint was read")
	}
}
