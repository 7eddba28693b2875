package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/flakey/recording"
	"github.com/seed-1b600011/assay/flakey/soft"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/spf13/cobra"
)

// fromFlags are the flags of assay flakey create that make a disk of a recording.
type fromFlags struct {
	recording, mark, keep string
	at                    int
}

func (f *fromFlags) add(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.recording, "from", "", "plug in the disk of this recording `FILE` as it was, with what is written to it kept apart")
	flags.IntVar(&f.at, "at", -1, "--from: after the first `NUMBER` of its records; default: all")
	flags.StringVar(&f.mark, "mark", "", "--from: at the mark with this `TEXT`")
	flags.StringVar(&f.keep, "keep", "all", "--from: `WHAT` is there of what no flush had covered then: all (what a reader saw), none (what a power cut would have left), prefix or random")
}

// check finds what contradicts itself, and takes the defaults of a new disk back.
func (f *fromFlags) check(c *cobra.Command, o *flakey.Options) error {
	given := c.Flags().Changed
	if f.recording == "" {
		for _, flag := range []string{"at", "mark", "keep"} {
			if given(flag) {
				return scenario.Misconfigured("--"+flag, "is of a disk --from a recording")
			}
		}
		return nil
	}
	if given("at") && given("mark") {
		return scenario.Misconfigured("--mark", "not with --at: both say when")
	}
	if given("at") && f.at < 0 {
		return scenario.Misconfigured("--at", "%d: want 0 or more", f.at)
	}
	if !given("size") {
		o.Size = 0
	}
	if !given("block-size") {
		o.BlockSize = 0
	}
	return nil
}

func (f *fromFlags) create(ctx context.Context, d soft.Driver, o flakey.Options) (*soft.Disk, error) {
	if f.recording == "" {
		return d.Create(ctx, o)
	}
	at := f.at
	if f.mark != "" {
		r, damage, err := openRecording(f.recording)
		if err != nil {
			return nil, err
		}
		defer r.Close()
		if damage != nil {
			fmt.Fprintln(os.Stderr, "assay:", damage)
		}
		if at, err = r.FindMark(f.mark); err != nil {
			return nil, usage{err}
		}
	}
	return d.CreateFrom(ctx, o, soft.From{Recording: f.recording, At: at, Keep: flakey.Keep{Mode: flakey.Mode(f.keep), Seed: o.Seed}})
}

// openRecording gives also what stands before a damage.
func openRecording(path string) (r *recording.Reader, damage, err error) {
	r, err = recording.Open(path)
	if r == nil {
		return nil, nil, usage{err}
	}
	if err != nil {
		damage = fmt.Errorf("%w; only what stands before that can be had", err)
	} else if !r.Closed() {
		fmt.Fprintf(os.Stderr, "assay: %s was not closed: its disk still writes to it, was killed, or its end was cut off\n", path)
	}
	return r, damage, nil
}

func flakeyRecord() *cobra.Command {
	c := &cobra.Command{
		Use: "record", Short: "Write into the recording of a disk, and show it",
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(flakeyRecordMark(), flakeyRecordShow())
	return c
}

func flakeyRecordMark() *cobra.Command {
	var f disksFlag
	c := &cobra.Command{
		Use: "mark NAME TEXT", Short: "Write a mark into the recording of a disk",
		Args: args(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, a []string) error {
			d, err := f.find(c.Context(), a[0])
			if err != nil {
				return err
			}
			st, err := d.Status(c.Context())
			if err != nil {
				return err
			}
			if st.Record == "" {
				return scenario.Misconfigured(a[0], "this disk has no recording: create it with --record")
			}
			return asUsage(d.Mark(c.Context(), a[1]))
		},
	}
	f.add(c)
	return c
}

func flakeyRecordShow() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use: "show FILE", Short: "Show the marks, faults and power cuts of a recording",
		Long: "Show the marks, faults and power cuts of a recording, each with the number of its\n" +
			"record, and how many requests came before it since the last. Of a damaged one it\n" +
			"shows what stands before the damage, and ends with 3.",
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			if err := textOrJSON(output); err != nil {
				return err
			}
			r, damage, err := openRecording(a[0])
			if err != nil {
				return err
			}
			defer r.Close()
			events, err := eventsOf(r)
			if err != nil {
				return err
			}
			return errors.Join(printEvents(c, r, events, output), damage)
		},
	}
	outputFlag(c, &output)
	return c
}

