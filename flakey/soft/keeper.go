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
//   - aborts the FUSE connections when the daemon stops to show that it is
//     alive, whatever it hangs in: a request on a disk whose server does not
//     answer cannot be ended otherwise, not even by SIGKILL where it is in a
//     kernel thread. The daemon is killed then.
//   - aborts them when the daemon has gone or is dying, and ends. A daemon that
//     is killed while a thread of its own waits for its own answer, as one that
//     makes a loop device does, cannot die: the kernel waits without end for
//     the answer to a request that was read, and the connection stays open
//     with the thread. Its main thread is a zombie then, which is looked for
//     twice a second.
//
// It allocates little, touches no disk, and the daemon has left the caller's
// memory cgroup before it starts it.

// order is one line that the daemon writes to the keeper. The empty Do is a
// sign of life.
type order struct {
	N          int    `json:"n"`
	Do         string `json:"do,omitempty"`         // watch, forget, hold or drop
	Path       string `json:"path,omitempty"`       // hold and drop: the loop device
	Connection uint32 `json:"connection,omitempty"` // watch and forget
}

// done is what the keeper answers to watch, hold and drop, and once at its start.
type done struct {
	N     int    `json:"n"`
	Error string `json:"error,omitempty"`
}

// patience is how long a daemon may be silent. Everything that a daemon does
// between two signs of life takes well under a second; a machine so slow that
// it takes 15 would time out everything else too.
const patience = 15 * time.Second

// keep is the keeper's main.
func keep(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	daemon, err := parentNamed(args)
	if err != nil {
		return fmt.Errorf("soft: keeper: %w", err)
	}
	defer unix.Close(daemon)
	control, err := machine.OpenFuseControl()
	if err != nil {
		return fmt.Errorf("soft: keeper: %w", err)
	}
	defer control.Close()
	k := &keeper{control: control, out: json.NewEncoder(stdout), held: map[string]*os.File{}, watched: map[uint32]*machine.FuseConnection{}}
	k.answer(0, nil)
	orders := make(chan order)
	go func() {
		defer close(orders)
		lines := bufio.NewScanner(stdin)
		for lines.Scan() {
			var o order
			if json.Unmarshal(lines.Bytes(), &o) != nil {
				return
			}
			orders <- o
		}
	}()
	silent := time.NewTimer(patience)
	look := time.NewTicker(beat / 2)
	for {
		select {
		case <-look.C:
			if dying(os.Getppid()) {
				return k.end()
			}
		case <-ctx.Done():
			return k.end()
		case o, more := <-orders:
			if !more {
				return k.end()
			}
			silent.Reset(patience)
			k.follow(o)
		case <-silent.C:
			err := k.end()
			return errors.Join(fmt.Errorf("soft: the daemon gave no sign of life for %v; its connections are aborted", patience),
				err, unix.PidfdSendSignal(daemon, unix.SIGKILL, nil, 0))
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

// dying says whether the main thread of a process has ended, proc_pid_stat(5).
func dying(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	rest := bytes.TrimLeft(b[bytes.LastIndexByte(b, ')')+1:], " ")
	return len(rest) > 0 && (rest[0] == 'Z' || rest[0] == 'X')
}

type keeper struct {
	control *machine.FuseControl
	closing sync.WaitGroup

	mu      sync.Mutex
	out     *json.Encoder
	held    map[string]*os.File                // by path of the loop device
	watched map[uint32]*machine.FuseConnection // by number, until it has ended: longer than its device is held
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

// follow does an order, in a goroutine: opening and closing a device may block.
func (k *keeper) follow(o order) {
	switch o.Do {
	case "watch":
		k.answer(o.N, k.watch(o.Connection))
	case "hold":
		go func() { k.answer(o.N, k.hold(o.Path)) }()
	case "forget":
		k.mu.Lock()
		if c := k.watched[o.Connection]; c != nil {
			c.Close()
		}
		delete(k.watched, o.Connection)
		k.mu.Unlock()
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

func (k *keeper) watch(connection uint32) error {
	c, err := k.control.Open(connection)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.watched[connection] = c
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

// end aborts every connection and then lets go of the devices.
func (k *keeper) end() error {
	k.mu.Lock()
	var errs []error
	for _, c := range k.watched {
		errs = append(errs, c.Abort())
	}
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
	return errors.Join(errs...)
}
