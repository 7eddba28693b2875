package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/flakey/soft"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/seed"
	"github.com/spf13/cobra"
)

// createFlags are the flags of assay flakey create.
type createFlags struct {
	disksFlag
	size, cache, memory        string
	block                      int
	fs, mount, options, record string
	seed                       string
	from                       fromFlags
}

func flakeyCreate() *cobra.Command {
	var f createFlags
	c := &cobra.Command{
		Use: "create NAME", Short: "Make a disk",
		Args: args(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, names []string) error { return f.run(c, names[0]) },
	}
	f.add(c)
	flags := c.Flags()
	flags.StringVar(&f.size, "size", "512MiB", "`SIZE` of the disk, such as 512MiB or 4GiB")
	flags.StringVar(&f.cache, "cache", "0", "`SIZE` of the write cache: above it the oldest writes become durable; 0: 64 MiB of what is overwritten, no limit for what is written for the first time")
	flags.StringVar(&f.memory, "memory", "0", "`SIZE` of memory for content; 0: three quarters of what is free")
	flags.IntVar(&f.block, "block-size", 512, "logical block in `BYTES`, the unit that is never torn: 512 or 4096")
	flags.StringVar(&f.fs, "fs", "", "make a file system of this `TYPE`: ext4, xfs or btrfs; with --from: mount as this")
	flags.StringVar(&f.mount, "mount", "", "mount it on this empty `DIR`, and again after each power cut")
	flags.StringVar(&f.options, "options", "", "mount `OPTIONS`, as of mount(8)")
	flags.StringVar(&f.record, "record", "", "record everything that is done to the disk in this new `FILE`")
	flags.StringVar(&f.seed, "seed", "", "`NUMBER` from which every choice is drawn; default: a random one, which is printed")
	f.from.add(c)
	return c
}

// parseSize reads a number of bytes with an optional unit.
func parseSize(flag, s string) (int64, error) {
	digits := strings.TrimRight(s, "KMGTPiB")
	unit, ok := map[string]int64{"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40,
		"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}[s[len(digits):]]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !ok || n < 0 || n > (1<<62)/unit {
		return 0, scenario.Misconfigured(flag, "%q: want a size such as 512MiB or 4GiB", s)
	}
	return n * unit, nil
}

func (f *createFlags) diskOptions(name string) (o flakey.Options, err error) {
	o = flakey.Options{Name: name, BlockSize: f.block, Record: f.record, Seed: seed.New()}
	if f.seed != "" {
		if o.Seed, err = seed.Parse(f.seed); err != nil {
			return o, usage{err}
		}
	}
	for _, s := range []struct {
		flag, text string
		to         *int64
	}{{"--size", f.size, &o.Size}, {"--cache", f.cache, &o.Cache}, {"--memory", f.memory, &o.Memory}} {
		if *s.to, err = parseSize(s.flag, s.text); err != nil {
			return o, err
		}
	}
	return o, f.check()
}

// check finds what is wrong before anything is made.
func (f *createFlags) check() error {
	if f.mount != "" && f.fs == "" {
		return scenario.Misconfigured("--mount", "of which file system: give --fs")
	}
	if f.fs != "" {
		if err := machine.SupportsFilesystem(f.fs); err != nil {
			return scenario.Misconfigured("--fs", "%v", err)
		}
	}
	if f.mount == "" {
		return nil
	}
	return checkMountPoint(f.mount, map[string]string{"--record": f.record, "--from": f.from.recording, "--dir": f.dir})
}

