package volume

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/owed"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
)

// executing are the options of the test exec.
type executing struct {
	Command      scenario.Command `yaml:"command" doc:"what is run, with {volume} for the directory that it may use and {scenario} for that of the scenario's file" required:"true"`
	Acknowledges string           `yaml:"acknowledges" doc:"where it says what it promises: each whole line is one; default stdout" enum:"stdout"`
}

// Validate wants a command.
func (e *executing) Validate() error { return wantCommand(e.Command) }

// examining are the options of the check exec.
type examining struct {
	Command scenario.Command  `yaml:"command" doc:"what is run: it gets the promised lines, and exits with 0 if all are kept, or prints KIND: text and exits with 1" required:"true"`
	Expects string            `yaml:"expects" doc:"what it gets on its standard input; default acknowledged: the promised lines" enum:"acknowledged,nothing"`
	Timeout scenario.Duration `yaml:"timeout" doc:"after which it is killed, and the check has no answer; default 60s" min:"1"`
}

// Validate wants a command.
func (e *examining) Validate() error { return wantCommand(e.Command) }

func wantCommand(words []string) error {
	if len(words) == 0 || words[0] == "" {
		return errors.New("exec wants a command")
	}
	return nil
}

func registerExec(r *scenario.Registry) {
	r.Test(scenario.Test{Name: "exec", Doc: "runs a command of yours, each line of whose output is a promise", Target: scenario.VolumeKind, Options: executing{},
		Run: func(ctx context.Context, e *scenario.Env, l scenario.Live, _ scenario.Task, options any) error {
			return l.(*Volume).execute(ctx, options.(*executing))
		}})
	Check(r, scenario.Check{Name: "exec", Doc: "a command of yours says whether all that was promised is kept", Controls: execControls(), Proves: scenario.Lines},
		examining{Timeout: scenario.Duration(time.Minute)},
		func(ctx context.Context, v *Volume, _ *owed.Book, o examining) ([]verdict.Finding, error) {
			return v.examine(ctx, o)
		})
}

// execute runs the command until it ends, or the round does.
func (v *Volume) execute(ctx context.Context, o *executing) error {
	if err := v.promised.open(v.env.Dir, v.Name()); err != nil {
		return err
	}
	if _, err := v.at(); err != nil {
		return err
	}
	if v.promised.begin(v.env.Round()) {
		v.noteFlushes(ctx)
	}
	c, err := v.start(order{Args: o.Command})
	if err != nil {
		if errors.Is(err, errEnded) {
			return v.ends(ctx, err)
		}
		return err
	}
	defer c.over()
	heard := make(chan error, 1)
	go func() { heard <- v.listen(ctx, c) }()
	select {
	case <-c.child.Done():
	case <-ctx.Done():
		// Where a fault has ended the round this was done already.
		if err := c.kill(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
	if err := <-heard; err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	code, err := c.exit()
	switch {
	case v.roundEnded():
		return v.ends(ctx, errEnded)
	case err != nil:
		return fmt.Errorf("%s: %w", o.Command[0], err)
	case code != 0 && v.env.FaultsOn() == 0:
		return fmt.Errorf("%s ended with status %d while no fault was on: %w", o.Command[0], code, orNothing(c.child.Err()))
	}
	return nil
}

func orNothing(err error) error {
	if err == nil {
		return errors.New("it said nothing")
	}
	return err
}

func (v *Volume) roundEnded() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.ended
}

// listen takes down what the command promises: every whole line, also what was
// in the pipe when it ended.
func (v *Volume) listen(ctx context.Context, c *command) error {
	defer close(c.read)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.killed, cancel)()
	in := bufio.NewReaderSize(c.child.Stdout, 64<<10)
	began := time.Now()
	for {
		line, err := wholeLine(in)
		if errors.Is(err, io.EOF) {
			return nil // half a line is no promise
		}
		if err == nil && v.promised.bytes+int64(len(line)) > promisesMax {
			err = fmt.Errorf("it has promised more than %d bytes", int64(promisesMax))
		}
		if err != nil {
			_, _ = io.Copy(io.Discard, in) // so that it is not held up, and its end is seen
			return err
		}
		if err := v.promised.add(line); err != nil {
			return err
		}
		op, err := v.env.History.Begin(history.Record{Verb: "exec", Target: v.Name(), Detail: line[:min(len(line), detailMax)]})
		if err != nil {
			return err
		}
		if err := v.env.History.Append(history.Record{Op: op, Phase: history.Acknowledged}); err != nil {
			return err
		}
		now := time.Now()
		v.env.Meter.Operation(ctx, history.Acknowledged, int64(len(line)), now.Sub(began))
		began = now
	}
}

const detailMax = 256 // bytes of a promise that the history has; all of it is in the file of promises

func wholeLine(in *bufio.Reader) ([]byte, error) {
	var long []byte
	for {
		part, err := in.ReadSlice('\n')
		switch {
		case err == nil && long == nil:
			return part[:len(part)-1], nil
		case err == nil:
			return append(long, part[:len(part)-1]...), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, io.EOF
		}
		long = append(long, part...)
		if len(long) > lineMax {
			return nil, fmt.Errorf("a line of more than %d bytes is no promise", lineMax)
		}
	}
}
