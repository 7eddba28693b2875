package soft

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-1b600011/assay/machine"
)

// mounts are what a detached daemon has mounted of its disk. The calls are made
// by child processes (package machine): the daemon itself never touches a file
// system on its own disk. Changes are made by one goroutine at a time.
type mounts struct {
	ledger *machine.Ledger

	mu  sync.Mutex
	all []mounted
}

type mounted struct {
	Mount
	point *machine.MountPoint
}

const (
	unmountPatience = 3 * time.Second
	// deadPatience is how long a mount of a device that a power cut has ended
	// is tried; then it is taken out of the tree, and whoever uses it keeps it.
	deadPatience = 300 * time.Millisecond
)

func (m *mounts) list() []Mount {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Mount
	for _, one := range m.all {
		all = append(all, one.Mount)
	}
	return all
}

func (m *mounts) mount(ctx context.Context, device string, want Mount) error {
	p, err := machine.Mount(ctx, m.ledger, device, want.Dir, want.FS, want.Options)
	if err != nil {
		return err
	}
	want.Dir = p.Dir
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all = append(m.all, mounted{want, p})
	return nil
}

// unmount unmounts the directory, or all if it is empty.
func (m *mounts) unmount(ctx context.Context, dir string, o machine.UnmountOptions) error {
	m.mu.Lock()
	all := slices.Clone(m.all)
	m.mu.Unlock()
	var errs []error
	found := dir == ""
	for _, one := range slices.Backward(all) {
		if dir != "" && one.Dir != dir {
			continue
		}
		found = true
		if err := one.point.Unmount(ctx, o); err != nil {
			errs = append(errs, err)
			continue
		}
		m.mu.Lock()
		m.all = slices.DeleteFunc(m.all, func(o mounted) bool { return o.point == one.point })
		m.mu.Unlock()
	}
	if !found {
		return refuse("soft: this disk is not mounted on %q", dir)
	}
	return errors.Join(errs...)
}

// again mounts the new device wherever the dead one was mounted.
func (m *mounts) again(ctx context.Context, device string) error {
	before := m.list()
	o := machine.UnmountOptions{Dead: true}
	if slices.ContainsFunc(before, func(m Mount) bool { return m.FS == "btrfs" }) {
		o = machine.UnmountOptions{Patience: deadPatience, Force: true} // see UnmountOptions.Dead
	}
	errs := []error{m.unmount(ctx, "", o)}
	for _, want := range before {
		errs = append(errs, m.mount(ctx, device, want.besideItself()))
	}
	return errors.Join(errs...)
}

// besideItself lets xfs be mounted while somebody still uses the dead mount of
// the same file system: it refuses a UUID that it has seen, xfs(5).
func (m Mount) besideItself() Mount {
	if m.FS == "xfs" && !slices.Contains(strings.Split(m.Options, ","), "nouuid") {
		m.Options = strings.TrimPrefix(m.Options+",nouuid", ",")
	}
	return m
}
