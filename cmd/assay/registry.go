package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"github.com/seed-1b600011/assay/flakey/soft"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/object"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/volume"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// newRegistry knows everything that this binary can do.
func newRegistry(w object.World) *scenario.Registry {
	reg := &scenario.Registry{}
	object.Register(reg, w)
	volume.Register(reg, soft.Driver{})
	return reg
}

// undoes says how everything that this binary makes is undone.
func undoes() map[string]machine.Undo {
	all := machine.Undoes()
	for kind, undo := range object.Undoes() {
		all[kind] = undo
	}
	for kind, undo := range soft.Undoes() {
		all[kind] = undo
	}
	return all
}

// worldFlags are the flags that say where targets are.
type worldFlags struct{ object.Files }

func (f *worldFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.Endpoint, "endpoint", os.Getenv("ASSAY_ENDPOINT"), "`FILE` with host, access_key and secret_key of the store to test; none: the reference store")
	c.Flags().StringVar(&f.Backends, "backends", os.Getenv("ASSAY_BACKENDS"), "`FILE` with the backends on which that store keeps buckets")
	c.Flags().StringVar(&f.Secrets, "secrets", os.Getenv("ASSAY_SECRETS"), "`FILE` with the backends' credentials")
}

// dirFlag is where records are kept.
type dirFlag struct{ dir string }

func (f *dirFlag) add(c *cobra.Command) {
	c.Flags().StringVar(&f.dir, "dir", machine.StateDir(), "`DIR` for histories, ledgers and evidence; not on the target")
}

// own is the directory, which must be this user's: what is read in it is obeyed.
func (f *dirFlag) own() (string, error) {
	dir, err := filepath.Abs(f.dir)
	if err != nil {
		return "", err
	}
	if err := machine.CheckOwn(dir); err != nil {
		return "", scenario.Misconfigured("--dir "+f.dir, "%v; name a directory of your own", err)
	}
	return dir, nil
}

func (f *dirFlag) open() (*machine.Ledger, error) {
	dir, err := f.own()
	if err != nil {
		return nil, err
	}
	l, err := machine.OpenLedger(dir)
	if err != nil {
		return nil, scenario.Misconfigured("--dir "+f.dir, "%v", err)
	}
	return l, nil
}

// terminalWidth is the width of the terminal that f is, in columns, or 0.
func terminalWidth(f *os.File) int {
	if !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width < 20 {
		return 80
	}
	return width
}

func cleanCommand() *cobra.Command {
	var dir dirFlag
	var forget bool
	c := &cobra.Command{
		Use:   "clean",
		Short: "Remove what killed runs have left behind",
		Args:  args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			own, err := dir.own()
			if err != nil {
				return err
			}
			n, out := 0, c.OutOrStdout()
			all, forgotten := undoes(), map[string]bool{}
			if forget {
				maps.Copy(all, object.Forgotten(func(entry string, why error) {
					forgotten[entry] = true
					fmt.Fprintf(out, "forgot bucket %s, which is still there: %v\n", entry, why)
				}))
			}
			err = machine.Clean(c.Context(), own, all, func(t machine.Cleaned) {
				n++
				if t.Err == nil && !forgotten[t.Entry.Name] {
					fmt.Fprintf(out, "removed %s %s\n", t.Entry.Kind, t.Entry.Name)
				}
			})
			if err == nil && n == 0 {
				fmt.Fprintln(out, "nothing was left behind")
			}
			using, listing := machine.InUse(own)
			for _, u := range using {
				fmt.Fprintf(out, "left alone: %s, in use by %s\n", u.Ledger, u.Owner)
			}
			return errors.Join(err, listing)
		},
	}
	dir.add(c)
	c.Flags().BoolVar(&forget, "forget", false, "cross buckets that cannot be removed off the ledger, and say where they are")
	return c
}

func schemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of scenario files, for editors",
		Args:  args(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error {
			_, err := c.OutOrStdout().Write(newRegistry(object.World{}).Schema())
			return err
		},
	}
}

// withLedger calls do with a ledger that is closed afterwards.
func withLedger(ctx context.Context, dir *dirFlag, do func(context.Context, *machine.Ledger) error) (err error) {
	ledger, err := dir.open()
	if err != nil {
		return err
	}
	defer func() {
		if closing := ledger.Close(); closing != nil && err == nil {
			err = closing
		}
	}()
	return do(ctx, ledger)
}
