package volume

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/seed-1b600011/assay/flakey/soft"
	"github.com/seed-1b600011/assay/scenario"
)

// How much a power cut can show depends on what the machine had done by itself
// until then. Pages that nothing has synced stay in the page cache for 30 s: a cut
// before that finds the file system as the last sync left it, old and sound. A
// busy machine writes them back at any time and in any order, which soft.Flush
// stands in for. The opposite shows other things: where data is written back late
// and something else commits the file system's metadata meanwhile, names and sizes
// are there and the data is not, the files of zero length that the field reports.
// So both are drawn for each plan in which the power is cut, unless the scenario
// says what they are.

var (
	flushers   = []string{"10ms", "10ms", "10s", "0s"} // fast as often as slow or never
	neighbours = []string{"none", "none", "fsync", "syncfs"}
)

// harden draws what the scenario leaves open of the volumes whose power is cut.
func (w world) harden(p *scenario.Plan, set func(i int, key, value string)) {
	for i := range p.Required.Volumes {
		v := &p.Required.Volumes[i]
		if w.driver(kindOf(*v)) == nil || !slices.ContainsFunc(p.Faults, func(f scenario.FaultUse) bool {
			return f.Fault.Name == powerCutName && (f.Aim.On == "" || f.Aim.On == v.Name)
		}) {
			continue
		}
		draw := func(what string, of []string) string {
			return of[p.Draw("plan", "volumes", strconv.Itoa(i), what).Below(0, uint64(len(of)))]
		}
		if v.Flusher == nil {
			text := draw("flusher", flushers)
			every, err := time.ParseDuration(text)
			if err != nil {
				panic(err) // it is one of ours
			}
			d := scenario.Duration(every)
			v.Flusher = &d
			set(i, "flusher", text)
		}
		if v.Neighbour == "" {
			v.Neighbour = draw("neighbour", neighbours)
			set(i, "neighbour", v.Neighbour)
		}
	}
}

// companion is a process beside the tests on a volume.
type companion struct {
	name string
	process
}

type process interface {
	Stop(context.Context) error
	Intact() error
}

// startBeside starts what makes cuts hard, as the plan says.
func (v *Volume) startBeside(ctx context.Context) error {
	if v.disk == nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	if v.spec.Flusher != nil && *v.spec.Flusher > 0 {
		f, err := soft.StartFlusher(ctx, v.env.Ledger, v.root, max(time.Duration(*v.spec.Flusher), time.Millisecond))
		if err != nil {
			return err
		}
		v.add(companion{"write-back", f})
	}
	if v.spec.Neighbour != "" && v.spec.Neighbour != "none" {
		n, err := startNeighbour(ctx, v.env.Ledger, v.root, v.spec.Neighbour)
		if err != nil {
			return err
		}
		v.add(companion{"the neighbour that syncs", n})
	}
	return nil
}

func (v *Volume) add(c companion) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.beside = append(v.beside, c)
}

// stopBeside stops it, and takes note first of what has failed.
func (v *Volume) stopBeside(ctx context.Context) {
	v.look()
	v.mu.Lock()
	beside := v.beside
	v.beside = nil
	v.mu.Unlock()
	for _, c := range beside {
		if err := c.Stop(ctx); err != nil {
			v.env.Say(fmt.Sprintf("%s: %v", v.Name(), err)) // it hangs with the disk, and goes with it
		}
	}
}
