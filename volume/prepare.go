package volume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/flakey/soft"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
	"golang.org/x/sys/unix"
)

const fileExists = syscall.EEXIST

// Defaults of a volume that a scenario leaves open.
const (
	defaultFilesystem = "ext4"
	defaultSize       = 1 << 30 // bytes
)

// world is what this package was registered with.
type world struct{ drivers []flakey.Driver }

func (w world) driver(name string) flakey.Driver {
	for _, d := range w.drivers {
		if d.Name() == name {
			return d
		}
	}
	return nil
}

// kindOf is what sort of thing a volume is on: a driver's name, "none" for a
// directory, or a path.
func kindOf(v scenario.Volume) string {
	switch {
	case v.Device != "":
		return v.Device
	case v.Path != "":
		return "none"
	}
	return "soft"
}

func isDevice(kind string) bool { return strings.HasPrefix(kind, "/") }

// refuse tells what of a scenario's volumes cannot be.
func (w world) refuse(s *scenario.Spec) error {
	for _, v := range s.Required.Volumes {
		kind := kindOf(v)
		switch {
		case kind == "none" && v.Path == "":
			return fmt.Errorf("volume %s: device none wants a path", v.Name)
		case kind == "none" && (v.Filesystem != "" || v.Size != 0 || v.Mount != ""):
			return fmt.Errorf("volume %s: filesystem, size and mount are of a device, and it is a directory", v.Name)
		case kind != "none" && v.Path != "":
			return fmt.Errorf("volume %s: a path is of a volume without a device", v.Name)
		case kind == "none" && !filepath.IsAbs(v.Path):
			return fmt.Errorf("volume %s: path %q: want an absolute one", v.Name, v.Path)
		case isDevice(kind) && v.Size != 0:
			return fmt.Errorf("volume %s: %s has the size that it has", v.Name, kind)
		case kind != "none" && !isDevice(kind) && w.driver(kind) == nil:
			return fmt.Errorf("volume %s: there is no device %q: want %s, the path of a block device, or none with a path", v.Name, kind, w.names())
		}
		if err := w.refuseDevice(v, kind); err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
		for _, f := range s.Faults {
			if f.Fault.Target == scenario.VolumeKind && needsDisk(f.Fault.Name) && (f.Aim.On == "" || f.Aim.On == v.Name) && w.driver(kind) == nil {
				return fmt.Errorf("volume %s: the fault %s needs a breakable disk: device %s", v.Name, f.Fault.Name, w.names())
			}
		}
	}
	return nil
}

// refuseDevice tells why there is no such disk, or no such file system on it.
func (w world) refuseDevice(spec scenario.Volume, kind string) error {
	if kind == "none" {
		return nil
	}
	v := &Volume{spec: spec}
	if err := machine.CheckMountOptions(v.mountOptions()); err != nil || isDevice(kind) {
		return err
	}
	o := flakey.Options{Name: "disk", Size: v.diskSize(), BlockSize: v.sector(), Memory: int64(spec.Memory)}
	if err := o.Check(); err != nil {
		return err
	}
	return machine.CheckSize(v.filesystem(), o.Size)
}

// lacks tells what this machine lacks to make a scenario's volumes.
func (w world) lacks(s *scenario.Spec) error {
	missing := map[string]error{}
	for _, v := range s.Required.Volumes {
		kind := kindOf(v)
		if d := w.driver(kind); d != nil {
			missing[kind] = d.Supports("")
		}
		if kind != "none" {
			fs := (&Volume{spec: v}).filesystem()
			missing[fs] = machine.SupportsFilesystem(fs)
		}
	}
	var errs []error
	for _, what := range slices.Sorted(maps.Keys(missing)) {
		errs = append(errs, missing[what])
	}
	return errors.Join(errs...)
}

func (w world) names() string {
	var all []string
	for _, d := range w.drivers {
		all = append(all, d.Name())
	}
	return strings.Join(all, " or ")
}

// prepare makes the volumes of a plan.
func (w world) prepare(ctx context.Context, e *scenario.Env) (lives []scenario.Live, err error) {
	defer func() { lives, err = undone(ctx, lives, err) }()
	var all []*Volume
	defer func() {
		for _, v := range all {
			v.all = all
		}
	}()
	for _, spec := range e.Plan.Required.Volumes {
		v := newVolume(spec, e)
		all = append(all, v)
		lives = append(lives, v)
		if err := w.make(ctx, v); err != nil {
			return lives, fmt.Errorf("volume %s: %w", spec.Name, err)
		}
		v.surveyed = true // there is nothing
	}
	return lives, nil
}

