package soft

import (
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/seed-1b600011/assay/machine"
	"golang.org/x/sys/unix"
)

const (
	lookEvery = beatEvery / 2
	looks     = int(patience / lookEvery) // of patience
)

// beat is what a daemon says of one connection with each sign of life.
type beat struct {
	Watch    int   `json:"w"`           // the number of the watch
	Answered int64 `json:"a"`           // requests so far
	Held     bool  `json:"h,omitempty"` // requests may be kept waiting on purpose
}

// watch decides whether a connection is stuck: requests wait on it, none are
// answered, and none are held on purpose. The signs of life alone do not tell:
// the threads that serve may all wait for memory, which is not to be had until
// what waits for them is written, while the one that beats needs none. (Seen
// where daemon and writer shared a memory cgroup of 64 MiB and the machine had
// more processors than threads were stuck.) While requests are held others may
// queue behind them in the kernel, so then the signs of life are all there is.
type watch struct {
	connection *machine.FuseConnection
	last       beat
	barren     int // looks in a row with requests waiting and none answered
}

func (w *watch) beat(b beat) {
	if b.Answered != w.last.Answered || b.Held {
		w.barren = 0
	}
	w.last = b
}

func (w *watch) look(waiting int) (stuck bool) {
	if waiting == 0 || w.last.Held {
		w.barren = 0
		return false
	}
	w.barren++
	return w.barren > looks
}

// deadman aborts every connection when it has not been fed for patience: the
// keeper itself hangs then, in what it does to look. It is one thread that does
// nothing but sleep, count and, in the end, write to files that are open. So
// that it needs no memory that it has not got, it rehearses that each second:
// the first page of its stack that it had never used before would hang it too.
type deadman struct {
	hungry  atomic.Int64 // seconds
	guarded atomic.Pointer[[]*machine.FuseConnection]
	acted   atomic.Bool
}

// start must come before anything that may hang.
func (d *deadman) start() error {
	rehearsal, err := machine.FuseRehearsal()
	if err != nil {
		return err
	}
	// After its sleep the thread must get a processor of Go's, although threads
	// that hang keep theirs, and must not wait for a garbage collection, which
	// waits for all threads. There is next to no garbage.
	runtime.GOMAXPROCS(16)
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(64 << 20)
	go func() {
		runtime.LockOSThread()
		for second := (unix.Timespec{Sec: 1}); ; {
			_ = unix.Nanosleep(&second, nil)
			abortAll(rehearsal)
			if d.hungry.Add(1) <= int64(patience/time.Second) {
				continue
			}
			d.acted.Store(true)
			if all := d.guarded.Load(); all != nil {
				abortAll(*all...)
			}
		}
	}()
	return nil
}

// abortAll is tried again in a second if it fails.
func abortAll(all ...*machine.FuseConnection) {
	for _, c := range all {
		_ = c.Abort()
	}
}

// feed says that the keeper has looked, and all was well.
func (d *deadman) feed() { d.hungry.Store(0) }

// guard says which connections there are.
func (d *deadman) guard(watched map[int]*watch) {
	all := make([]*machine.FuseConnection, 0, len(watched))
	for _, w := range watched {
		all = append(all, w.connection)
	}
	d.guarded.Store(&all)
}
