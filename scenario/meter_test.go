package scenario

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/history"
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
