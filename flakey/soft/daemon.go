package soft

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"time"

	"github.com/seed-1b600011/assay/machine"
)

// daemonProgram serves one disk. It must be a process of its own, and one that
// never opens or maps a file on its own disk: a page fault on such a file stops
// the thread until this very process answers, and a garbage collection waits
// for that thread (seen: a deadlock within seconds).
var daemonProgram = machine.Daemon("softdisk", serve)

const (
	// answerBound is how long a request may take. What hangs in the medium
	// longer is told as an error, and goes on.
	answerBound = 20 * time.Second
	// clientsMax is how many connections are served at once; more wait.
	clientsMax = 32
	// readyBound is how long a new disk waits for memory that is made ready
	// before it serves; what is still missing then comes while it does.
	readyBound = 2 * time.Second
)

// ready is what a daemon says once it serves.
type ready struct {
	PID  int    `json:"pid"`
	Path string `json:"path"`
}

// serve is the daemon's main; its argument is the disk's directory. It ends
// with ctx, with its keeper, or when it is told to, and leaves nothing behind
// but the directory.
func serve(ctx context.Context, args []string, _ io.Reader, stdout io.Writer) (err error) {
	if len(args) != 1 {
		return errors.New("soft: want the disk's directory")
	}
	c, err := readConfig(args[0])
	if err != nil {
		return fmt.Errorf("soft: %w", err)
	}
	// Half of the time its threads are in the kernel, which copies for them, and
	// as many others can serve meanwhile: a fifth more of sequential writes.
	runtime.GOMAXPROCS(2 * runtime.GOMAXPROCS(0))
	// In the memory cgroup of a writer whose pages wait for us we would wait
	// for each other. What is not allowed is told in the log and is no end.
	if _, err := machine.ResistPressure(); err != nil {
		fmt.Fprintln(os.Stderr, "soft:", err)
	}
	ledger, err := machine.OpenLedger(c.Ledger)
	if err != nil {
		return fmt.Errorf("soft: %w", err)
	}
	undo := func() error { return nil }
	if c.Detached { // otherwise the parent has entered it
		if undo, _, err = c.enter(ledger); err != nil {
			return errors.Join(err, ledger.Close())
		}
	}
	defer func() { err = errors.Join(err, undo(), ledger.Close()) }()
	return run(ctx, c, ledger, stdout)
}

func run(ctx context.Context, c config, ledger *machine.Ledger, stdout io.Writer) error {
	// The end of ctx is a close in good order first; only then does it reach
	// the keeper and those who wait for devices.
	rest, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	patience, giveUp := context.WithCancel(rest)
	defer giveUp()
	ctx, stop := context.WithCancel(ctx)
	defer stop()

	first, rebuilt, done, err := firstMedium(c)
	if err != nil {
		return fmt.Errorf("soft: disk %q: %w", c.Name, err)
	}
	s := &server{config: c, ledger: ledger, rebuilt: rebuilt, stop: stop, alone: make(chan struct{}, 1), patience: patience}
	if c.Detached {
		s.mounts = &mounts{ledger: ledger}
	}
	if s.keeper, err = startKeeper(rest, ledger, s.alive); err != nil {
		return errors.Join(err, done())
	}
	if err := s.begin(ctx, first); err != nil {
		giveUp()
		return errors.Join(err, s.keeper.end(), done())
	}
	select {
	case <-first.Ready():
	case <-time.After(readyBound):
	case <-ctx.Done():
	}
	err = s.talk(ctx, stdout)
	ending, cancel := context.WithTimeout(rest, answerBound)
	defer cancel()
	return errors.Join(err, s.close(ending, giveUp), s.keeper.end(), closeRecording(s.current().medium.Recorder()), done())
}

// talk says that the disk is ready and answers until ctx or the keeper ends.
func (s *server) talk(ctx context.Context, stdout io.Writer) error {
	l, err := listen(s.config.Dir)
	if err != nil {
		return fmt.Errorf("soft: %w", err)
	}
	b, err := json.Marshal(ready{PID: os.Getpid(), Path: s.current().path()})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	if _, err := stdout.Write(append(b, '\n')); err != nil {
		return errors.Join(fmt.Errorf("soft: say that the disk is ready: %w", err), l.Close())
	}
	go s.accept(ctx, l)
	select {
	case <-ctx.Done():
		return l.Close()
	case <-s.keeper.child.Done():
		return errors.Join(fmt.Errorf("soft: the keeper of disk %q has ended: its devices are gone", s.config.Name), s.keeper.child.Err(), l.Close())
	}
}

func (s *server) accept(ctx context.Context, l net.Listener) {
	clients := make(chan struct{}, clientsMax)
	for {
		clients <- struct{}{}
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(beatEvery / 10) // out of descriptors, perhaps; others may go
			<-clients
			continue
		}
		go func() {
			defer func() { c.Close(); <-clients }()
			stop := context.AfterFunc(ctx, func() { c.SetReadDeadline(time.Unix(1, 0)) })
			defer stop()
			s.converse(ctx, c)
		}()
	}
}

// converse answers the requests of one client until it goes, says what cannot
// be understood, or is silent for too long.
func (s *server) converse(ctx context.Context, c net.Conn) {
	in := bufio.NewReaderSize(c, lineMax)
	for {
		c.SetReadDeadline(time.Now().Add(answerBound))
		if ctx.Err() != nil {
			return
		}
		line, err := readLine(in)
		if err != nil && !errors.Is(err, errLong) {
			return
		}
		var a answer
		if err == nil {
			var r request
			if r, err = parseRequest(line); err == nil {
				a, err = s.bounded(ctx, r)
			}
		}
		broken := errors.Is(err, errLong)
		a.Version = protocol
		if err != nil {
			a.Error, a.Refused = err.Error(), IsRefused(err)
		}
		c.SetWriteDeadline(time.Now().Add(answerBound))
		if err := writeLine(c, a); err != nil || broken {
			return
		}
	}
}

// bounded does a request, and gives up waiting for it after answerBound.
func (s *server) bounded(ctx context.Context, r request) (answer, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerBound)
	type outcome struct {
		answer
		err error
	}
	c := make(chan outcome, 1)
	go func() {
		defer cancel()
		a, err := s.do(ctx, r)
		c <- outcome{a, err}
	}()
	select {
	case o := <-c:
		return o.answer, o.err
	case <-ctx.Done():
		select {
		case o := <-c: // it ended at the same moment
			return o.answer, o.err
		default:
			return answer{}, fmt.Errorf("soft: %s has not ended within %v and goes on", r.Op, answerBound)
		}
	}
}
