package soft

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/seed-1b600011/assay/machine"
	"golang.org/x/sys/unix"
)

// The keeper is a small process beside each daemon, its child. It
//
//   - holds the loop devices open. Were they held by the daemon itself, the
//     end of a killed daemon would close the device before its FUSE
//     connection: the kernel writes a device's dirty pages back when it is
//     closed, and those would wait for an answer of the process that is
//     ending. Held here, the connection dies first and the device then
//     clears itself (LO_FLAGS_AUTOCLEAR) with its last user.
//   - aborts the FUSE connections when the daemon is silent, or stuck although
//     it is not silent (watch.go): a request on a disk whose server does not
//     answer cannot be ended otherwise. The daemon is killed then, which alone
//     would not do: a thread of it that waits for its own disk, as all do that
//     need memory in a cgroup full of pages that are to be written to it, ends
//     with its request only, and the connection with its last thread.
//   - aborts them when the daemon has gone or is dying, and ends. A daemon that
//     is killed while a thread of its own waits for its own answer, as one that
//     makes a loop device does, cannot die: the kernel waits without end for
//     the answer to a request that was read, and the connection stays open
//     with the thread. Its main thread is a zombie then, which is looked for
//     twice a second.
//
// It touches no disk, and the daemon has left the caller's memory cgroup before
// it starts it. Where that is not allowed the keeper may hang with the daemon;
// one thread of it does not (deadman).

// order is one line that the daemon writes to the keeper. The empty Do is a
// sign of life.
type order struct {
	N          int    `json:"n"`
	Do         string `json:"do,omitempty"`         // watch, forget, hold or drop
	Path       string `json:"path,omitempty"`       // hold and drop: the loop device
	Watch      int    `json:"watch,omitempty"`      // watch and forget: which
	Connection uint32 `json:"connection,omitempty"` // watch: the kernel's number
	Beats      []beat `json:"beats,omitempty"`      // of the sign of life: one for each connection
}

// done is what the keeper answers to watch, hold and drop, and once at its start.
type done struct {
	N     int    `json:"n"`
	Error string `json:"error,omitempty"`
}

// patience is how long a daemon may be silent, or answer nothing. Everything
// that a daemon does between two signs of life takes well under a second; a
// machine so slow that it takes 15 would time out everything else too.
const patience = 15 * time.Second

// keep is the keeper's main.
func keep(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	daemon, err := parentNamed(args)
	if err != nil {
		return fmt.Errorf("soft: keeper: %w", err)
	}
	defer unix.Close(daemon)
	// What is not allowed the daemon has told of itself already.
	_, _ = machine.ResistPressure()
	control, err := machine.OpenFuseControl()
	if err != nil {
		return fmt.Errorf("soft: keeper: %w", err)
	}
	defer control.Close()
	k := &keeper{control: control, out: json.NewEncoder(stdout), held: map[string]*os.File{}, watched: map[int]*watch{}}
	if err := k.deadman.start(); err != nil {
		return fmt.Errorf("soft: keeper: %w", err)
	}
	k.answer(0, nil)
	err = k.run(ctx, readOrders(stdin))
	aborted := k.abort() // first of all: neither daemon nor devices may be able to end before
	if err != nil {
		err = errors.Join(err, unix.PidfdSendSignal(daemon, unix.SIGKILL, nil, 0))
	}
	k.letGo()
	return errors.Join(err, aborted)
}

func readOrders(stdin io.Reader) <-chan order {
	orders := make(chan order)
	go func() {
		defer close(orders)
		lines := bufio.NewScanner(stdin)
		lines.Buffer(nil, 1<<20) // a beat for each of thousands of clones
		for lines.Scan() {
			var o order
			if json.Unmarshal(lines.Bytes(), &o) != nil {
				return
			}
			orders <- o
		}
	}()
	return orders
}

// run follows orders until the daemon goes, or ctx ends; an error says why the
// daemon is not to be waited for.
func (k *keeper) run(ctx context.Context, orders <-chan order) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	silent := 0 // looks without a sign of life: one who was stopped himself blames nobody
	for {
		select {
		case <-ctx.Done():
			return nil
		case o, more := <-orders:
			if !more {
				return nil
			}
			silent = 0
			k.follow(o)
		case <-look.C:
			if dying(os.Getppid()) {
				return nil
			}
			if silent++; silent > looks {
				return fmt.Errorf("soft: the daemon gave no sign of life for %v; its connections are aborted", patience)
			}
			if err := k.look(); err != nil {
				return err
			}
			if k.deadman.acted.Load() {
				return fmt.Errorf("soft: the keeper hung for %v, as the daemon does when there is no memory; its connections are aborted", patience)
			}
			k.deadman.feed()
		}
	}
}

