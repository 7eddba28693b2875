package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/seed-1b600011/assay/pathcheck"
	"github.com/seed-1b600011/assay/web"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// pathchecking are the options of assay pathcheck.
type pathchecking struct {
	service pathcheck.Service
	check   string
	paths   string
	csv     string
	listen  string
	table   bool
}

func pathcheckCommand() *cobra.Command {
	o := pathchecking{service: pathcheck.Service{Out: os.Stdout, Log: os.Stderr}}
	c := &cobra.Command{
		Use:   "pathcheck",
		Short: "Check how fast paths answer: commands on standard input, or a file of paths",
		Args:  args(cobra.NoArgs),
		RunE:  func(c *cobra.Command, _ []string) error { return o.run(c.Context()) },
	}
	f := c.Flags()
	f.BoolVar(&o.service.Debug, "debug", false, "log what is for developers too")
	f.StringVar(&o.check, "check", "read", "what is done to a path: read, write, stat or list")
	f.StringVar(&o.paths, "paths", "", "check the paths in this `file` (PATH [SECONDS [CHECK]] on each line) instead of what standard input says")
	f.BoolVar(&o.table, "table", false, "show a table of the paths instead of events (with --paths)")
	f.StringVar(&o.csv, "csv", "", "write each check to this `file`")
	f.StringVar(&o.listen, "listen", "", "serve /metrics for Prometheus on this `address`, [HOST]:PORT; without a host on loopback")
	c.AddCommand(pathcheckPlotCommand())
	return c
}

func (o *pathchecking) run(ctx context.Context) (err error) {
	debug.SetGCPercent(100) // it allocates little and runs for months
	if o.service.Check, err = pathcheck.ParseCheck(o.check); err != nil {
		return usage{err}
	}
	if o.table && o.paths == "" {
		return usage{errors.New("--table is for --paths: standard output is the parent's otherwise")}
	}
	watch := pathcheck.NewWatch()
	var sinks []func(pathcheck.Event)
	if o.table || o.listen != "" {
		sinks = append(sinks, watch.Event)
	}
	if o.csv != "" {
		f, err := os.Create(o.csv)
		if err != nil {
			return usage{err}
		}
		defer f.Close()
		log := pathcheck.NewCSV(f)
		defer func() { err = errors.Join(err, log.Close()) }()
		sinks = append(sinks, log.Event)
	}
	o.service.Watch = func(e pathcheck.Event) {
		for _, sink := range sinks {
			sink(e)
		}
	}
	if o.listen != "" {
		stop, err := o.serve(ctx, watch)
		if err != nil {
			return err
		}
		defer stop()
	}
	if o.paths != "" {
		return o.file(ctx, watch)
	}
	if err := o.service.Serve(ctx, os.Stdin); err != nil {
		return toldError{err}
	}
	return nil
}

// serve gives the metrics until stop.
func (o *pathchecking) serve(ctx context.Context, watch *pathcheck.Watch) (stop func(), err error) {
	host, port, err := net.SplitHostPort(o.listen)
	if err != nil {
		return nil, usage{err}
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		return nil, usage{fmt.Errorf("--listen %s: %w", o.listen, err)}
	}
	s, err := web.Listen(web.Options{Address: host, Port: n, Open: host != ""}) // it changes nothing: whoever names a host wants it open
	if err != nil {
		return nil, err
	}
	s.Metrics.MustRegister(pathcheck.NewCollector(watch, o.service.Flights))
	ctx, cancel := context.WithCancel(ctx)
	go func() { _ = s.Serve(ctx) }()
	return cancel, nil
}

// file checks the paths of a file until ctx ends.
func (o *pathchecking) file(ctx context.Context, watch *pathcheck.Watch) error {
	f, err := os.Open(o.paths)
	if err != nil {
		return usage{err}
	}
	defer f.Close()
	all, err := pathcheck.ReadPaths(f, o.service.Check)
	if err != nil {
		return usage{fmt.Errorf("%s: %w", o.paths, err)}
	}
	if len(all) == 0 {
		return usage{fmt.Errorf("%s names no path", o.paths)}
	}
	if o.table {
		o.service.Out, o.service.Log = nil, nil
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go show(ctx, watch)
	}
	return o.service.ServeAll(ctx, all)
}

// show draws the table each second.
func show(ctx context.Context, watch *pathcheck.Watch) {
	out := int(os.Stdout.Fd())
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			width, height, err := term.GetSize(out)
			if err != nil { // a file or a pipe gets one table after the other
				width, height = 160, 1<<20
			} else {
				fmt.Print("\x1b[H\x1b[J")
			}
			if pathcheck.Table(os.Stdout, watch.Rows(now), width, height) != nil {
				return
			}
		}
	}
}

func pathcheckPlotCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "plot FILE.csv",
		Short: "Draw what --csv has written: latency over time, with errors marked",
		Args:  args(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, files []string) error {
			f, err := os.Open(files[0])
			if err != nil {
				return usage{err}
			}
			defer f.Close()
			lines, err := pathcheck.ReadCSV(f)
			if err != nil {
				return usage{fmt.Errorf("%s: %w", files[0], err)}
			}
			if out == "" {
				return pathcheck.Plot(lines).SVG(os.Stdout)
			}
			to, err := os.Create(out)
			if err != nil {
				return usage{err}
			}
			plot := pathcheck.Plot(lines)
			if ext := filepath.Ext(out); ext == ".html" || ext == ".htm" {
				err = pathcheck.WriteHTML(to, plot)
			} else {
				err = plot.SVG(to)
			}
			return errors.Join(err, to.Close())
		},
	}
	c.Flags().StringVarP(&out, "output", "o", "", "the `file` to write, .svg or .html (default: SVG to standard output)")
	return c
}
