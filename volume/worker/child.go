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

// below opens a path below the root, never by way of a symbolic link.
func (s *served) below(path string, flags int, mode uint32) (int, error) {
	return retry(func() (int, error) {
		return unix.Openat(s.root, clean(path), flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
	})
}

// clean makes a path one that openat takes: the root itself is ".".
func clean(path string) string {
	if path == "" {
		return "."
	}
	return path
}

func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

// onName does a request on names, or on the whole file system.
func (s *served) onName(r request) error {
	switch r.op {
	case opMkdir:
		return unix.Mkdirat(s.root, clean(r.path), 0o755)
	case opRename:
		return unix.Renameat(s.root, clean(r.path), s.root, clean(r.second))
	case opLink:
		return unix.Linkat(s.root, clean(r.path), s.root, clean(r.second), 0)
	case opUnlink:
		return unix.Unlinkat(s.root, clean(r.path), 0)
	case opRmdir:
		return unix.Unlinkat(s.root, clean(r.path), unix.AT_REMOVEDIR)
	case opRemoveAll:
		return s.removeAll(r.path, 0)
	case opSyncDir, opSyncFS:
		fd, err := s.below(r.path, unix.O_RDONLY|unix.O_DIRECTORY, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if r.op == opSyncFS {
			return unix.Syncfs(fd)
		}
		return unix.Fsync(fd)
	}
	return unix.ENOSYS
}