// event is a record that is no request, or the end.
type event struct {
	Record   int            `json:"record"`
	Seconds  float64        `json:"seconds"` // since the recording began
	Kind     string         `json:"kind"`
	Mark     string         `json:"mark,omitempty"`
	Faults   []flakey.Fault `json:"faults,omitempty"`
	Cut      *recording.Cut `json:"cut,omitempty"`
	Requests map[string]int `json:"requests,omitempty"` // since the event before, by kind
}

func eventsOf(r *recording.Reader) ([]event, error) {
	var all []event
	requests := map[string]int{}
	var last time.Duration
	put := func(e event, at time.Duration) {
		e.Seconds, e.Requests = (at - r.Header().Boot).Seconds(), requests
		all, requests = append(all, e), map[string]int{}
	}
	for i := range r.Len() {
		rec, err := r.Record(i)
		if err != nil {
			return nil, err
		}
		e := event{Record: i, Kind: rec.Kind.String()}
		last = rec.At
		switch rec.Kind {
		case recording.Mark:
			e.Mark, err = r.Mark(i)
		case recording.Faults:
			e.Faults, err = r.Faults(i)
		case recording.CutPower:
			e.Cut = new(recording.Cut)
			*e.Cut, err = r.Cut(i)
		default:
			requests[e.Kind]++
			continue
		}
		if err != nil {
			return nil, err
		}
		put(e, rec.At)
	}
	if len(requests) > 0 {
		put(event{Record: r.Len(), Kind: "end"}, last)
	}
	return all, nil
}

func printEvents(c *cobra.Command, r *recording.Reader, events []event, output string) error {
	h := r.Header()
	if output == "json" {
		return printJSON(c, struct {
			Size      int64     `json:"size"`
			BlockSize int       `json:"block_size"`
			Began     time.Time `json:"began"`
			Records   int       `json:"records"`
			Closed    bool      `json:"closed"` // else it is still written to, or was killed
			Events    []event   `json:"events"`
		}{h.Size, h.BlockSize, h.Wall, r.Len(), r.Closed(), events})
	}
	fmt.Fprintf(c.OutOrStdout(), "a disk of %d MiB in blocks of %d, recorded from %s: %d records\n",
		h.Size>>20, h.BlockSize, h.Wall.Format(time.DateTime), r.Len())
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RECORD\tSECONDS\tREQUESTS BEFORE\tWHAT")
	for _, e := range events {
		var before []string
		for _, k := range []recording.Kind{recording.Write, recording.Flush, recording.Discard, recording.Zero, recording.Evict} {
			if n := e.Requests[k.String()]; n > 0 {
				before = append(before, fmt.Sprintf("%d %s", n, k))
			}
		}
		fmt.Fprintf(w, "%d\t%.3f\t%s\t%s\n", e.Record, e.Seconds, strings.Join(before, ", "), e.what())
	}
	return w.Flush()
}

func (e event) what() string {
	switch {
	case e.Cut != nil:
		keep := e.Cut.Keep.Mode
		if keep == "" {
			keep = flakey.KeepNone
		}
		return fmt.Sprintf("power cut, keeping %s: of %d blocks not flushed %d lost", keep, e.Cut.Cut.AtStake, e.Cut.Cut.Lost)
	case e.Kind == recording.Mark.String():
		return fmt.Sprintf("mark %q", e.Mark)
	case e.Kind == recording.Faults.String():
		kinds := []string{"faults:"}
		for _, f := range e.Faults {
			kinds = append(kinds, string(f.Kind))
		}
		if len(e.Faults) == 0 {
			kinds = append(kinds, "none")
		}
		return strings.Join(kinds, " ")
	}
	return e.Kind
}
