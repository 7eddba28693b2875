// Command assay proves whether storage keeps its promises.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"

	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
	"github.com/spf13/cobra"
)

// The exit codes. They are part of the interface.
const (
	exitPass         = 0
	exitFail         = 1 // a finding
	exitUsage        = 2 // wrong usage or configuration
	exitInconclusive = 3 // or the tool itself failed
)

func main() {
	// A run allocates much and holds little: a collection at four times what is
	// held costs a few MiB and saves a fifth of the CPU time.
	debug.SetGCPercent(400)
	os.Exit(Main(commandLine(os.Args)))
}

// commandLine is that of assay, also where it was started by the name of a tool
// whose users it serves: a link will do.
func commandLine(args []string) []string {
	switch filepath.Base(args[0]) {
	case "check":
		return append([]string{"pathcheck"}, args[1:]...)
	case "testero": // which listens everywhere
		return append([]string{"pressure", "--open"}, args[1:]...)
	}
	return args[1:]
}

// Main runs the command line and returns the exit code.
func Main(line []string) int {
	ctx, stop := interruptible(line)
	defer stop()
	root := &cobra.Command{
		Use:           "assay",
		Short:         "Prove whether storage keeps its promises",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          args(cobra.NoArgs), // so that an unknown command is an error of usage
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetArgs(line)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage{err} })
	root.AddCommand(runCommand(), historyCommand(), selftestCommand(), cleanCommand(), schemaCommand(), flakeyCommand(), pathcheckCommand(), pressureCommand())
	err := root.ExecuteContext(ctx)
	var v verdictError
	var told toldError
	switch {
	case err == nil:
		return exitPass
	case errors.As(err, &told):
		return exitFail
	case errors.As(err, &v):
		return map[verdict.Verdict]int{verdict.Fail: exitFail, verdict.Inconclusive: exitInconclusive}[verdict.Verdict(v)]
	}
	fmt.Fprintln(os.Stderr, "assay:", err)
	var u usage
	if errors.As(err, &u) || scenario.IsConfig(err) {
		return exitUsage
	}
	return exitInconclusive
}

// toldError is one that was told already, in the words of a protocol whose exit
// status for it is 1.
type toldError struct{ error }

// usage is an error in how the command was called.
type usage struct{ error }

func (u usage) Unwrap() error { return u.error }

// verdictError is a verdict that is no pass: it is printed already.
type verdictError verdict.Verdict

func (v verdictError) Error() string { return verdict.Verdict(v).String() }

// args makes cobra's refusal of arguments an error of usage.
func args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, a []string) error {
		if err := check(c, a); err != nil {
			return usage{err}
		}
		return nil
	}
}

// of gives the error that a verdict is for the exit code.
func of(v verdict.Verdict) error {
	if v == verdict.Pass {
		return nil
	}
	return verdictError(v)
}
