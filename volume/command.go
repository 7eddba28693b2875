package volume

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/seed-1b600011/assay/machine"
	"golang.org/x/sys/unix"
)

// order is what a command's keeper is told.
type order struct {
	Args  []string `json:"args"`
	Stdin string   `json:"stdin,omitempty"` // a file; empty: nothing
	Roots []string `json:"roots"`           // of the volumes
}

// keeper runs one command of a user's in a process beside it, which takes in
// what the command leaves behind and ends all of it when its own parent goes.
// The command writes to the parent's pipe directly: what is in the pipe
// outlives it. It has a process group of its own, so that it may signal that
// (kill 0, as shells do) and does not hit its keeper; and a mount namespace, so
// that what it mounts goes with it, as it does when the power fails.
var keeper = machine.Daemon("volume-command", func(ctx context.Context, args []string, _ io.Reader, _ io.Writer) error {
	var o order
	if len(args) != 1 || json.Unmarshal([]byte(args[0]), &o) != nil || len(o.Args) == 0 {
		return errors.New("volume: want an order")
	}
	if err := machine.AdoptOrphans(); err != nil {
		return err
	}
	cmd := exec.Command(o.Args[0], o.Args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if o.Stdin != "" {
		in, err := os.Open(o.Stdin)
		if err != nil {
			return err
		}
		defer in.Close()
		cmd.Stdin = in
	}
	if err := machine.OwnMounts(o.places()...); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(notStarted)
	}
	os.Stdout.Close() // a command that closes its own then shows its end
	ended := make(chan int, 1)
	go func() { ended <- exitOf(machine.AwaitAll(cmd)) }()
	select {
	case <-ctx.Done():
		return machine.KillDescendants(context.Background())
	case status := <-ended:
		bounded, cancel := context.WithTimeout(context.Background(), endPatience)
		defer cancel()
		// What it left in the background would hold the volume.
		if err := machine.KillDescendants(bounded); err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = notStarted
		}
		os.Exit(status)
	}
	return nil
})

// places are the paths that the command must be able to see.
func (o order) places() []string {
	all := append(filepath.SplitList(os.Getenv("PATH")), o.Roots...)
	if dir, err := os.Getwd(); err == nil {
		all = append(all, dir)
	}
	for _, word := range o.Args {
		if _, path, ok := strings.Cut(word, "/"); ok { // --dir=/path too
			all = append(all, "/"+path)
		}
	}
	return all
}

// Exit statuses of the keeper that are not the command's.
const (
	notRunnable = 126                // as a shell says it
	notStarted  = machine.StatusLeft // as a shell says it of what it could not start
	signaled    = 128                // and the signal, as a shell says it
)

func exitOf(ws unix.WaitStatus, err error) int {
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		return notStarted
	case ws.Signaled():
		return signaled + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// command is one that runs on a volume.
type command struct {
	v     *Volume
	child *machine.Child
	read  chan struct{} // closed when all that it printed has been read
	// killed ends when the command is: a promise that waits for the fault that
	// kills it would be waited for by that fault.
	killed  context.Context
	release context.CancelFunc
}

// start runs a command of the user's; {volume} and {volume:NAME} in its words
// stand for directories.
func (v *Volume) start(o order) (*command, error) {
	args := make([]string, len(o.Args))
	for i, a := range o.Args {
		args[i] = v.expand(a)
	}
	o.Args = args
	for _, other := range v.all {
		o.Roots = append(o.Roots, other.root)
	}
	b, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended {
		return nil, errEnded
	}
	child, err := keeper.StartFamily(context.Background(), v.env.Ledger, string(b))
	if err != nil {
		return nil, err
	}
	c := &command{v: v, child: child, read: make(chan struct{})}
	c.killed, c.release = context.WithCancel(context.Background())
	v.commands[c] = struct{}{}
	return c, nil
}

var errEnded = errors.New("the round has ended")

func (v *Volume) expand(word string) string {
	word = strings.ReplaceAll(word, "{volume}", v.CommandDir())
	for _, o := range v.all {
		word = strings.ReplaceAll(word, "{volume:"+o.Name()+"}", o.CommandDir())
	}
	return word
}

// freeze stops the command with all that it has started; it prints nothing
// more. thaw lets it go on.
func (c *command) freeze() { c.child.SignalTree(unix.SIGSTOP) }
func (c *command) thaw()   { c.child.SignalTree(unix.SIGCONT) }

// kill ends the command with all that it has started, and waits until what was
// in its pipe is read.
func (c *command) kill(ctx context.Context) error {
	c.release()
	ctx, cancel := context.WithTimeout(ctx, endPatience)
	defer cancel()
	select {
	case <-c.child.Done():
	default:
		if err := c.child.KillBelow(ctx); err != nil {
			return err
		}
		c.thaw() // the keeper, which buries them and ends
		if err := c.child.Stop(ctx); err != nil {
			return err
		}
	}
	select {
	case <-c.read:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("a process that the command has started holds its output open: %w", context.Cause(ctx))
	}
}

// Doing is the command that was running when the run was ended, and what it had
// printed.
func (v *Volume) Doing() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.doing
}

// interrupted notes that the end of the run has ended the command.
func (c *command) interrupted(words []string, printed string) {
	if s := c.child.Stderr(); s != "" {
		printed += "; on standard error: " + excerpt(s)
	}
	c.v.mu.Lock()
	defer c.v.mu.Unlock()
	c.v.doing = fmt.Sprintf("%s was running in round %d%s", excerpt(strings.Join(words, " ")), c.v.env.Round()+1, printed)
}

// over forgets a command that has ended.
func (c *command) over() {
	c.release()
	c.v.mu.Lock()
	defer c.v.mu.Unlock()
	delete(c.v.commands, c)
}

// exit is the command's exit status, or why it has none.
func (c *command) exit() (int, error) {
	<-c.child.Done()
	var e *exec.ExitError
	err := c.child.Err()
	switch {
	case err == nil:
		return 0, nil
	case errors.As(err, &e) && e.Exited() && e.ExitCode() != notStarted:
		return e.ExitCode(), nil
	}
	return 0, err
}
