package volume

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/owed"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/volume/worker"
)

// Volume is a live volume. Every operation of its files goes into the history
// before it begins and again when it has ended. Its methods may be called by
// several goroutines at once, but those that begin and end a round. They return
// an error only if a test cannot go on: what the file system refuses is in the
// history, and no error.
type Volume struct {
	spec      scenario.Volume
	all       []*Volume // of the plan
	env       *scenario.Env
	disk      flakey.Disk         // nil: the device cannot be broken
	device    string              // the block device; empty: a directory
	mounted   *machine.MountPoint // nil: a directory, or what is there cannot be mounted
	root      string              // where it is mounted, or the directory
	place     string              // below root: all that this run makes
	gone      []func() error      // cross off the ledger what was made
	faults    faults
	recording recordings
	pulled    bool // the power was cut since the volume was mounted
	own       failures

	failing atomic.Int64 // operations since the last that was not refused
	changes atomic.Int64 // operations that were begun and change something
	begun   atomic.Int64 // operations, of any sort
	atWork  atomic.Int64 // of them, those that have not ended
	reading lately

	// Of the checks of a run, which come one after the other:
	observations int    // that were told
	judged       uint64 // the last probe that was
	roundsJudged int    // of which the probes were

	making sync.Mutex // of directories

	mu       sync.Mutex
	worker   *worker.Worker
	beside   []companion // what makes cuts hard, while it runs
	commands map[*command]struct{}
	files    map[string]*File // by path: those whose content is known
	dirs     map[string]bool  // that are there
	surveyed bool             // files and dirs hold all that there is
	ended    bool             // what ran here was killed: the round is over
	broken   error            // why what is there cannot be mounted
	told     bool             // a check has told of it
	promised promises

	flushedBefore int64              // by the disks, when the round's command began
	readers       map[string]*judged // by command: what each has found
	doing         string             // what was running when the run was ended
}

// Name is the volume's name in the plan, and the history's target.
func (v *Volume) Name() string { return v.spec.Name }

// Target is what the history calls it.
func (v *Volume) Target() string { return v.spec.Name }

// Rule is what volumes promise: see docs/promises.md.
func (v *Volume) Rule() owed.Rule { return owed.Rule{NeedsSync: true, MayTear: true} }

// Device is the block device, empty where the volume is a directory that was
// there before. A power cut changes it.
func (v *Volume) Device() string {
	if v.disk != nil {
		return v.disk.Path()
	}
	return v.device
}

// Disk is the breakable disk below, nil where there is none.
func (v *Volume) Disk() flakey.Disk { return v.disk }

// Directories of a volume, below its place.
const (
	filesDir = "files" // of the tests that write files
	execDir  = "exec"  // of commands
)

// below is a path of the files as the worker takes it.
func (v *Volume) below(p string) string { return path.Join(v.place, filesDir, p) }

// CommandDir is the directory that commands get for {volume}.
func (v *Volume) CommandDir() string { return path.Join(v.root, v.place, execDir) }

// begin starts the child that touches the files and makes the directories, as
// far as they are missing.
func (v *Volume) begin(ctx context.Context) error {
	w, err := worker.Start(context.WithoutCancel(ctx), v.env.Ledger, v.root)
	if err != nil {
		return err
	}
	v.mu.Lock()
	v.worker, v.ended = w, false
	v.mu.Unlock()
	v.failing.Store(0)
	made := false
	for _, dir := range []string{v.place, path.Join(v.place, filesDir), path.Join(v.place, execDir)} {
		if dir == "" {
			continue
		}
		errno := fileExists
		if err := w.Mkdir(ctx, dir, func(a worker.Answer) { errno = a.Errno }); err != nil {
			return err
		}
		if errno != 0 && errno != fileExists {
			return fmt.Errorf("make the directory %s on %s: %w", dir, v.Name(), errno)
		}
		made = made || errno == 0
	}
	if !made {
		return nil
	}
	var synced worker.Answer
	if err := w.SyncFS(ctx, func(a worker.Answer) { synced = a }); err != nil {
		return err
	}
	if synced.Errno != 0 {
		return fmt.Errorf("sync %s: %w", v.Name(), synced.Errno)
	}
	return nil
}

// at is the child that touches the files now.
func (v *Volume) at() (*worker.Worker, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.broken != nil {
		return nil, fmt.Errorf("%s cannot be mounted: %w", v.Name(), v.broken)
	}
	return v.worker, nil
}

// freeze stops all that runs on the volume, so that nothing more is promised
// there; what the kernel has under way goes on.
func (v *Volume) freeze() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ended = true
	for c := range v.commands {
		c.freeze()
	}
	if v.worker != nil {
		_ = v.worker.Freeze() // it has ended: nothing to stop
	}
}

