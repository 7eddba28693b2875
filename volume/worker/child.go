package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/seed-1b600011/assay/machine"
	"golang.org/x/sys/unix"
)

var program = machine.Daemon("volume-worker", serve)

// served is a volume as the child has it: the directory below which all paths
// are, and the files that are open.
type served struct {
	root    int // O_PATH descriptor
	out     *pipe
	buffers buffers

	mu    sync.Mutex
	files map[uint64]*openFile
}

// serve is the child's main: args[0] is the root.
func serve(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	if len(args) != 1 {
		return errors.New("worker: want a directory")
	}
	root, err := unix.Open(args[0], unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("worker: open %s: %w", args[0], err)
	}
	s := &served{root: root, out: newPipe(stdout), files: map[uint64]*openFile{}}
	go s.out.run()
	s.out.put(func(b []byte) []byte { return appendAnswer(b, 0, Answer{}) }) // ready
	in := bufio.NewReaderSize(stdin, 256<<10)
	go func() {
		<-ctx.Done()
		os.Exit(0) // whatever hangs: nobody waits for it any more
	}()
	var buf []byte
	for {
		buf, err = readFrame(in, buf)
		if err != nil {
			return nil // the parent wants nothing more
		}
		r, err := parseRequest(buf)
		if err != nil {
			return err
		}
		go s.do(r)
	}
}

func (s *served) answer(r request, a Answer) {
	if len(a.Data) > dataMax {
		a = Answer{Index: a.Index, Errno: syscall.EMSGSIZE}
	}
	s.out.put(func(b []byte) []byte { return appendAnswer(b, r.id, a) })
}

// do does a request and answers it.
func (s *served) do(r request) {
	switch r.op {
	case opWrite, opMapWrite:
		s.write(r)
	case opRead:
		s.answer(r, s.read(r))
	case opWalk:
		s.answer(r, s.walk(r))
	case opSectors:
		s.answer(r, s.sectors(r))
	case opOpen:
		s.answer(r, of(s.open(r)))
	case opClose, opTruncate, opAllocate, opPunch, opFsync, opFdatasync, opMsync:
		s.answer(r, of(s.onFile(r)))
	default:
		s.answer(r, of(s.onName(r)))
	}
}

// of is the answer of an error of a system call.
func of(err error) Answer {
	var errno syscall.Errno
	switch {
	case err == nil:
		return Answer{}
	case errors.As(err, &errno):
		return Answer{Errno: errno}
	default:
		return Answer{Errno: syscall.EIO, Data: []byte(err.Error())}
	}
}

func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}