// parentNamed opens a pidfd on the parent, whose process id is the argument: a
// parent that has gone already must not be mistaken for whoever adopted us.
func parentNamed(args []string) (int, error) {
	if len(args) != 1 || args[0] != strconv.Itoa(os.Getppid()) {
		return -1, fmt.Errorf("the parent is process %d, not %v", os.Getppid(), args)
	}
	fd, err := unix.PidfdOpen(os.Getppid(), 0)
	if err != nil {
		return -1, fmt.Errorf("pidfd_open of the parent: %w", err)
	}
	if args[0] != strconv.Itoa(os.Getppid()) {
		unix.Close(fd)
		return -1, errors.New("the parent has gone")
	}
	return fd, nil
}

// dying says whether the main thread of a process has ended.
func dying(pid int) bool {
	s := state(pid)
	return s == 0 || s == 'Z' || s == 'X'
}

// state is that of the main thread of a process, a letter of proc_pid_stat(5);
// 0: there is no such process.
func state(pid int) byte {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	rest := bytes.TrimLeft(b[bytes.LastIndexByte(b, ')')+1:], " ")
	if len(rest) == 0 {
		return '?'
	}
	return rest[0]
}

type keeper struct {
	control *machine.FuseControl
	closing sync.WaitGroup
	watched map[int]*watch // by number of the order, until the connection has ended: longer than its device is held
	deadman deadman

	mu   sync.Mutex
	out  *json.Encoder
	held map[string]*os.File // by path of the loop device
}

func (k *keeper) answer(n int, err error) {
	d := done{N: n}
	if err != nil {
		d.Error = err.Error()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	_ = k.out.Encode(d) // a daemon that does not listen any more is gone
}

// follow does an order. Opening and closing a device may block, and goes on
// beside it.
func (k *keeper) follow(o order) {
	switch o.Do {
	case "":
		for _, b := range o.Beats {
			if w := k.watched[b.Watch]; w != nil {
				w.beat(b)
			}
		}
	case "watch":
		k.answer(o.N, k.watch(o.Watch, o.Connection))
	case "forget":
		w := k.watched[o.Watch]
		delete(k.watched, o.Watch)
		k.deadman.guard(k.watched)
		if w != nil {
			w.connection.Close()
		}
	case "hold":
		go func() { k.answer(o.N, k.hold(o.Path)) }()
	case "drop":
		k.mu.Lock()
		f := k.held[o.Path]
		delete(k.held, o.Path)
		k.mu.Unlock()
		k.closing.Go(func() {
			if f == nil {
				k.answer(o.N, fmt.Errorf("%s is not held", o.Path))
				return
			}
			k.answer(o.N, f.Close())
		})
	}
}

func (k *keeper) watch(n int, connection uint32) error {
	c, err := k.control.Open(connection)
	if err != nil {
		return err
	}
	k.watched[n] = &watch{connection: c}
	k.deadman.guard(k.watched)
	return nil
}

// look looks whether any connection is stuck.
func (k *keeper) look() error {
	for _, w := range k.watched {
		waiting, err := w.connection.Waiting()
		if err != nil {
			return err
		}
		if w.look(waiting) {
			return fmt.Errorf("soft: the daemon shows that it lives, and yet answered none of %d requests for %v; its connections are aborted", waiting, patience)
		}
	}
	return nil
}

func (k *keeper) hold(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held[path] = f
	return nil
}

// abort ends every connection.
func (k *keeper) abort() error {
	var errs []error
	for _, w := range k.watched {
		errs = append(errs, w.connection.Abort())
	}
	return errors.Join(errs...)
}

// letGo closes the devices.
func (k *keeper) letGo() {
	k.mu.Lock()
	for _, f := range k.held {
		k.closing.Go(func() { f.Close() })
	}
	k.mu.Unlock()
	closed := make(chan struct{})
	go func() { k.closing.Wait(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(patience / 3): // the end of the process closes them
	}
}