// kill ends all that runs on the volume and waits until what it had
// acknowledged is in the history.
func (v *Volume) kill(ctx context.Context) error {
	v.look()
	v.mu.Lock()
	v.ended = true
	w := v.worker
	var running []*command
	for c := range v.commands {
		running = append(running, c)
	}
	v.mu.Unlock()
	var errs []error
	for _, c := range running {
		errs = append(errs, c.kill(ctx))
	}
	if w != nil {
		errs = append(errs, w.Kill())
	}
	return errors.Join(errs...)
}

// ends waits for the end of a round in which what ran on the volume was killed.
func (v *Volume) ends(ctx context.Context, why error) error {
	v.mu.Lock()
	ended := v.ended
	v.mu.Unlock()
	if !ended {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("%s: %w", v.Name(), why)
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(endPatience):
		return fmt.Errorf("%s: %w", v.Name(), why)
	}
}

const (
	endPatience   = 30 * time.Second
	mountPatience = 60 * time.Second
)

// Heal ends what still runs on the volume, plugs in what survived and mounts it
// again: so a check reads what is on the disk, and not what the kernel
// remembers. What cannot be mounted is for the checks to tell.
func (v *Volume) Heal(ctx context.Context) error {
	cut := v.roundEnded()
	if !cut {
		v.countFlushes(ctx, false)
	}
	v.forget()
	if err := v.kill(ctx); err != nil {
		v.env.Say(fmt.Sprintf("%s: %v", v.Name(), err)) // it hangs; what it holds is taken out of the tree
	}
	if v.device != "" || v.disk != nil {
		if err := v.remount(ctx, cut); err != nil || v.broken != nil {
			return err
		}
	}
	return v.explained(ctx, v.begin(ctx))
}

// forget makes nothing known of the files: what is there is for a check to see.
func (v *Volume) forget() {
	v.reading.forget()
	v.mu.Lock()
	defer v.mu.Unlock()
	v.files, v.dirs, v.surveyed = map[string]*File{}, map[string]bool{}, false
}

func (v *Volume) remount(ctx context.Context, cut bool) error {
	if err := v.unmount(ctx, cut); err != nil {
		v.env.Say(fmt.Sprintf("%s: %v", v.Name(), err)) // a file system that was shut down says so here
	}
	if v.broken != nil {
		return nil
	}
	return v.mount(ctx)
}

func (v *Volume) unmount(ctx context.Context, cut bool) (err error) {
	v.stopBeside(ctx)
	if v.mounted != nil {
		err = v.mounted.Unmount(ctx, machine.UnmountOptions{Force: true, Dead: cut && v.pulled})
		v.mounted = nil
	}
	return err
}

// mount mounts the device. An error of the file system is kept, not returned:
// that the kernel refuses what is on a disk that is intact.
func (v *Volume) mount(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, mountPatience)
	defer cancel()
	m, err := machine.Mount(bounded, v.env.Ledger, v.Device(), v.root, v.filesystem(), v.mountOptions())
	if err == nil {
		v.mounted, v.pulled = m, false
		return v.startBeside(ctx)
	}
	if own := v.Intact(context.WithoutCancel(ctx)); own != nil {
		return errors.Join(own, err)
	}
	if bounded.Err() != nil || !isFilesystem(err) {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.broken = err
	return nil
}

// Close undoes what prepare made. It does not wait for a disk that hangs.
func (v *Volume) Close(ctx context.Context) error {
	var errs []error
	if v.disk != nil { // whatever hangs on it goes on now
		release, cancel := context.WithTimeout(ctx, time.Second)
		_ = v.disk.Set(release) // a disk that is gone hangs nothing
		cancel()
	}
	v.stopBeside(ctx)
	errs = append(errs, v.promised.close())
	if v.device == "" && v.disk == nil && !v.env.Keep {
		errs = append(errs, v.empty(ctx))
	}
	if err := v.kill(ctx); err != nil && v.disk == nil {
		errs = append(errs, err)
	}
	if v.mounted != nil {
		errs = append(errs, v.mounted.Unmount(ctx, machine.UnmountOptions{Force: true, Patience: time.Second}))
	}
	if v.disk != nil {
		errs = append(errs, v.disk.Close(ctx))
	}
	if !v.env.Keep {
		for _, path := range v.recording.unwanted() {
			errs = append(errs, os.Remove(path))
		}
	}
	for i := len(v.gone) - 1; i >= 0; i-- {
		errs = append(errs, v.gone[i]())
	}
	return errors.Join(errs...)
}

// empty removes what this run has made in a directory that was there before.
func (v *Volume) empty(ctx context.Context) error {
	w, err := v.at()
	if err != nil || w == nil {
		return err
	}
	var a worker.Answer
	if err := w.RemoveAll(ctx, v.place, func(got worker.Answer) { a = got }); err != nil {
		return err
	}
	if a.Errno != 0 {
		return fmt.Errorf("remove %s from %s: %w", v.place, v.root, a.Errno)
	}
	return nil
}
