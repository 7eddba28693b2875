package main

import (
	"errors"
	"io"
	"io/fs"
	"iter"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/report"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/spf13/cobra"
)

// historyFlags are the flags of assay history.
type historyFlags struct {
	target, object string
	finding        int
	output         string
}

func historyCommand() *cobra.Command {
	var f historyFlags
	c := &cobra.Command{
		Use:   "history DIR",
		Short: "Print the records of a run, or those that a finding rests on",
		Long: "Print the records of a run that was kept, in the order in which they were written:\n" +
			"every operation before it began and once it was over, what checks saw, faults and\n" +
			"rounds. DIR is the directory that a report names as its records, or a history itself,\n" +
			"also one that is still written.\n\n" +
			"With --output json each line is an object of its own.\n\n" +
			"Exit code: 0, 2 if there is no history, 3 if it is damaged; then all that stands\n" +
			"before the damage was printed.",
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, a []string) error { return f.run(c, a[0]) },
	}
	flags := c.Flags()
	flags.StringVar(&f.object, "object", "", "only the records on the object or file `NAME`, under every name that renames gave it, with the syncs that cover it")
	flags.StringVar(&f.target, "target", "", "only the records on this bucket or volume: its `NAME` as reports have it")
	flags.IntVar(&f.finding, "finding", 0, "only the records that finding `N` of the run's report rests on")
	outputFlag(c, &f.output)
	return c
}

func (f *historyFlags) run(c *cobra.Command, dir string) error {
	if err := textOrJSON(f.output); err != nil {
		return err
	}
	which := report.Records{Target: f.target, Object: f.object}
	if c.Flags().Changed("finding") {
		if f.target != "" || f.object != "" {
			return scenario.Misconfigured("--finding", "not with --object or --target: the finding names both")
		}
		var err error
		if which, err = f.ofFinding(c.OutOrStdout(), dir); err != nil {
			return err
		}
	}
	for _, err := range history.ReadDir(scenario.HistoryDir(dir)) {
		if errors.Is(err, fs.ErrNotExist) {
			return scenario.Misconfigured(dir, "there is no history in it")
		}
		break
	}
	records := report.History(func() iter.Seq2[history.Record, error] { return history.ReadDir(scenario.HistoryDir(dir)) })
	write := records.Text
	if f.output == "json" {
		write = records.JSON
	}
	return write(c.OutOrStdout(), which)
}

// ofFinding are the records of a finding of the run, which is printed first.
func (f *historyFlags) ofFinding(w io.Writer, dir string) (report.Records, error) {
	found, err := scenario.Findings(dir)
	if err != nil {
		return report.Records{}, err
	}
	if f.finding < 1 || f.finding > len(found) {
		return report.Records{}, scenario.Misconfigured("--finding", "%d: the run has findings 1 to %d", f.finding, len(found))
	}
	one := found[f.finding-1]
	if f.output == "text" {
		err = report.Finding(w, one)
	}
	return report.OfFinding(one), err
}
