package soft

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/machine"
)

// Driver makes soft disks. Its methods may be called by several goroutines at
// once.
type Driver struct {
	// Dir is where each disk has a directory of its own, named like the disk;
	// flakey.Options.Dir goes before it. Empty: "disks" in the ledger's directory.
	Dir string
}

var _ flakey.Driver = Driver{}

// Name is "soft".
func (Driver) Name() string { return "soft" }

// startBound is how long a daemon may take until it serves.
const startBound = 20 * time.Second

// Open makes a disk whose daemon ends with this process. Errors for which
// IsRefused is true came before anything was changed.
func (d Driver) Open(ctx context.Context, o flakey.Options) (flakey.Disk, error) {
	disk, err := d.open(ctx, o, nil, false)
	if err != nil {
		return nil, err // and no typed nil
	}
	return disk, nil
}

// Create makes a disk whose daemon outlives this process and keeps a ledger of
// its own in the directory of o.Ledger. Only Close ends it.
func (d Driver) Create(ctx context.Context, o flakey.Options) (*Disk, error) {
	return d.open(ctx, o, nil, true)
}

func (d Driver) open(ctx context.Context, o flakey.Options, from *From, detached bool) (*Disk, error) {
	c, err := d.prepare(o)
	if err != nil {
		return nil, err
	}
	c.From, c.Detached = from, detached
	undo, gone, err := c.enter(o.Ledger)
	if err != nil {
		return nil, err
	}
	disk := &Disk{name: c.Name, dir: c.Dir}
	bound := startBound
	if from != nil {
		bound += from.readBound()
	}
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	if err := disk.start(ctx, c, o.Ledger); err != nil {
		return nil, errors.Join(fmt.Errorf("soft: open disk %q: %w", c.Name, err), undo())
	}
	if detached {
		return disk, gone() // its daemon has entered it into its own
	}
	disk.undo = undo
	return disk, nil
}

// prepare checks all that can be checked before anything is changed.
func (d Driver) prepare(o flakey.Options) (config, error) {
	if o.Ledger == nil {
		return config{}, refuse("soft: disk %q: there is no ledger", o.Name)
	}
	if _, err := flakey.Open(context.Background(), o, checking{}); err != nil {
		return config{}, refusal{err}
	}
	if err := d.Supports(""); err != nil {
		return config{}, err
	}
	memory, ready, err := memoryFor(o)
	if err != nil {
		return config{}, err
	}
	c := config{Version: protocol, Name: o.Name, Token: machine.Token(), Size: o.Size, BlockSize: o.BlockSize,
		Cache: o.Cache, Memory: memory, Ready: ready, Seed: o.Seed}
	if c.BlockSize == 0 {
		c.BlockSize = flakey.SectorSize
	}
	dir := d.disks(o)
	if c.Dir, err = filepath.Abs(filepath.Join(dir, o.Name)); err != nil {
		return config{}, fmt.Errorf("soft: disk %q: %w", o.Name, err)
	}
	if c.Ledger, err = filepath.Abs(o.Ledger.Dir()); err != nil {
		return config{}, fmt.Errorf("soft: disk %q: %w", o.Name, err)
	}
	if exists(c.Dir) {
		return config{}, nameInUse(o.Name, c.Dir)
	}
	if c.Record, err = checkRecord(o); err != nil {
		return config{}, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return config{}, refuse("soft: disk %q: %w", o.Name, err)
	}
	return c, nil
}

// checking is the driver that makes nothing: flakey.Open checks the options and
// hands them on, and Create does not come by way of flakey.Open.
type checking struct{ Driver }

func (checking) Supports(flakey.Kind) error                                { return nil }
func (checking) Open(context.Context, flakey.Options) (flakey.Disk, error) { return nil, nil }

func (d Driver) disks(o flakey.Options) string {
	switch {
	case o.Dir != "":
		return o.Dir
	case d.Dir != "":
		return d.Dir
	}
	return filepath.Join(o.Ledger.Dir(), "disks")
}

// checkRecord gives the absolute path of the recording, whose directory must be
// there and whose name must not.
func checkRecord(o flakey.Options) (string, error) {
	if o.Record == "" {
		return "", nil
	}
	path, err := filepath.Abs(o.Record)
	if err != nil {
		return "", fmt.Errorf("soft: disk %q: %w", o.Name, err)
	}
	if exists(path) {
		return "", refuse("soft: disk %q: the recording %s is there already; an old one is never written over", o.Name, path)
	}
	dir, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return "", refuse("soft: disk %q: the directory of the recording: %w", o.Name, err)
	}
	if !dir.IsDir() {
		return "", refuse("soft: disk %q: the recording %s would not be in a directory", o.Name, path)
	}
	return path, nil
}

// start makes the directory and runs the daemon until it serves.
func (d *Disk) start(ctx context.Context, c config, ledger *machine.Ledger) error {
	if err := c.makeDir(); err != nil {
		return err
	}
	var said []byte
	if c.Detached {
		log, err := os.OpenFile(filepath.Join(c.Dir, logName), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		defer log.Close()
		daemon, err := daemonProgram.StartDetached(ctx, ledger, log, c.Dir)
		if err != nil {
			return err
		}
		said = []byte(daemon.Ready)
	} else {
		var err error
		if said, err = d.startChild(ctx, c, ledger); err != nil {
			return err
		}
	}
	var r ready
	if err := json.Unmarshal(said, &r); err != nil {
		return errors.Join(fmt.Errorf("what its daemon says: %w", err), d.kill())
	}
	d.path, d.pid = r.Path, r.PID
	return nil
}

// startChild runs the daemon as a child and waits for its first line.
func (d *Disk) startChild(ctx context.Context, c config, ledger *machine.Ledger) ([]byte, error) {
	// The disk outlives the context of its opening; Close ends it.
	child, err := daemonProgram.Start(context.WithoutCancel(ctx), ledger, c.Dir)
	if err != nil {
		return nil, err
	}
	d.child = child
	line := make(chan []byte, 1)
	go func() {
		b, err := bufio.NewReader(child.Stdout).ReadBytes('\n')
		if err != nil {
			b = nil
		}
		line <- b
		_, _ = io.Copy(io.Discard, child.Stdout) // it says nothing more
	}()
	select {
	case b := <-line:
		if b == nil {
			return nil, errors.Join(errors.New("its daemon ended before it served"), d.kill(), child.Err())
		}
		return b, nil
	case <-ctx.Done():
		return nil, errors.Join(fmt.Errorf("its daemon does not serve: %w", context.Cause(ctx)), d.kill())
	}
}

func (d *Disk) kill() error {
	if d.child == nil {
		return nil
	}
	return d.child.Stop(context.Background())
}