// checkMountPoint refuses a directory that cannot be mounted on, or that would
// hide what must be reachable while the disk hangs.
func checkMountPoint(dir string, outside map[string]string) error {
	full, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(full)
	if errors.Is(err, fs.ErrNotExist) {
		return scenario.Misconfigured("--mount", "there is no directory %s: make it first", dir)
	}
	if err != nil {
		return scenario.Misconfigured("--mount", "%v", err)
	}
	if len(entries) > 0 {
		return scenario.Misconfigured("--mount", "%s is not empty", dir)
	}
	if on, err := machine.MountedAt(full); err != nil || len(on) > 0 {
		return errors.Join(err, scenario.Misconfigured("--mount", "something is mounted on %s already", dir))
	}
	for flag, path := range outside {
		if path == "" {
			continue
		}
		path, err := filepath.Abs(path)
		if err != nil {
			return err
		}
		if rel, err := filepath.Rel(full, path); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
			return scenario.Misconfigured(flag, "%s would be on the disk itself, which is to be mounted on %s", path, dir)
		}
	}
	return nil
}

func (f *createFlags) run(c *cobra.Command, name string) error {
	o, err := f.diskOptions(name)
	if err != nil {
		return err
	}
	if err := f.from.check(c, &o); err != nil {
		return err
	}
	driver, err := f.driver()
	if err != nil {
		return err
	}
	return withLedger(c.Context(), &f.dirFlag, func(ctx context.Context, ledger *machine.Ledger) error {
		o.Ledger = ledger
		d, err := f.from.create(ctx, driver, o)
		if err != nil {
			return asUsage(err)
		}
		if err := f.fill(ctx, d); err != nil {
			return errors.Join(asUsage(err), d.Close(context.WithoutCancel(ctx)))
		}
		fmt.Fprintf(os.Stderr, "assay: seed %v\n", o.Seed)
		fmt.Fprintln(c.OutOrStdout(), d.Path())
		return nil
	})
}

func (f *createFlags) fill(ctx context.Context, d *soft.Disk) error {
	if f.fs != "" && f.from.recording == "" {
		if err := machine.Mkfs(ctx, d.Path(), f.fs); err != nil {
			return err
		}
	}
	if f.mount == "" {
		return nil
	}
	return mountDisk(ctx, d, f.mount, f.fs, f.options)
}

func mountDisk(ctx context.Context, d *soft.Disk, dir, fs, options string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	return d.Mount(ctx, soft.Mount{Dir: dir, FS: fs, Options: options})
}

func flakeyMount() *cobra.Command {
	var f disksFlag
	var fs, options string
	c := &cobra.Command{
		Use: "mount NAME DIR", Short: "Mount a disk, and again after each power cut",
		Args: args(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, a []string) error {
			d, err := f.find(c.Context(), a[0])
			if err != nil {
				return err
			}
			if err := checkMountPoint(a[1], map[string]string{"--dir": f.dir}); err != nil {
				return err
			}
			return asUsage(mountDisk(c.Context(), d, a[1], fs, options))
		},
	}
	f.add(c)
	c.Flags().StringVar(&fs, "fs", "ext4", "`TYPE` of the file system")
	c.Flags().StringVar(&options, "options", "", "mount `OPTIONS`, as of mount(8)")
	return c
}

func flakeyUnmount() *cobra.Command {
	var f disksFlag
	c := &cobra.Command{
		Use: "unmount NAME [DIR]", Short: "Undo assay flakey mount",
		Args: args(cobra.RangeArgs(1, 2)),
		RunE: func(c *cobra.Command, a []string) error {
			d, err := f.find(c.Context(), a[0])
			if err != nil {
				return err
			}
			dir := ""
			if len(a) == 2 {
				if dir, err = filepath.Abs(a[1]); err != nil {
					return err
				}
				if real, err := filepath.EvalSymlinks(dir); err == nil {
					dir = real // as the kernel has it
				}
			}
			return asUsage(d.Unmount(c.Context(), dir))
		},
	}
	f.add(c)
	return c
}

func flakeyDestroy() *cobra.Command {
	return onDisk("destroy NAME", "Unmount a disk, unplug it and forget what it holds",
		func(c *cobra.Command, d *soft.Disk) error { return d.Close(c.Context()) })
}