func newVolume(spec scenario.Volume, e *scenario.Env) *Volume {
	v := &Volume{spec: spec, env: e, commands: map[*command]struct{}{}, readers: map[string]*judged{}}
	v.forget()
	return v
}

// undone closes what was made where the rest could not be.
func undone(ctx context.Context, lives []scenario.Live, err error) ([]scenario.Live, error) {
	if err == nil {
		return lives, nil
	}
	for _, l := range slices.Backward(lives) {
		err = errors.Join(err, l.Close(context.WithoutCancel(ctx)))
	}
	return nil, err
}

func (w world) make(ctx context.Context, v *Volume) error {
	kind := kindOf(v.spec)
	switch {
	case kind == "none":
		if err := v.takeDirectory(); err != nil {
			return err
		}
		return v.begin(ctx)
	case isDevice(kind):
		if err := checkBlank(ctx, kind); err != nil {
			return scenario.Misconfigured(kind, "%v", err)
		}
		v.device = kind
	default:
		if err := v.openDisk(ctx, w.driver(kind)); err != nil {
			return err
		}
	}
	if err := v.mountPoint(); err != nil {
		return err
	}
	return v.format(ctx)
}

// format makes the file system and begins to use it. What the scenario can be blamed for
// is a *scenario.ConfigError: that this machine lacks the file system, that a
// device is too small, and a mount option that there is not. Whatever else goes
// wrong, so with a disk whose daemon was killed, is a failure of our own.
func (v *Volume) format(ctx context.Context) error {
	misconfigured := func(err error) error {
		if err == nil || ctx.Err() != nil {
			return err
		}
		return scenario.Misconfigured("volume "+v.Name(), "%v", err)
	}
	if err := misconfigured(machine.SupportsFilesystem(v.filesystem())); err != nil {
		return err
	}
	if v.disk == nil {
		size, err := machine.DeviceSize(v.Device())
		if err == nil {
			err = machine.CheckSize(v.filesystem(), size)
		}
		if err := misconfigured(err); err != nil {
			return err
		}
	}
	if err := machine.Mkfs(ctx, v.Device(), v.filesystem()); err != nil {
		return errors.Join(v.Intact(context.WithoutCancel(ctx)), err)
	}
	if err := v.mount(ctx); err != nil {
		return err
	}
	switch {
	case errors.Is(v.broken, unix.EINVAL):
		return misconfigured(v.broken)
	case v.broken != nil:
		return v.broken
	}
	return v.begin(ctx)
}

// takeDirectory makes a directory of the run's own in the one that was given.
// The child makes it, for the file system may hang; the ledger has it before.
func (v *Volume) takeDirectory() error {
	v.root, v.place = filepath.Clean(v.spec.Path), "assay-"+machine.Token()[:12]
	dir, err := filepath.EvalSymlinks(v.env.Dir)
	if err != nil {
		return err
	}
	root, err := filepath.EvalSymlinks(v.root)
	if err != nil {
		return scenario.Misconfigured("volume "+v.Name(), "%v", err)
	}
	if dir == root || strings.HasPrefix(dir, root+"/") {
		return scenario.Misconfigured("--dir "+v.env.Ledger.Dir(), "it lies in the volume %s, %s, that is to be judged by what it holds", v.Name(), root)
	}
	if sameFilesystem(dir, root) {
		v.env.Say(fmt.Sprintf("%s is on the file system that keeps this run's own records (%s): if it took both back together, nothing here could see it", v.root, dir))
	}
	gone, err := v.env.Ledger.Intend("directory", filepath.Join(v.root, v.place))
	if err == nil {
		v.gone = append(v.gone, gone)
	}
	return err
}

func sameFilesystem(a, b string) bool {
	var x, y unix.Stat_t
	return unix.Stat(a, &x) == nil && unix.Stat(b, &y) == nil && x.Dev == y.Dev
}

