package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"

	"github.com/seed-1b600011/assay/pressure"
	"github.com/spf13/cobra"
)

func pressureCommand() *cobra.Command {
	var server serverFlags
	var o pressure.ServiceOptions
	c := &cobra.Command{
		Use:   "pressure",
		Short: "Take memory, disk space and CPU time on demand",
		Long: "Serve a page and an HTTP interface that take memory, disk space and CPU time on\n" +
			"demand, or, with a subcommand, take some without a server. Limits come from the\n" +
			"cgroups and the machine, or from HIGHMEMLIM and HIGHFILELIM (bytes); files are\n" +
			"in DATADIR; NUMTOFACTOR is what /api/cpu/load factors. See docs/pressure.md.",
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			return servePressure(c, &server, o)
		},
	}
	server.add(c, 8080)
	memoryFlags(c, &o.Memory)
	diskFlags(c, &o.Disk)
	c.AddCommand(pressureMemory(), pressureDisk(), pressureCPU())
	return c
}

func memoryFlags(c *cobra.Command, o *pressure.MemoryOptions) {
	c.Flags().Float64Var(&o.Stalled, "stalled", 60, "`PERCENT` of time that tasks may wait for memory (PSI) before it is given back; below 0: any")
	c.Flags().Var((*bytesFlag)(&o.Margin), "memory-margin", "`SIZE` that is left of every limit; default: a sixteenth, 16M to 512M")
}

func diskFlags(c *cobra.Command, o *pressure.DiskOptions) {
	c.Flags().StringVar(&o.Dir, "data-dir", os.Getenv("DATADIR"), "`DIR` for files (DATADIR); default: the working directory")
	c.Flags().Var((*bytesFlag)(&o.Margin), "disk-margin", "`SIZE` that is left of the file system; default: a hundredth, 16M to 1G")
}

// bytesFlag is a size.
type bytesFlag int64

func (b *bytesFlag) String() string { return "" }
func (b *bytesFlag) Type() string   { return "size" }
func (b *bytesFlag) Set(text string) error {
	n, err := pressure.ParseBytes(text)
	*b = bytesFlag(n)
	return err
}

// limitOf is a limit in the environment, as bytes. What is no number is told of
// and not used, as people's scripts have it.
func limitOf(name string, logger *log.Logger) int64 {
	text := os.Getenv(name)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		logger.Printf("%s=%s is no number of bytes: it is not used", name, text)
		return 0
	}
	return n
}

func servePressure(c *cobra.Command, f *serverFlags, o pressure.ServiceOptions) error {
	debug.SetGCPercent(100) // what clients make it allocate is soon gone again
	logger := log.New(c.ErrOrStderr(), "", log.LstdFlags)
	o.Memory.Limit, o.Disk.Limit = limitOf("HIGHMEMLIM", logger), limitOf("HIGHFILELIM", logger)
	o.Factor, o.Log = os.Getenv("NUMTOFACTOR"), logger
	server, err := f.listen(c, logger)
	if err != nil {
		return err
	}
	service, err := pressure.NewService(o)
	if err != nil {
		return errors.Join(noDirectory(err), server.Close())
	}
	service.Register(server)
	// Go says [::] of a socket for both protocols, people's scripts 0.0.0.0.
	logger.Printf("Starting web server on: %s", strings.Replace(server.Addr().String(), "[::]", "0.0.0.0", 1))
	logger.Printf("the page is at %s", server.URL())
	return errors.Join(server.Serve(c.Context()), service.Close())
}

func pressureMemory() *cobra.Command {
	var o pressure.MemoryOptions
	var h holding
	c := &cobra.Command{
		Use: "memory SIZE|max", Short: "Take memory until interrupted, or for a time",
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			n, err := sizeOf(a[0], "max")
			if err != nil {
				return err
			}
			m, err := pressure.NewMemory(o)
			if err != nil {
				return err
			}
			h.state, h.close = m.Current, m.Close
			return h.run(c, func(ctx context.Context) error {
				if n < 0 {
					return m.Fill(ctx, o.Locked)
				}
				return m.Set(ctx, n)
			})
		},
	}
	h.add(c)
	memoryFlags(c, &o)
	c.Flags().BoolVar(&o.Locked, "locked", false, "lock it in memory, so that it is never swapped out")
	return c
}

func pressureDisk() *cobra.Command {
	var o pressure.DiskOptions
	var h holding
	var inodes int64
	c := &cobra.Command{
		Use: "disk SIZE|max|full", Short: "Take disk space until interrupted, or for a time",
		Long: "Take disk space: a size, max for all but a margin, or full until nobody can write.",
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			n, err := sizeOf(a[0], "max", "full")
			if err != nil {
				return err
			}
			if inodes < 0 {
				return usage{fmt.Errorf("--inodes %d: want a number from 0 on", inodes)}
			}
			d, err := pressure.NewDisk(o)
			if err != nil {
				return noDirectory(err)
			}
			h.state, h.close = func() pressure.State { return d.Current().State }, d.Close
			return h.run(c, func(ctx context.Context) error {
				switch {
				case a[0] == "max":
					err = d.Fill(ctx)
				case a[0] == "full":
					err = fullIsDone(d.SetFull(ctx))
				default:
					err = d.Set(ctx, n)
				}
				return errors.Join(err, d.SetInodes(ctx, inodes))
			})
		},
	}
	h.add(c)
	diskFlags(c, &o)
	c.Flags().Int64Var(&inodes, "inodes", 0, "how many empty `FILES` are made beside")
	return c
}

// noDirectory makes it an error of usage that the directory for files is none.
func noDirectory(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.ENOTDIR) {
		return usage{err}
	}
	return err
}

// fullIsDone takes a full disk for what was asked for.
func fullIsDone(err error) error {
	var short *pressure.ShortError
	if errors.As(err, &short) {
		return nil
	}
	return err
}

func pressureCPU() *cobra.Command {
	var l pressure.Load
	var h holding
	c := &cobra.Command{
		Use: "cpu [PERCENT]", Short: "Use CPU time until interrupted, or for a time",
		Args: args(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, a []string) error {
			if len(a) > 0 {
				var err error
				if l.Percent, err = strconv.ParseFloat(strings.TrimSuffix(a[0], "%"), 64); err != nil || !(l.Percent > 0) {
					return usage{fmt.Errorf("%q is no percentage: want more than 0, at most 100", a[0])}
				}
			}
			if _, err := l.Total(); err != nil {
				return usage{err}
			}
			cpu := &pressure.CPU{}
			h.line = func() string {
				s := cpu.Current()
				return fmt.Sprintf("%.2f of %.2f cores used", s.Held, s.Asked)
			}
			h.close = cpu.Close
			return h.run(c, func(context.Context) error { return cpu.Set(l) })
		},
	}
	h.add(c)
	c.Flags().Float64Var(&l.Cores, "cores", 0, "`NUMBER` of cores; default: all that this process may use")
	return c
}

// sizeOf reads a size, or one of some words, for which it is below 0.
func sizeOf(text string, words ...string) (int64, error) {
	for _, w := range words {
		if text == w {
			return -1, nil
		}
	}
	n, err := pressure.ParseBytes(text)
	if err != nil {
		return 0, usage{fmt.Errorf("%w, or %s", err, strings.Join(words, " or "))}
	}
	return n, nil
}
