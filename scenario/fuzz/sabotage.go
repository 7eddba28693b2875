package fuzz

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"github.com/seed-1b600011/assay/scenario"
)

// Fault model: one of the processes of assay's own that serve a target is ended
// (SIGKILL) or held up (SIGSTOP) as the OOM killer or a person may do it. The
// storage has done nothing wrong, whatever it looks like afterwards: no finding
// may come of it. These faults are of no use in anyone's scenario; only the
// fuzzer's registry has them.

// Names of the two faults on targets of a kind.
func killName(kind string) string { return "kill-own-" + kind }
func stopName(kind string) string { return "stop-own-" + kind }

// sabotage are the options.
type sabotage struct {
	Process string `yaml:"process" doc:"the name of the process" required:"true"`
}

// Register adds the faults that only the fuzzer has.
func Register(r *scenario.Registry, domains ...Domain) {
	for _, m := range domains {
		r.Fault(scenario.Fault{Name: killName(m.Kind), Doc: "a process of assay's own is killed", Target: m.Kind, Options: sabotage{}, Instant: true,
			Inject: func(_ context.Context, e *scenario.Env, l scenario.Live, options any) (scenario.Injected, error) {
				return signalOne(e, l, options.(*sabotage).Process, syscall.SIGKILL)
			}})
		r.Fault(scenario.Fault{Name: stopName(m.Kind), Doc: "a process of assay's own is stopped", Target: m.Kind, Options: sabotage{},
			Inject: func(_ context.Context, e *scenario.Env, l scenario.Live, options any) (scenario.Injected, error) {
				return signalOne(e, l, options.(*sabotage).Process, syscall.SIGSTOP)
			}})
	}
}

// signaled is a process that got a signal; nil: there was none.
type signaled struct {
	process *os.Process
	stopped bool
}

// signalOne signals one of the processes of that name, drawn. Where there is
// none nothing is touched.
func signalOne(e *scenario.Env, l scenario.Live, name string, signal syscall.Signal) (scenario.Injected, error) {
	all, err := descendants()
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(p process) bool { return p.title != name })
	if len(all) == 0 {
		return signaled{}, nil
	}
	one := all[e.Plan.Draw("sabotage", l.Name(), name).Below(uint64(e.Round()), uint64(len(all)))]
	p, err := os.FindProcess(one.pid) // by a pidfd: the number may be another's by then, the descriptor not
	if err != nil {
		return signaled{}, nil
	}
	if title(one.pid) != titlePrefix+name {
		return signaled{}, p.Release()
	}
	if err := p.Signal(signal); errors.Is(err, os.ErrProcessDone) {
		return signaled{}, nil
	} else if err != nil {
		return nil, fmt.Errorf("signal %s (pid %d): %w", name, one.pid, err)
	}
	return signaled{p, signal == syscall.SIGSTOP}, nil
}

// Touched is 1 where a process got the signal.
func (s signaled) Touched(context.Context) (int64, error) {
	if s.process == nil {
		return 0, nil
	}
	return 1, nil
}

// Stop lets a stopped process go on.
func (s signaled) Stop(context.Context) error {
	if s.process == nil || !s.stopped {
		return nil
	}
	if err := s.process.Signal(syscall.SIGCONT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}
