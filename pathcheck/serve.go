package pathcheck

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// The protocol of a daemon that has paths checked by a child: commands on
// standard input, events on standard output, log lines on standard error. One
// space separates the fields, a newline ends a line. docs/pathcheck.md has all
// of it in a table.
const (
	leastInterval = 1    // seconds
	mostInterval  = 3600 // seconds
	longestLine   = 4 << 20
)

// Service checks paths for a parent, or those of a file.
type Service struct {
	Check Check     // what is done to each path
	Debug bool      // log what is for developers
	Out   io.Writer // gets the events; nil: nobody does
	Log   io.Writer // gets the log; nil: nobody does
	// Watch gets every event too, from the checker's goroutine. It may be nil.
	Watch func(Event)

	out, logs *writer
	checker   atomic.Pointer[Checker]
}

// Serve follows the commands of in until it ends, or ctx does. It waits for no
// path. It returns ErrUnread if nobody reads Out, and may then leave a write to
// it behind.
func (s *Service) Serve(ctx context.Context, in io.Reader) error {
	return s.serve(ctx, func(c *Checker) error { return s.follow(c, in) })
}

// ServeAll checks these paths, spread over their intervals, until ctx ends.
func (s *Service) ServeAll(ctx context.Context, all []Entry) error {
	return s.serve(ctx, func(c *Checker) error {
		c.StartAll(all)
		<-ctx.Done()
		return nil
	})
}

// Flights are the checks that are with the kernel now.
func (s *Service) Flights() []Flight {
	if c := s.checker.Load(); c != nil {
		return c.Flights()
	}
	return nil
}

func (s *Service) serve(ctx context.Context, do func(*Checker) error) error {
	s.out, s.logs = newWriter(s.Out, false), newWriter(s.Log, true)
	err := s.checkFor(ctx, do)
	if err != nil {
		s.log("ERROR", "%v", err)
	}
	s.out.stop()
	_ = s.logs.flush(unreadFor / 4) // who reads no events may read no log
	return err
}

func (s *Service) checkFor(ctx context.Context, do func(*Checker) error) error {
	c, err := New(Options{Events: s.event, Log: s.logger("WARN")})
	if err != nil {
		return err
	}
	s.checker.Store(c)
	defer c.Close()
	ended := make(chan error, 1)
	go func() { ended <- do(c) }()
	select {
	case err := <-ended:
		c.Close()
		return errors.Join(err, s.out.flush(unreadFor))
	case <-s.out.stuck:
		return ErrUnread
	case err := <-s.out.failed:
		return fmt.Errorf("pathcheck: write events: %w", err)
	case <-ctx.Done():
		return nil
	}
}

func (s *Service) logger(level string) func(string, ...any) {
	return func(format string, a ...any) { s.log(level, format, a...) }
}

func (s *Service) log(level, format string, a ...any) {
	if level == "DEBUG" && !s.Debug {
		return
	}
	line := level + " " + strings.ReplaceAll(fmt.Sprintf(format, a...), "\n", " ") + "\n"
	s.logs.put(line)
}

// answer is an event as a line.
func (s *Service) answer(name, path string, err syscall.Errno, rest string) {
	s.out.put(name + " " + path + " " + strconv.Itoa(int(err)) + " " + rest + "\n")
}

// event writes an event as a line.
func (s *Service) event(e Event) {
	switch e.Kind {
	case Started:
		s.answer("start", e.Path, e.Err, describe(e.Err, "started"))
	case Stopped:
		s.answer("stop", e.Path, e.Err, describe(e.Err, "stopped"))
	case Checked:
		s.answer("check", e.Path, e.Err, describe(e.Err, strconv.FormatFloat(e.Delay.Seconds(), 'f', 6, 64)))
	case Missed:
		if e.Began.IsZero() {
			s.log("WARN", "%s: its check has not begun for %.1f s", e.Path, e.Delay.Seconds())
		} else {
			s.log("WARN", "%s: no answer for %.1f s", e.Path, e.Delay.Seconds())
		}
	}
	if s.Watch != nil {
		s.Watch(e)
	}
}

func describe(err syscall.Errno, well string) string {
	if err == 0 {
		return well
	}
	return err.Error()
}

// follow does the commands, one a line.
func (s *Service) follow(c *Checker, in io.Reader) error {
	r := bufio.NewReaderSize(in, 64<<10)
	for {
		line, err := readLine(r)
		if err == nil || len(line) > 0 {
			s.command(c, line)
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("pathcheck: read commands: %w", err)
		}
	}
}

// readLine gives a line without its end; of one that is too long, the beginning.
func readLine(r *bufio.Reader) (line []byte, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if room := longestLine - len(line); len(part) > room {
			part = part[:room]
		}
		line = append(line, part...)
		if err != bufio.ErrBufferFull {
			return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r")), err
		}
	}
}

func (s *Service) command(c *Checker, line []byte) {
	name, rest, _ := strings.Cut(string(line), " ")
	path, interval, more := strings.Cut(rest, " ")
	refuse := func(format string, a ...any) {
		s.log("DEBUG", "refused: "+format, a...)
		if name == "" {
			name = "-"
		}
		if path == "" || (name != "start" && name != "stop") {
			path = "-"
		}
		c.Do(func() { s.answer(name, path, unix.EINVAL, unix.EINVAL.Error()) })
	}
	switch {
	case name != "start" && name != "stop":
		refuse("no command %.40q", name)
	case path == "":
		refuse("%s without a path", name)
	case name == "stop" && more:
		refuse("stop with more than a path")
	case name == "stop":
		c.Stop(path)
	default:
		every, err := parseInterval(interval)
		if err != nil {
			refuse("%v", err)
			return
		}
		c.Start(path, every, s.Check)
	}
}
