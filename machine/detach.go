package machine

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	detachedSuffix = " (detached)" // of argv[0], after the program's name
	readyFD        = 3             // the pipe on which a detached child says that it is ready
	readyMax       = 64 << 10      // bytes of what it says
)

// Detached is a process that was started to outlive this one.
type Detached struct {
	PID   int
	Ready string // the first line of its standard output, without the newline

	done chan struct{}
}

// Done is closed when the process has ended while this one still lived.
func (d *Detached) Done() <-chan struct{} { return d.done }

// announcement is what a detached child writes on its readiness pipe, as one
// line of JSON: what it is ready with, or why it is not.
type announcement struct {
	Ready  string `json:"ready,omitempty"`
	Failed string `json:"failed,omitempty"`
}

// StartDetached runs the program in a process that outlives this one: in a
// session of its own, in the directory /, with nothing on its standard input
// and with log (nil: nothing) as its standard error. The first line that its
// main writes to its standard output says that it is ready; whatever follows
// is dropped. A main that returns an error before, or ends, has failed: the
// error says how. The main's context ends on SIGTERM, SIGINT and SIGHUP.
//
// The process is in the ledger only until it is ready. From then on it is on
// its own: before it says so it must have opened a ledger itself, by which
// Clean sees that it lives, and have entered what it made there. When ctx ends
// before it is ready it is killed.
func (p *Program) StartDetached(ctx context.Context, ledger *Ledger, log *os.File, args ...string) (*Detached, error) {
	token := Token()
	gone, err := ledger.Intend("process", token)
	if err != nil {
		return nil, err
	}
	d, err := p.startDetached(ctx, token, log, args)
	if err != nil {
		err = fmt.Errorf("machine: start %s detached: %w", p.name, err)
		if still := killByToken(context.WithoutCancel(ctx), token); still != nil {
			return nil, errors.Join(err, still) // it stays in the ledger
		}
		return nil, errors.Join(err, gone())
	}
	return d, gone()
}

func (p *Program) startDetached(ctx context.Context, token string, log *os.File, args []string) (*Detached, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ready, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	cmd := &exec.Cmd{
		Path:        exe,
		Args:        append([]string{childPrefix + p.name + detachedSuffix}, args...),
		Dir:         "/", // it must not keep a file system busy
		Env:         append(os.Environ(), tokenEnv+"="+token),
		ExtraFiles:  []*os.File{theirs},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if log != nil {
		cmd.Stderr = log
	}
	err = cmd.Start()
	theirs.Close()
	if err != nil {
		return nil, err
	}
	d := &Detached{PID: cmd.Process.Pid, done: make(chan struct{})}
	go func() {
		cmd.Wait() // how it ends is its log's to say
		close(d.done)
	}()
	d.Ready, err = awaitReady(ctx, ready)
	return d, err
}

// awaitReady reads the announcement. The end of the context closes the pipe
// under the read.
func awaitReady(ctx context.Context, ready *os.File) (string, error) {
	stop := context.AfterFunc(ctx, func() { ready.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	line, err := bufio.NewReader(io.LimitReader(ready, 8*readyMax)).ReadBytes('\n') // JSON may need six bytes for one
	if ctx.Err() != nil {
		return "", fmt.Errorf("it is not ready: %w", context.Cause(ctx))
	}
	if err != nil {
		return "", errors.New("it ended before it was ready; its log may say why")
	}
	var a announcement
	if err := json.Unmarshal(line, &a); err != nil {
		return "", fmt.Errorf("what it says when it is ready: %w", err)
	}
	if a.Failed != "" {
		return "", errors.New(a.Failed)
	}
	return a.Ready, nil
}

func runDetached(main Main) int {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer cancel()
	context.AfterFunc(ctx, func() {
		time.Sleep(endPatience)
		os.Exit(3) // main did not heed its context
	})
	syscall.CloseOnExec(readyFD) // or its own children would hold the pipe open
	out := &announcer{pipe: os.NewFile(readyFD, "ready")}
	if err := main(ctx, os.Args[1:], strings.NewReader(""), out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		out.announce(announcement{Failed: err.Error()})
		return 1
	}
	return 0
}

// announcer is the standard output of a detached child: its first line is
// announced to the parent, the rest goes nowhere, because there may be no
// parent any more.
type announcer struct {
	mu   sync.Mutex
	pipe *os.File // nil once something was announced
	line []byte
}

func (a *announcer) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pipe == nil {
		return len(p), nil
	}
	a.line = append(a.line, p...)
	if line, _, whole := bytes.Cut(a.line, []byte{'\n'}); whole || len(a.line) > readyMax {
		return len(p), a.send(announcement{Ready: string(line)})
	}
	return len(p), nil
}

func (a *announcer) announce(what announcement) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pipe == nil {
		return nil
	}
	return a.send(what)
}

func (a *announcer) send(what announcement) error {
	b, err := json.Marshal(what)
	if err != nil {
		return err
	}
	_, err = a.pipe.Write(append(b, '\n'))
	err = errors.Join(err, a.pipe.Close())
	a.pipe = nil
	return err
}
