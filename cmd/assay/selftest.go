package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/object"
	"github.com/seed-1b600011/assay/report"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/seed"
	"github.com/seed-1b600011/assay/verdict"
	"github.com/spf13/cobra"
)

func selftestCommand() *cobra.Command {
	var dir dirFlag
	var seedFlag, output string
	var adjust scenario.Adjust
	var fuzzing fuzzFlags
	c := &cobra.Command{
		Use:   "selftest",
		Short: "Plant every fault that this machine allows and show that each check finds it",
		Long: "Run the controls of every check: each planted fault must be found, with the\nright kind, at what it damaged and nowhere else; each clean run must pass.\n\n" +
			"With --fuzz, make scenarios out of all that this assay knows and hold their\nverdicts to oracles of their own: what an honest stack must survive is never\nblamed, and a lie that is known to have hit what was owed is found. What breaks an\noracle is made smaller and printed.\n\n" +
			"Exit code: 0 all is as it must be, 1 a fault was missed or a clean run blamed,\n3 assay itself failed.",
		Args: args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			if output != "text" && output != "json" {
				return scenario.Misconfigured("--output", "%q: want text or json", output)
			}
			if err := checkScale(adjust); err != nil {
				return err
			}
			sd := seed.New()
			if seedFlag != "" {
				var err error
				if sd, err = seed.Parse(seedFlag); err != nil {
					return usage{err}
				}
			}
			if fuzzing.wanted() {
				return fuzzing.run(c, &dir, sd)
			}
			return selftest(c, &dir, sd, adjust, output)
		},
	}
	dir.add(c)
	fuzzing.add(c)
	c.Flags().StringVar(&seedFlag, "seed", "", "`NUMBER` from which every choice is drawn; default: a random one, which is printed")
	c.Flags().StringVar(&output, "output", "text", "`FORM` of the report: text or json")
	c.Flags().Float64Var(&adjust.Scale, "scale", 1, "multiply the number of objects and operations by this `FACTOR`")
	return c
}

func selftest(c *cobra.Command, dir *dirFlag, sd seed.Seed, adjust scenario.Adjust, output string) error {
	var all []scenario.ControlOutcome
	ok := false
	err := withLedger(c.Context(), dir, func(ctx context.Context, ledger *machine.Ledger) (err error) {
		fmt.Fprintf(os.Stderr, "assay: seed %v\n", sd)
		runner := scenario.Runner{Registry: newRegistry(object.World{}), Ledger: ledger, Dir: ledger.Dir()}
		ok, err = scenario.SelfTest(ctx, runner, sd, adjust, func(o scenario.ControlOutcome) {
			fmt.Fprintf(os.Stderr, "assay: %s: %s: %s\n", o.Check, o.Control, told(o))
			all = append(all, o)
		})
		return err
	})
	if err != nil {
		return err
	}
	if output == "json" {
		e := json.NewEncoder(c.OutOrStdout())
		e.SetIndent("", "  ")
		err = e.Encode(all)
	} else {
		err = matrix(c, all)
	}
	if err != nil {
		return err
	}
	if !ok {
		return verdictError(verdict.Fail)
	}
	return nil
}

func told(o scenario.ControlOutcome) string {
	switch {
	case o.Skipped != "":
		return "skipped: " + o.Skipped
	case o.OK && o.Wants == "":
		return "passes"
	case o.OK:
		return "found"
	default:
		return "WRONG: " + o.Problem
	}
}

func matrix(c *cobra.Command, all []scenario.ControlOutcome) error {
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CHECK\tPLANTED\tMUST FIND\tRESULT\tTOOK")
	for _, o := range all {
		wants := string(o.Wants)
		if wants == "" {
			wants = "nothing"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%v\n", o.Check, o.Control, wants, told(o), report.Brief(o.Took))
	}
	return w.Flush()
}
