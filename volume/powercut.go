package volume

import (
	"context"
	"errors"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/scenario"
)

const powerCutName = "power-cut"

// powerCut are the options of the fault of that name.
type powerCut struct {
	Keep        string  `yaml:"keep" doc:"what survives of that which no flush has covered; default random" enum:"none,all,prefix,random"`
	Probability float64 `yaml:"probability" doc:"of each block to survive, with keep: random; default 0.5" min:"0" max:"1"`
}

// Validate refuses a probability that nothing is drawn by.
func (p *powerCut) Validate() error {
	if p.Probability != 0 && p.Keep != string(flakey.KeepRandom) {
		return errors.New("a probability is of keep: random only")
	}
	return nil
}

// Fault model: the power of the volume's disk and of everything that uses it
// goes at one moment. All that runs there is stopped first, so that nothing is
// promised after it, and the disk's power then goes while the kernel still
// works on their requests; whatever they had said before is a promise, also
// what was in a pipe. The disk keeps what package flakey says; the kernel's
// memory of the volume is gone.
func registerPowerCut(r *scenario.Registry) {
	r.Fault(scenario.Fault{Name: powerCutName, Doc: "power fails: what was not flushed may be lost", Target: scenario.VolumeKind, Effect: history.Ends | history.Forgets,
		Options: powerCut{Keep: string(flakey.KeepRandom)},
		Inject: func(ctx context.Context, e *scenario.Env, l scenario.Live, options any) (scenario.Injected, error) {
			return l.(*Volume).cutPower(context.WithoutCancel(ctx), *options.(*powerCut))
		}})
}

// acted is a fault that ends the round: it is over when it has begun, and the run
// counts what was owed across it.
type acted struct{}

func (acted) Touched(context.Context) (int64, error) { return 0, nil }
func (acted) Stop(context.Context) error             { return nil }

const cutBound = 20 * time.Second

func (v *Volume) cutPower(ctx context.Context, o powerCut) (scenario.Injected, error) {
	ctx, cancel := context.WithTimeout(ctx, cutBound)
	defer cancel()
	k := flakey.Keep{Mode: flakey.Mode(o.Keep), Probability: o.Probability, Seed: v.env.Plan.Draw("power-cut", v.Name()).Index(uint64(v.env.Round()))}
	next := v.recordNext()
	v.freeze()
	v.countFlushes(ctx, true)
	if _, err := v.disk.PowerCut(ctx, k); err != nil {
		// It may have come to pass, or come to pass later, and the history does not have it.
		v.own.note("a power cut", err)
		return nil, errors.Join(err, v.kill(ctx))
	}
	v.pulled = true
	if err := v.cutAt(next); err != nil {
		return nil, err
	}
	v.faults.mu.Lock()
	for _, d := range v.faults.on { // the disk that was plugged in has none
		d.list = nil
	}
	v.faults.mu.Unlock()
	if err := v.kill(ctx); err != nil {
		return nil, err
	}
	return acted{}, nil
}

// killing are no options.
type killing struct{}

// Fault model: the processes that use the volume are ended by SIGKILL; kernel
// and disk go on. What waits for a disk that hangs ends only when that goes on:
// nothing more is promised, and Heal sees to the end of it.
func registerKill(r *scenario.Registry) {
	r.Fault(scenario.Fault{Name: "kill", Doc: "the processes of the tests are killed; kernel and disk go on", Target: scenario.VolumeKind, Effect: history.Ends,
		Options: killing{},
		Inject: func(ctx context.Context, e *scenario.Env, l scenario.Live, options any) (scenario.Injected, error) {
			v := l.(*Volume)
			bounded, cancel := context.WithTimeout(ctx, cutBound)
			v.countFlushes(bounded, false)
			cancel()
			if err := v.kill(context.WithoutCancel(ctx)); err != nil && !v.hanging() {
				return nil, err
			}
			return acted{}, nil
		}})
	r.Fault(scenario.Fault{Name: "pause", Doc: "the processes of the tests are stopped for a time (SIGSTOP, SIGCONT)", Target: scenario.VolumeKind, Unit: "operations",
		Options: killing{},
		Inject: func(ctx context.Context, e *scenario.Env, l scenario.Live, options any) (scenario.Injected, error) {
			return l.(*Volume).pause(), nil
		}})
}

// paused is a volume whose processes are stopped.
type paused struct {
	v       *Volume
	stopped int64 // commands, and operations that were under way
	begun   int64 // operations, when it began
}

func (v *Volume) pause() *paused {
	v.mu.Lock()
	defer v.mu.Unlock()
	for c := range v.commands {
		c.freeze()
	}
	if v.worker != nil {
		_ = v.worker.Freeze()
	}
	return &paused{v, int64(len(v.commands)) + v.atWork.Load(), v.begun.Load()}
}

// Touched is how many commands and operations had to wait.
func (p *paused) Touched(context.Context) (int64, error) { return p.stopped, nil }

// Stop lets them go on.
func (p *paused) Stop(context.Context) error {
	p.stopped += p.v.begun.Load() - p.begun
	p.v.mu.Lock()
	defer p.v.mu.Unlock()
	for c := range p.v.commands {
		c.thaw()
	}
	if p.v.worker != nil {
		_ = p.v.worker.Thaw()
	}
	return nil
}
