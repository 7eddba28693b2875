package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	childPrefix = "assay: "     // argv[0] of a child is this and the program's name
	tokenEnv    = "ASSAY_TOKEN" // by which the ledger finds a child again
	lifeFD      = 3             // the pipe that ends with the parent
	stderrKept  = 64 << 10      // bytes of a child's standard error that are kept
	endPatience = 5 * time.Second
)

// Program is a function of this binary that runs in child processes.
type Program struct{ name string }

// Main is what a child runs. Its context ends when the parent goes or wants
// the child to end; stdin then ends too. What it returns is its exit: an
// error is printed to its standard error and makes the exit status 1.
type Main func(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error

// Daemon declares a program. It must be called from the initialization of a
// package-level variable: in a child that was started to run this program it
// runs main and exits, before the binary's own main.
func Daemon(name string, main Main) *Program {
	if len(os.Args) > 0 {
		switch os.Args[0] {
		case childPrefix + name:
			os.Exit(runChild(main))
		case childPrefix + name + detachedSuffix:
			os.Exit(runDetached(main))
		}
	}
	return &Program{name: name}
}

func runChild(main Main) int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	life := os.NewFile(lifeFD, "life")
	go func() {
		io.Copy(io.Discard, life) // returns when the last parent end is closed
		cancel()
		time.Sleep(endPatience)
		os.Exit(3) // main did not heed its context
	}()
	if err := main(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// Child is a running process of one's own. Its methods may be called by
// several goroutines at once.
type Child struct {
	Stdin  io.WriteCloser
	Stdout io.Reader // must be read: a child that prints more than a pipe holds blocks

	cmd    *exec.Cmd
	name   string
	family string // the token, if what it leaves behind ends with it
	life   *os.File
	stderr tail
	done   chan struct{}
	err    error // valid once done is closed
	gone   func() error
	asked  asked
}

// Start runs the program in a new child, entered into the ledger first. When
// ctx ends the child is asked to end, and killed if it has not within 5 s.
func (p *Program) Start(ctx context.Context, ledger *Ledger, args ...string) (*Child, error) {
	token := Token()
	gone, err := ledger.Intend("process", token)
	if err != nil {
		return nil, err
	}
	return p.startAs(ctx, token, gone, nil, args)
}

// StartFamily is Start for a child that runs programs of others and ends them
// before it ends itself. Where it was killed before it could do so, or ends with
// StatusLeft, whatever is left of them is ended too, by what all of them carry in
// their environment; and until then the ledger has it.
func (p *Program) StartFamily(ctx context.Context, ledger *Ledger, args ...string) (*Child, error) {
	token := Token()
	gone, err := ledger.Intend("process", token)
	if err != nil {
		return nil, err
	}
	return p.startChild(ctx, &Child{family: token}, token, gone, nil, args)
}

// startUnlisted is Start without an entry in a ledger, for a child that makes
// nothing lasting before its parent has entered it: the life pipe ends it with
// its parent, and an entry would cost two fsyncs.
//
// hold, if not nil, stays open in the child. With a ledger's file that keeps
// Clean from it while the child may still do what the ledger says.
func (p *Program) startUnlisted(ctx context.Context, hold *os.File, args ...string) (*Child, error) {
	return p.startAs(ctx, Token(), func() error { return nil }, hold, args)
}

func (p *Program) startAs(ctx context.Context, token string, gone func() error, hold *os.File, args []string) (*Child, error) {
	return p.startChild(ctx, &Child{}, token, gone, hold, args)
}

func (p *Program) startChild(ctx context.Context, c *Child, token string, gone func() error, hold *os.File, args []string) (*Child, error) {
	c.name, c.done, c.gone = p.name, make(chan struct{}), gone
	if err := c.start(token, hold, args); err != nil {
		return nil, errors.Join(fmt.Errorf("machine: start child %s: %w", p.name, err), gone())
	}
	stop := context.AfterFunc(ctx, func() { c.Stop(context.WithoutCancel(ctx)) })
	go func() { <-c.done; stop() }()
	return c, nil
}

func (c *Child) start(token string, hold *os.File, args []string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	lifeRead, lifeWrite, err := os.Pipe()
	if err != nil {
		return err
	}
	defer lifeRead.Close()
	c.life = lifeWrite
	c.cmd = &exec.Cmd{
		Path:        exe,
		Args:        append([]string{childPrefix + c.name}, args...),
		Env:         append(os.Environ(), tokenEnv+"="+token),
		ExtraFiles:  []*os.File{lifeRead},
		SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
		Stderr:      &c.stderr,
		WaitDelay:   time.Second, // a grandchild may hold standard error open
	}
	if hold != nil {
		c.cmd.ExtraFiles = append(c.cmd.ExtraFiles, hold)
	}
	if c.Stdin, err = c.cmd.StdinPipe(); err != nil {
		return errors.Join(err, lifeWrite.Close())
	}
	out, in, err := os.Pipe() // not StdoutPipe: Wait would close it under the reader
	if err != nil {
		return errors.Join(err, lifeWrite.Close())
	}
	c.Stdout, c.cmd.Stdout = out, in
	defer in.Close()
	if err := c.cmd.Start(); err != nil {
		return errors.Join(err, out.Close(), lifeWrite.Close())
	}
	go c.wait()
	return nil
}

func (c *Child) wait() {
	err := c.cmd.Wait()
	c.life.Close()
	if err != nil {
		err = fmt.Errorf("child %s (pid %d): %w", c.name, c.cmd.Process.Pid, err)
		if s := c.stderr.String(); s != "" {
			err = fmt.Errorf("%w: %s", err, s)
		}
	}
	if c.family != "" && c.abandoned() {
		if left := endFamily(c.family); left != nil {
			err = errors.Join(err, left)
			c.gone = func() error { return nil } // it stays in the ledger, for Clean
		}
	}
	c.err = errors.Join(err, c.gone())
	close(c.done)
}

// StatusLeft is the exit status of a child that could not end what it had started.
const StatusLeft = 127

// abandoned reports whether the child, which has ended, may have left something of
// its family behind.
func (c *Child) abandoned() bool {
	ws, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return !ok || ws.Signaled() || ws.ExitStatus() == StatusLeft
}

// endFamily ends all that carry a token. It looks into the memory of strangers,
// which may hang where one of them does, and waits no longer than endPatience.
func endFamily(token string) error {
	ctx, cancel := context.WithTimeout(context.Background(), endPatience)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- killByToken(ctx, token) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return fmt.Errorf("machine: what process %s has left is still looked for after %v", token, endPatience)
	}
}

// PID is the child's process id.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Done is closed when the child has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// Ended reports whether the child has ended.
func (c *Child) Ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// Err is how the child ended: nil for exit status 0. Before Done it is nil.
func (c *Child) Err() error {
	if !c.Ended() {
		return nil
	}
	return c.err
}

// Stderr is the last of what the child has printed to its standard error, at
// most 64 KiB.
func (c *Child) Stderr() string { return c.stderr.String() }

// Stop asks the child to end, by closing its standard input and its life
// pipe, and kills it if it has not within 5 s or when ctx ends. It returns
// once the child has ended; one that not even SIGKILL ends is an error.
func (c *Child) Stop(ctx context.Context) error {
	c.asks(false)
	c.Stdin.Close()
	c.life.Close()
	if !c.await(ctx, endPatience) {
		return c.Kill()
	}
	return nil
}

// Kill ends the child by SIGKILL and waits 5 s for its end.
func (c *Child) Kill() error {
	c.asks(true)
	c.cmd.Process.Kill()
	if !c.await(context.Background(), endPatience) {
		return fmt.Errorf("machine: child %s (pid %d) does not end after SIGKILL: %s",
			c.name, c.PID(), processState(c.PID()))
	}
	return nil
}

func (c *Child) await(ctx context.Context, patience time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-c.done:
		return true
	case <-ctx.Done():
		return false
	}
}

// tail keeps the last stderrKept bytes that are written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if over := len(t.b) - stderrKept; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.TrimSpace(string(bytes.ToValidUTF8(t.b, []byte("?"))))
}
