package volume

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
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
	Rehearse     *bool            `yaml:"rehearse" doc:"whether it is run once before the first fault, until it has promised a line, to show that the check exec finds that; default true"`
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

// Agrees refuses a volume that is not there.
func (e *executing) Agrees(s *scenario.Spec) error { return namesVolumes(e.Command, s) }

// Agrees refuses a volume that is not there.
func (e *examining) Agrees(s *scenario.Spec) error { return namesVolumes(e.Command, s) }

var volumeWord = regexp.MustCompile(`\{volume:([^{}]*)\}`)

// namesVolumes holds each {volume:NAME} of a command to the volumes of the
// scenario.
func namesVolumes(words []string, s *scenario.Spec) error {
	var there []string
	for _, v := range s.Required.Volumes {
		there = append(there, v.Name)
	}
	for _, word := range words {
		for _, found := range volumeWord.FindAllStringSubmatch(word, -1) {
			if !slices.Contains(there, found[1]) {
				return fmt.Errorf("%s: no volume has that name: there are %s", found[0], strings.Join(there, ", "))
			}
		}
	}
	return nil
}

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
	if err := v.promised.open(v.env.Dir, v.Name(), promisesEnding); err != nil {
		return err
	}
	if v.givenUp() {
		return nil
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
	go func() { heard <- c.listen(v.promise(ctx, c)) }()
	if err := c.await(ctx, heard); err != nil {
		return err
	}
	if ctx.Err() != nil {
		if !v.roundEnded() {
			c.interrupted(o.Command, v.promised.words())
		}
		return context.Cause(ctx)
	}
	if v.roundEnded() {
		return v.ends(ctx, errEnded)
	}
	if _, err := c.exit(); err == nil && v.env.FaultsOn() > 0 {
		return nil // it need not stand a fault
	}
	return c.failed(o.Command[0])
}

// failed is the error of a command that has ended by itself, badly, while no
// fault was on.
func (c *command) failed(name string) error {
	code, err := c.exit()
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case code != 0:
		return fmt.Errorf("%s ended with %s while no fault was on: %w", name, statusName(code), orNothing(c.child.Err()))
	}
	return nil
}

// await waits until the command has ended and all that it printed was heard, and
// ends it when the round ends or nothing more is to be heard from it.
func (c *command) await(ctx context.Context, heard <-chan error) error {
	select {
	case err := <-heard:
		if err == nil { // it has closed its output and goes on
			select {
			case <-c.child.Done():
			case <-ctx.Done():
			}
		}
		return errors.Join(err, c.kill(context.WithoutCancel(ctx)))
	case <-c.child.Done():
	case <-ctx.Done():
	}
	// Where a fault has ended the round this was done already.
	if err := c.kill(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	return <-heard
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

// listen gives every whole line that the command prints to take, also what was
// in the pipe when it ended.
func (c *command) listen(take func(line []byte) error) error {
	defer close(c.read)
	in := bufio.NewReaderSize(c.child.Stdout, 64<<10)
	for {
		line, err := wholeLine(in)
		if errors.Is(err, io.EOF) {
			return nil // half a line is no promise
		}
		if err == nil {
			err = take(line)
		}
		if err != nil {
			return err
		}
	}
}

// promise takes down what the command promises.
func (v *Volume) promise(ctx context.Context, c *command) func(line []byte) error {
	began := time.Now()
	return func(line []byte) error {
		if v.promised.bytes+int64(len(line)) > promisesMax {
			return fmt.Errorf("it has promised more than %d bytes", int64(promisesMax))
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
		waits, cancel := context.WithCancel(ctx)
		stop := context.AfterFunc(c.killed, cancel)
		v.env.Meter.Operation(waits, history.Acknowledged, int64(len(line)), now.Sub(began))
		stop()
		cancel()
		began = now
		return nil
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
