package main

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/seed-1b600011/assay/flakey/soft"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/spf13/cobra"
)

func flakeyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "flakey",
		Short: "Make disks that break on demand",
		Long: "Make block devices that do what a bad disk does, and a power cut, on demand.\n" +
			"A disk that one command makes is found by the next; its daemon runs until\n" +
			"assay flakey destroy. Needs root, FUSE and loop devices.",
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(flakeyCreate(), flakeyList(), flakeyStatus(), flakeyAllow(), flakeyPowerCut(),
		flakeyMount(), flakeyUnmount(), flakeyRecord(), flakeyDestroy())
	c.AddCommand(flakeyFaults()...)
	return c
}

// disksFlag finds disks.
type disksFlag struct{ dirFlag }

func (f *disksFlag) driver() (soft.Driver, error) {
	dir, err := f.own()
	if err != nil {
		return soft.Driver{}, err
	}
	return soft.Driver{Dir: filepath.Join(dir, "disks")}, nil
}

func (f *disksFlag) find(ctx context.Context, name string) (*soft.Disk, error) {
	d, err := f.driver()
	if err != nil {
		return nil, err
	}
	disk, err := d.Find(ctx, name)
	return disk, asUsage(err)
}

// asUsage makes what a disk has refused, without changing anything, an error of usage.
func asUsage(err error) error {
	if soft.IsRefused(err) {
		return usage{err}
	}
	return err
}

// onDisk is a command that does something to the disk that its argument names.
func onDisk(use, short string, do func(c *cobra.Command, d *soft.Disk) error) *cobra.Command {
	var f disksFlag
	c := &cobra.Command{
		Use: use, Short: short,
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error {
			d, err := f.find(c.Context(), names[0])
			if err != nil {
				return err
			}
			return asUsage(do(c, d))
		},
	}
	f.add(c)
	return c
}

func flakeyList() *cobra.Command {
	var f disksFlag
	var output string
	c := &cobra.Command{
		Use: "list", Short: "List the disks",
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := textOrJSON(output); err != nil {
				return err
			}
			d, err := f.driver()
			if err != nil {
				return err
			}
			all, err := d.List(c.Context())
			if err != nil {
				return err
			}
			return printDisks(c, all, output)
		},
	}
	f.add(c)
	outputFlag(c, &output)
	return c
}

func outputFlag(c *cobra.Command, output *string) {
	c.Flags().StringVar(output, "output", "text", "`FORM` of the answer: text or json")
}

func textOrJSON(output string) error {
	if output != "text" && output != "json" {
		return scenario.Misconfigured("--output", "%q: want text or json", output)
	}
	return nil
}

func printJSON(c *cobra.Command, v any) error {
	e := json.NewEncoder(c.OutOrStdout())
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func printDisks(c *cobra.Command, all []soft.Listed, output string) error {
	if output == "json" {
		type line struct {
			Name   string       `json:"name"`
			Error  string       `json:"error,omitempty"`
			Status *soft.Status `json:"status,omitempty"`
		}
		lines := []line{}
		for _, d := range all {
			if d.Err != nil {
				lines = append(lines, line{Name: d.Name, Error: d.Err.Error()})
			} else {
				lines = append(lines, line{Name: d.Name, Status: &d.Status})
			}
		}
		return printJSON(c, lines)
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tDEVICE\tMIB\tCUTS\tFAULTS\tMOUNTED")
	for _, d := range all {
		if d.Err != nil {
			fmt.Fprintf(w, "%s\tgone\t\t\t\t(assay clean removes what is left)\n", d.Name)
			continue
		}
		var faults, dirs []string
		for _, f := range d.Status.Faults {
			faults = append(faults, string(f.Kind))
		}
		for _, m := range d.Status.Mounts {
			dirs = append(dirs, fmt.Sprintf("%s (%s)", m.Dir, m.FS))
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\n", d.Name, d.Status.Path, d.Status.Size>>20, d.Status.Cuts,
			strings.Join(faults, " "), strings.Join(dirs, " "))
	}
	return w.Flush()
}

func flakeyStatus() *cobra.Command {
	var output string
	c := onDisk("status NAME", "Show what a disk is and what it has done", func(c *cobra.Command, d *soft.Disk) error {
		if err := textOrJSON(output); err != nil {
			return err
		}
		st, err := d.Status(c.Context())
		if err != nil {
			return err
		}
		if output == "json" {
			return printJSON(c, st)
		}
		return printStatus(c, st)
	})
	outputFlag(c, &output)
	return c
}

func printStatus(c *cobra.Command, st soft.Status) error {
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	row := func(what, format string, a ...any) { fmt.Fprintf(w, "%s\t%s\n", what, fmt.Sprintf(format, a...)) }
	row("device", "%s", st.Path)
	row("size", "%d MiB in blocks of %d", st.Size>>20, st.BlockSize)
	row("daemon", "process %d", st.PID)
	row("power cuts", "%d", st.Cuts)
	for _, m := range st.Mounts {
		row("mounted", "%s (%s) %s", m.Dir, m.FS, m.Options)
	}
	if st.Record != "" {
		row("recording", "%s", st.Record)
	}
	if st.From != nil {
		row("made from", "%s, %d records", st.From.Recording, st.From.At)
	}
	for _, f := range st.Faults {
		b, err := json.Marshal(f)
		if err != nil {
			return err
		}
		row("fault", "%s", b)
	}
	s := st.Stats
	row("requests", "%d reads, %d writes, %d flushes, %d discards, %d zeroes", s.Reads, s.Writes, s.Flushes, s.Discards, s.Zeroes)
	row("bytes", "%d read, %d written, %d not flushed", s.ReadBytes, s.WrittenBytes, s.Dirty)
	row("memory", "%d MiB", s.Memory>>20)
	if s.Evicted > 0 {
		row("made durable", "%d blocks, because the cache was full", s.Evicted)
	}
	for k, n := range s.Touched {
		row("touched", "%d requests by %s", n, k)
	}
	if st.Broken != "" {
		row("BROKEN", "%s", st.Broken)
	}
	return w.Flush()
}
