package volume

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/pressure"
	"github.com/seed-1b600011/assay/scenario"
)

// Fault model: a neighbour on the machine that needs memory, the volume's space or
// inodes, or CPU time (package pressure says how it takes them). It runs in a
// process of its own, so that neither a hung disk nor the OOM killer gets at
// assay. It never takes the last of the memory; of the space it does if it is told to
// make the disk full. A file system that refuses to write then breaks no promise.

// pressing are the options.
type pressing struct {
	Memory scenario.Size `yaml:"memory" doc:"memory that is taken, in bytes"`
	Locked bool          `yaml:"locked" doc:"the memory is locked, so that it is never swapped out"`
	CPU    float64       `yaml:"cpu" doc:"CPU time that is used, in cores" min:"0" max:"4096"`
	Disk   scenario.Size `yaml:"disk" doc:"space of the volume that is taken, in bytes"`
	Full   bool          `yaml:"full" doc:"all space of the volume is taken, to the last block"`
	Inodes int64         `yaml:"inodes" doc:"empty files that are made on the volume" min:"0" max:"1000000000"`
}

// Validate wants something to take.
func (p *pressing) Validate() error {
	if p.Full && p.Disk > 0 {
		return errors.New("disk and full both say how much space: want one")
	}
	if *p == (pressing{Locked: p.Locked}) {
		return errors.New("want memory, cpu, disk, full or inodes")
	}
	return nil
}

func registerPressure(r *scenario.Registry) {
	r.Fault(scenario.Fault{Name: "pressure", Doc: "memory, CPU time and the volume's space are taken by a neighbour", Target: scenario.VolumeKind, Unit: "pages, blocks and files",
		Options: pressing{},
		Inject: func(ctx context.Context, e *scenario.Env, l scenario.Live, options any) (scenario.Injected, error) {
			v := l.(*Volume)
			return startPresser(ctx, v, presserOrder{*options.(*pressing), filepath.Join(v.root, v.place)})
		}})
}

var presserProgram = machine.Daemon("pressure", press)

// presserOrder is what the child is told.
type presserOrder struct {
	pressing
	Dir string
}

// presserAnswer is what it says once, when all is taken.
type presserAnswer struct {
	Pages, Blocks, Inodes int64  // of 4096 bytes
	Error                 string `json:",omitempty"`
}

// presser is a child that holds what the fault takes.
type presser struct {
	child *machine.Child
	held  presserAnswer
}

func startPresser(ctx context.Context, v *Volume, o presserOrder) (*presser, error) {
	b, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	child, err := presserProgram.Start(context.WithoutCancel(ctx), v.env.Ledger, string(b))
	if err != nil {
		return nil, err
	}
	p := &presser{child: child}
	said := make(chan error, 1)
	go func() {
		line, err := bufio.NewReader(child.Stdout).ReadBytes('\n')
		if err == nil {
			err = json.Unmarshal(line, &p.held)
		}
		said <- err
	}()
	select {
	case err = <-said:
	case <-ctx.Done():
		return nil, errors.Join(context.Cause(ctx), child.Kill())
	}
	if err != nil {
		return nil, fmt.Errorf("pressure: the child has said nothing: %w", errors.Join(child.Stop(ctx), child.Err()))
	}
	if p.held.Error != "" {
		return nil, errors.Join(errors.New("pressure: "+p.held.Error), child.Stop(ctx))
	}
	return p, nil
}

// Touched is how many pages, blocks and files are held, and one for CPU time.
func (p *presser) Touched(context.Context) (int64, error) {
	return max(p.held.Pages+p.held.Blocks+p.held.Inodes, 1), nil
}

// Stop ends the child, which gives all back. On a disk that has lost its power
// meanwhile there is nothing to give back to, and that is no error.
func (p *presser) Stop(ctx context.Context) error {
	_ = p.child.Stop(ctx)
	select {
	case <-p.child.Done():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("pressure: process %d does not end: %w", p.child.PID(), context.Cause(ctx))
	}
}

// press is the child: it takes, says so, and holds until it is to end.
func press(ctx context.Context, args []string, _ io.Reader, stdout io.Writer) error {
	var o presserOrder
	if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
		return err
	}
	memory, err := pressure.NewMemory(pressure.MemoryOptions{Locked: o.Locked})
	if err != nil {
		return err
	}
	defer memory.Close()
	var answer presserAnswer
	var cpu pressure.CPU
	defer cpu.Close()
	err = memory.Set(ctx, int64(o.Memory))
	if err == nil && o.CPU > 0 {
		err = cpu.Set(pressure.Load{Cores: o.CPU})
	}
	var disk *pressure.Disk
	if err == nil && (o.Disk > 0 || o.Full || o.Inodes > 0) {
		if disk, err = pressure.NewDisk(pressure.DiskOptions{Dir: o.Dir, Margin: 1}); err == nil {
			defer disk.Close()
			err = pressDisk(ctx, disk, o)
			held := disk.Current()
			answer.Blocks, answer.Inodes = held.Held/4096, held.Inodes
		}
	}
	if err != nil {
		answer.Error = err.Error()
	}
	answer.Pages = memory.Current().Held / 4096
	if err := json.NewEncoder(stdout).Encode(answer); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// pressDisk takes space and inodes. That there is no more is what a full disk is.
func pressDisk(ctx context.Context, d *pressure.Disk, o presserOrder) error {
	if err := d.SetInodes(ctx, o.Inodes); err != nil {
		return err
	}
	if !o.Full {
		return d.Set(ctx, int64(o.Disk))
	}
	var short *pressure.ShortError
	if err := d.SetFull(ctx); !errors.As(err, &short) {
		return err
	}
	return nil
}

var _ scenario.Injected = (*presser)(nil)

// pressureControls are runs under pressure in which no promise is broken.
func pressureControls() []scenario.Control {
	under := func(name, fs, faults string) scenario.Control {
		return sound{check: "check-files", fs: fs, files: twenty, tests: "write-files, rewrite-files, append-files: {writes: 2}", faults: faults}.control(name, "")
	}
	return []scenario.Control{
		under("memory, CPU time and space are taken by a neighbour", "ext4", "pressure: {memory: 64M, cpu: 0.5, disk: 8M, inodes: 10}"),
		under("the disk is full for a while", "ext4", "pressure: {full: true, after: {operations: 140}, for: 300ms}"),
		under("power fails while a neighbour holds space", "ext4", "pressure: {disk: 8M}, power-cut: {after: {operations: 160}}"),
	}
}