func (v *Volume) openDisk(ctx context.Context, d flakey.Driver) (err error) {
	if err := d.Supports(""); err != nil {
		return scenario.Misconfigured("volume "+v.Name(), "%v", err)
	}
	var needs []flakey.Kind
	for _, f := range v.env.Plan.Faults {
		if k := flakey.Kind(f.Fault.Name); slices.Contains(flakey.Kinds(), k) && (f.Aim.On == "" || f.Aim.On == v.Name()) {
			needs = append(needs, k)
		}
	}
	if v.recorded() {
		v.recording.now = v.recordingOf(0)
	}
	v.disk, err = flakey.Open(ctx, flakey.Options{BlockSize: v.sector(), Record: v.recording.now, Memory: int64(v.spec.Memory), Name: "v" + machine.Token()[:12], Size: v.diskSize(),
		Seed: v.env.Plan.Draw("volumes", v.Name()), Needs: needs, Ledger: v.env.Ledger}, d)
	if soft.IsRefused(err) {
		return scenario.Misconfigured("volume "+v.Name(), "%v", err)
	}
	return err
}

// diskSize is the size of a breakable disk, in bytes.
func (v *Volume) diskSize() int64 {
	if v.spec.Size == 0 {
		return defaultSize
	}
	return int64(v.spec.Size)
}

// sector is the logical block of the disk, in bytes.
func (v *Volume) sector() int {
	if v.spec.Sector != 0 {
		return int(v.spec.Sector)
	}
	return 4096
}

// mountPoint makes the directory to mount on: not among the run's records, which
// are below directories that often only their owner may enter. A command may run
// as a user of its own (PostgreSQL refuses to be root), and must get to its files.
func (v *Volume) mountPoint() error {
	parent := "/run"
	if unix.Access(parent, unix.W_OK) != nil {
		parent = os.TempDir()
	}
	v.root = filepath.Join(parent, "assay-"+machine.Token()[:12]+"-"+slug(v.Name()))
	gone, err := v.env.Ledger.Intend("mount-point", v.root)
	if err != nil {
		return err
	}
	v.gone = append(v.gone, func() error {
		if err := os.Remove(v.root); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return gone()
	})
	return os.Mkdir(v.root, 0o755)
}

func slug(name string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' {
			return c
		}
		return '-'
	}, name[:min(len(name), 40)])
}

func (v *Volume) filesystem() string {
	if v.spec.Filesystem == "" {
		return defaultFilesystem
	}
	return v.spec.Filesystem
}

func (v *Volume) mountOptions() string {
	options := v.spec.Mount
	if v.filesystem() == "xfs" { // a dead one of the same name may not have gone yet
		options = strings.TrimPrefix(options+",nouuid", ",")
	}
	return options
}

// blank is how much of a device must be zeros before a file system is made on
// it: more than any label, partition table or superblock that is known.
const blank = 1 << 20

// checkBlank refuses a device that may be somebody's. It may hang, and is not
// waited for beyond ctx.
func checkBlank(ctx context.Context, device string) error {
	if _, err := machine.DeviceSize(device); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() {
		f, err := os.OpenFile(device, os.O_RDONLY|unix.O_EXCL, 0)
		if err != nil {
			done <- err
			return
		}
		defer f.Close()
		b := make([]byte, blank)
		n, err := io.ReadFull(f, b)
		for _, c := range b[:n] {
			if c != 0 {
				err = errors.New("something is on it: this test would overwrite it all. If nobody needs it, clear it first (wipefs -a, and zeros over the first MiB)")
				break
			}
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = nil
		}
		done <- err
	}()
	ctx, cancel := context.WithTimeout(ctx, mountPatience)
	defer cancel()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("it does not answer: %w", context.Cause(ctx))
	}
}

// isFilesystem reports whether a mount failed because of what is on the device,
// and not for want of something on the machine.
func isFilesystem(err error) bool {
	errno, refused := machine.MountRefusal(err)
	return refused && errno != unix.EBUSY && errno != unix.EPERM && errno != unix.ENOMEM && errno != unix.EINTR && errno != unix.EMFILE && errno != unix.ENFILE
}

// unmountable is the finding of a volume that holds promises and cannot be
// mounted, told once.
func (v *Volume) unmountable() []verdict.Finding {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.broken == nil || v.told {
		return nil
	}
	v.told = true
	now := time.Now()
	return []verdict.Finding{{Kind: verdict.Unreadable, Target: v.Name(), First: now, Last: now,
		Promised: fmt.Sprintf("a file system (%s) that holds what it acknowledged: %d operations in this run", v.filesystem(), v.env.Meter.Promises()),
		Found:    v.broken.Error()}}
}

// givenUp reports whether the volume cannot be mounted, and a check has told of it:
// there is nothing more to do on it.
func (v *Volume) givenUp() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.broken != nil && v.told
}

func (v *Volume) mountable() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.broken == nil
}
