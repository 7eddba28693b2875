package pathcheck

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/seed-1b600011/assay/machine"
	"golang.org/x/sys/unix"
)

// The messages between checker and helper are the datagrams of one socket of the
// type SOCK_SEQPACKET, unix(7). A request is its number, the check and the path
// with a NUL; an answer is as answerSize says. Whichever thread of the helper is
// free takes the next request: the kernel shares them out.
const (
	headSize   = 9             // of a request: number, check
	maxPath    = unix.PathMax  // with its NUL
	answerSize = 8 + 8 + 8 + 4 // number, began, took, errno
)

type answer struct {
	n     uint64
	began int64 // CLOCK_MONOTONIC, ns
	took  time.Duration
	errno syscall.Errno
}

func (a answer) put(b []byte) {
	binary.NativeEndian.PutUint64(b, a.n)
	binary.NativeEndian.PutUint64(b[8:], uint64(a.began))
	binary.NativeEndian.PutUint64(b[16:], uint64(a.took))
	binary.NativeEndian.PutUint32(b[24:], uint32(a.errno))
}

func getAnswer(b []byte) (a answer, ok bool) {
	if len(b) != answerSize {
		return answer{}, false
	}
	return answer{
		n:     binary.NativeEndian.Uint64(b),
		began: int64(binary.NativeEndian.Uint64(b[8:])),
		took:  time.Duration(binary.NativeEndian.Uint64(b[16:])),
		errno: syscall.Errno(binary.NativeEndian.Uint32(b[24:])),
	}, true
}

var helperProgram = machine.Daemon("pathcheck-helper", help)

// help is the main of a helper: args[0] threads that check. All threads that it
// will ever have are there before it says that it is ready, as the answer to the
// request 0: where there may be no more, Go ends the process, and that must cost
// no check.
func help(ctx context.Context, args []string, _ io.Reader, _ io.Writer) error {
	if len(args) != 1 {
		return errors.New("pathcheck: a helper wants the number of its threads")
	}
	threads, err := strconv.Atoi(args[0])
	if err != nil || threads < 1 {
		return fmt.Errorf("pathcheck: %q is no number of threads", args[0])
	}
	debug.SetGCPercent(-1) // there is next to no garbage
	debug.SetMemoryLimit(64 << 20)
	h := &helperMain{fd: int(machine.LooseFile(0).Fd())}
	if h.clock, err = newClock(); err != nil {
		return err
	}
	if h.page, err = unix.Mmap(-1, 0, alignment, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS); err != nil {
		return err
	}
	memory, err := newInboxes(threads)
	if err != nil {
		return err
	}
	var up, work sync.WaitGroup
	up.Add(threads)
	for i := range threads {
		work.Go(func() {
			runtime.LockOSThread()
			up.Done()
			h.serve(memory.of(i))
		})
	}
	up.Wait()
	spareThreads(runtime.GOMAXPROCS(0) + 2)
	ready := make([]byte, answerSize)
	if _, err := unix.Write(h.fd, ready); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { work.Wait(); close(ended) }()
	select {
	case <-ctx.Done():
	case <-ended:
	}
	return nil
}

// spareThreads makes the runtime have so many threads that are free: it keeps
// those that it once had.
func spareThreads(n int) {
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			_ = unix.Nanosleep(&unix.Timespec{Nsec: 5e6}, nil)
		})
	}
	all.Wait()
}

type helperMain struct {
	fd    int
	page  []byte // all threads read into it: nobody looks
	clock clock
}

// serve does one check after the other, until there will be none.
func (h *helperMain) serve(in *inbox) {
	reply := make([]byte, answerSize)
	for {
		request, err := in.read(h.fd)
		if err == unix.EINTR {
			continue
		}
		if err != 0 || len(request) <= headSize {
			return
		}
		a := answer{n: binary.NativeEndian.Uint64(request)}
		began, took, errno := Check(request[8]).do(request[headSize:], h.page, int64(a.n))
		a.began, a.took, a.errno = h.clock.shared(began), took, errno
		a.put(reply)
		for {
			if _, err := unix.Write(h.fd, reply); err != unix.EINTR {
				break
			}
		}
	}
}
