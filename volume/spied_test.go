package volume_test

import (
	"context"
	"sync"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/flakey/soft"
)

// spied is a soft disk whose counts are taken down at certain moments: before
// faults are set, and before its power goes.
type spied struct {
	*soft.Disk
	mu   sync.Mutex
	sets []counts
	cuts []counts
}

// counts are what a disk has done at a moment.
type counts struct {
	writes, flushes, held int64 // discards and zeroings are writes
	faults                []flakey.Fault
}

// counts waits until they stand still for a moment: a request that has just
// come is counted before it is held.
func (d *spied) counts(ctx context.Context, faults ...flakey.Fault) counts {
	var last counts
	for same := 0; same < 4; same++ {
		st, _ := d.Disk.Stats(ctx)
		now := counts{writes: st.Writes + st.Discards + st.Zeroes, flushes: st.Flushes, held: st.Touched[flakey.Hang]}
		if now.writes != last.writes || now.flushes != last.flushes || now.held != last.held {
			same = 0
		}
		if last = now; now.held == 0 { // nothing stands still, and nothing is held that must be told from what is done
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	last.faults = faults
	return last
}

func (d *spied) Set(ctx context.Context, faults ...flakey.Fault) error {
	c := d.counts(ctx, faults...)
	d.mu.Lock()
	d.sets = append(d.sets, c)
	d.mu.Unlock()
	return d.Disk.Set(ctx, faults...)
}

func (d *spied) PowerCut(ctx context.Context, k flakey.Keep) (flakey.Cut, error) {
	c := d.counts(ctx)
	d.mu.Lock()
	d.cuts = append(d.cuts, c)
	d.mu.Unlock()
	return d.Disk.PowerCut(ctx, k)
}

// armed are the moments at which one hang alone was set.
func (d *spied) armed() (all []counts) {
	for _, c := range d.sets {
		if len(c.faults) == 1 && c.faults[0].Kind == flakey.Hang {
			all = append(all, c)
		}
	}
	return all
}
