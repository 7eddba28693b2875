package main

import (
	"fmt"
	"os"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/flakey/soft"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/seed"
	"github.com/spf13/cobra"
)

// faultFlags are the flags of the commands that put a fault on.
type faultFlags struct {
	fault flakey.Fault
	seed  string
}

func flakeyFaults() []*cobra.Command {
	short := map[flakey.Kind]string{
		flakey.DropWrites:      "Acknowledge writes and do not do them",
		flakey.DropFlushes:     "Acknowledge flushes and do not do them",
		flakey.ErrorWrites:     "Fail writes",
		flakey.ErrorReads:      "Fail reads",
		flakey.ErrorFlushes:    "Fail flushes",
		flakey.CorruptReads:    "Give damaged data to readers",
		flakey.CorruptWrites:   "Store damaged data",
		flakey.TearWrites:      "Do only the first blocks of a write, and acknowledge all",
		flakey.MisdirectWrites: "Do writes in the wrong place",
		flakey.StaleReads:      "Give readers what was there at the last flush",
		flakey.Delay:           "Let every request wait",
		flakey.Hang:            "Let every request wait until allow",
	}
	var all []*cobra.Command
	for _, k := range flakey.Kinds() {
		all = append(all, flakeyFault(k, short[k]))
	}
	return all
}

func flakeyFault(k flakey.Kind, short string) *cobra.Command {
	f := &faultFlags{fault: flakey.Fault{Kind: k}}
	c := onDisk(string(k)+" NAME", short, func(c *cobra.Command, d *soft.Disk) error { return f.add(c, d) })
	c.Long = short + ".\n\nFaults add up until assay flakey allow."
	flags := c.Flags()
	flags.Uint64Var(&f.fault.Where.FromSector, "from-sector", 0, "first `SECTOR` of 512 bytes concerned")
	flags.Uint64Var(&f.fault.Where.ToSector, "to-sector", 0, "first `SECTOR` after them; 0: the end of the disk")
	flags.Float64Var(&f.fault.Where.Probability, "probability", 1, "`CHANCE` of each request in the range, above 0 and up to 1")
	flags.Int64Var(&f.fault.Where.Count, "count", 0, "act on this `NUMBER` of requests at most; 0: no limit")
	switch k {
	case flakey.CorruptReads, flakey.CorruptWrites:
		flags.IntVar(&f.fault.Nth, "nth", 0, "replace this `BYTE` of each request, from 1; 0: flip one bit at random")
		flags.Uint8Var(&f.fault.Value, "value", 0, "`VALUE` that replaces it")
	case flakey.Delay:
		flags.DurationVar(&f.fault.Delay, "delay", 100*time.Millisecond, "`TIME` that every request waits")
	}
	flags.StringVar(&f.seed, "seed", "", "`NUMBER` from which every choice is drawn; default: a random one, which is printed")
	return c
}

func (f *faultFlags) add(c *cobra.Command, d *soft.Disk) error {
	w := f.fault.Where
	switch {
	case !(w.Probability > 0 && w.Probability <= 1):
		return scenario.Misconfigured("--probability", "%v: want a chance above 0 and up to 1", w.Probability)
	case w.Count < 0:
		return scenario.Misconfigured("--count", "%d: want 1 or more, or 0 for no limit", w.Count)
	case w.ToSector != 0 && w.ToSector <= w.FromSector:
		return scenario.Misconfigured("--to-sector", "%d: want more than --from-sector %d", w.ToSector, w.FromSector)
	case f.fault.Kind == flakey.Delay && f.fault.Delay <= 0:
		return scenario.Misconfigured("--delay", "%v: want a time above 0", f.fault.Delay)
	}
	var err error
	if f.fault.Seed, err = seedOf(f.seed); err != nil {
		return err
	}
	return d.Add(c.Context(), f.fault)
}

// seedOf reads the flag, or draws a seed and prints it.
func seedOf(flag string) (seed.Seed, error) {
	if flag != "" {
		s, err := seed.Parse(flag)
		if err != nil {
			return 0, usage{err}
		}
		return s, nil
	}
	s := seed.New()
	fmt.Fprintf(os.Stderr, "assay: seed %v\n", s)
	return s, nil
}

func flakeyAllow() *cobra.Command {
	return onDisk("allow NAME", "Take all faults away", func(c *cobra.Command, d *soft.Disk) error { return d.Set(c.Context()) })
}

func flakeyPowerCut() *cobra.Command {
	var keep flakey.Keep
	var mode, seedFlag, output string
	c := onDisk("power-cut NAME", "Cut the power and plug the disk in again", func(c *cobra.Command, d *soft.Disk) error {
		if err := textOrJSON(output); err != nil {
			return err
		}
		if !(keep.Probability > 0 && keep.Probability <= 1) {
			return scenario.Misconfigured("--probability", "%v: want a chance above 0 and up to 1", keep.Probability)
		}
		keep.Mode = flakey.Mode(mode)
		if keep.Mode != flakey.KeepRandom {
			if c.Flags().Changed("probability") {
				return scenario.Misconfigured("--probability", "is of --keep random only")
			}
			keep.Probability = 0
		}
		switch keep.Mode {
		case flakey.KeepNone, flakey.KeepAll:
		case flakey.KeepPrefix, flakey.KeepRandom:
			var err error
			if keep.Seed, err = seedOf(seedFlag); err != nil {
				return err
			}
		default:
			return scenario.Misconfigured("--keep", "%q: want none, all, prefix or random", mode)
		}
		cut, err := d.PowerCut(c.Context(), keep)
		if cut.Path == "" {
			return err
		}
		if output == "json" {
			if printing := printJSON(c, cut); printing != nil {
				return printing
			}
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "%s\nof %d blocks not flushed: %d kept, %d kept in an older version, %d lost\n",
			cut.Path, cut.AtStake, cut.Kept, cut.Older, cut.Lost)
		return err
	})
	c.Flags().StringVar(&mode, "keep", "none", "`WHAT` survives of what no flush has covered: none, all, prefix or random")
	c.Flags().Float64Var(&keep.Probability, "probability", 0.5, "random: `CHANCE` of each block to survive")
	c.Flags().StringVar(&seedFlag, "seed", "", "`NUMBER` from which is drawn what survives; default: a random one, which is printed")
	outputFlag(c, &output)
	return c
}
