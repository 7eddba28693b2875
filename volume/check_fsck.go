package volume

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/owed"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
)

// cloner is a disk that gives a copy-on-write copy of itself.
type cloner interface {
	Clone(ctx context.Context) (path string, drop func(context.Context) error, err error)
}

func registerFsck(r *scenario.Registry) {
	Check(r, scenario.Check{
		Name: "check-fsck", Doc: "a copy of the disk is mounted, unmounted and given to the file system's own check, which finds nothing",
		Controls: fsckControls(), Proves: scenario.Structure,
	}, struct{}{}, func(ctx context.Context, v *Volume, _ *owed.Book, _ struct{}) ([]verdict.Finding, error) {
		return v.checkFsck(ctx)
	})
}

// fsckBound is how long a file system's check may take.
const fsckBound = 10 * time.Minute

func (v *Volume) checkFsck(ctx context.Context) ([]verdict.Finding, error) {
	disk, ok := v.disk.(cloner)
	if !ok {
		return nil, fmt.Errorf("%s is on no disk that a copy can be made of: a check of the original would write to it", v.Name())
	}
	ctx, cancel := context.WithTimeout(ctx, fsckBound)
	defer cancel()
	now := time.Now()
	var report machine.Report
	if err := v.unmounted(ctx, func() (err error) {
		path, drop, err := disk.Clone(ctx)
		if err != nil {
			return err
		}
		report, err = machine.Fsck(ctx, path, v.filesystem())
		return errors.Join(err, drop(context.WithoutCancel(ctx)))
	}); err != nil || report.Clean {
		return nil, err
	}
	f := verdict.Finding{Kind: verdict.Corrupt, Target: v.Name(), First: now, Last: now,
		Promised: fmt.Sprintf("a sound file system (%s)", v.filesystem()),
		Found:    fmt.Sprintf("its check ended with status %d: %s", report.Exit, excerpt(report.Output))}
	if report.MountErr != nil {
		f.Found = "a copy cannot be mounted: " + report.MountErr.Error()
	}
	return []verdict.Finding{f}, nil
}

// unmounted does something while the volume is not mounted: what the kernel has
// not written back is no damage, and of two file systems with one name at a
// time the tools of btrfs take the wrong one.
func (v *Volume) unmounted(ctx context.Context, do func() error) error {
	w, err := v.at()
	if err != nil {
		return err
	}
	v.stopBeside(ctx) // which notes what has failed, of the worker too
	if err := w.Kill(); err != nil {
		return err
	}
	if err := v.mounted.Unmount(ctx, machine.UnmountOptions{}); err != nil {
		return err
	}
	v.mounted = nil
	if err := do(); err != nil {
		return err
	}
	if err := v.mount(ctx); err != nil || !v.mountable() {
		return err
	}
	return v.begin(ctx)
}

const excerptMax = 2000 // bytes

// excerpt is as much of a program's output as a finding holds.
func excerpt(s string) string {
	s = strings.TrimSpace(strings.ToValidUTF8(s, "?"))
	if len(s) > excerptMax {
		s = strings.ToValidUTF8(s[:excerptMax], "") + " …"
	}
	return s
}
