package scenario

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/verdict"
)

// TestCountHoldsAll: while a fault whose count is reached is not on yet, no
// operation begins but those that eight goroutines have under way; and two
// faults of one count both come at it.
func TestCountHoldsAll(t *testing.T) {
	const workers, at, total = 8, 100, 1000
	var m Meter
	ready, on := m.At("operations", at)
	second, alsoOn := m.At("operations", at)
	var begun atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for begun.Add(1) <= total {
				m.Operation(t.Context(), history.Acknowledged, 1, time.Microsecond)
			}
		})
	}
	<-ready
	<-second // of the same operation
	on()
	time.Sleep(50 * time.Millisecond) // a broken meter lets them run to the end in that
	if n := begun.Load(); n < at || n > at+workers-1 {
		t.Errorf("%d operations had begun when the fault of operation %d came, of %d at once", n, at, workers)
	}
	alsoOn()
	wg.Wait()
	if n := m.operations(); n != total {
		t.Errorf("%d operations, want %d", n, total)
	}
}

// TestHeldOperationIsLeft: a run that ends does not wait for a fault.
func TestHeldOperationIsLeft(t *testing.T) {
	var m Meter
	_, on := m.At("operations", 1)
	defer on()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	m.Operation(ctx, history.Acknowledged, 1, time.Microsecond)
}

// TestShareNeverFalls: what is done of a stage only grows, and a stage whose
// whole is not known has no share.
func TestShareNeverFalls(t *testing.T) {
	var m Meter
	tick := func(stage string, done, total int64) {
		t.Helper()
		if got := m.Tick(); got.Stage != stage || got.Done != done || got.Total != total {
			t.Errorf("stage %q, %d of %d, want %q, %d of %d", got.Stage, got.Done, got.Total, stage, done, total)
		}
	}
	m.Enter(verdict.Drive, 10)
	m.Done(10)
	tick("", 10, 10)
	m.Enter(verdict.Drive, 4) // the tests once more, until a fault has come
	m.Done(1)
	tick("", 11, 0)
	m.Enter(verdict.Judge, 0)
	m.Stage("check-files on a")
	m.Enter(verdict.Judge, 5)
	m.Done(5)
	tick("check-files on a", 5, 5)
	m.Stage("second look at a")
	tick("second look at a", 0, 0)
	if m.Tick().Driving <= 0 {
		t.Error("no time was spent driving")
	}
	m.Enter(verdict.Drive, 10) // the next round
	tick("", 0, 10)
}
