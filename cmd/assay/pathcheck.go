package main

import (
	"os"

	"github.com/seed-1b600011/assay/pathcheck"
	"github.com/spf13/cobra"
)

func pathcheckCommand() *cobra.Command {
	var check string
	s := pathcheck.Service{Out: os.Stdout, Log: os.Stderr}
	c := &cobra.Command{
		Use:   "pathcheck",
		Short: "Check how fast paths answer: commands on standard input, events on standard output",
		Args:  args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if s.Check, err = pathcheck.ParseCheck(check); err != nil {
				return usage{err}
			}
			return s.Serve(c.Context(), os.Stdin)
		},
	}
	c.Flags().BoolVar(&s.Debug, "debug", false, "log what is for developers too")
	c.Flags().StringVar(&check, "check", "read", "what is done to a path: read, write, stat or list")
	return c
}
