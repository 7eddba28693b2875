package pathcheck

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain makes this binary the program too, for tests of whole processes.
func TestMain(m *testing.M) {
	if list := os.Getenv("PATHCHECK_TEST_LOAD"); list != "" {
		if err := load(list); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Getenv("PATHCHECK_TEST_SERVE") == "" {
		os.Exit(m.Run())
	}
	s := Service{Debug: true, Out: os.Stdout, Log: os.Stderr}
	if check := os.Getenv("PATHCHECK_TEST_SERVE"); check != "read" {
		s.Check, _ = ParseCheck(check)
	}
	if err := s.Serve(context.Background(), os.Stdin); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

// bound is how long a test waits for what happens by itself.
const bound = 5 * time.Minute

// process is the program as a daemon starts it.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string // of standard output; closed at its end

	mu   sync.Mutex
	logs []string
}

func start(t *testing.T, check string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(os.Args[0]), lines: make(chan string, 1<<16)}
	p.cmd.Env = append(os.Environ(), "PATHCHECK_TEST_SERVE="+check)
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	logs, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var read sync.WaitGroup
	read.Go(func() {
		defer close(p.lines)
		for r := bufio.NewReaderSize(out, 1<<20); ; {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			p.lines <- strings.TrimSuffix(line, "\n")
		}
	})
	read.Go(func() {
		for s := bufio.NewScanner(logs); s.Scan(); {
			p.mu.Lock()
			p.logs = append(p.logs, s.Text())
			p.mu.Unlock()
		}
	})
	t.Cleanup(func() { // a path that hangs must not keep the test
		p.in.Close()
		p.cmd.Process.Kill()
		p.cmd.Wait()
	})
	return p
}

func (p *process) tell(lines ...string) {
	p.t.Helper()
	for _, line := range lines {
		if _, err := io.WriteString(p.in, line+"\n"); err != nil {
			p.t.Fatal(err)
		}
	}
}

// next is the next event.
func (p *process) next() string {
	p.t.Helper()
	select {
	case line, more := <-p.lines:
		if !more {
			p.t.Fatalf("the program has ended; its log:\n%s", strings.Join(p.log(), "\n"))
		}
		return line
	case <-time.After(bound):
		p.t.Fatal("there is no event")
		return ""
	}
}

// await gives the first event that begins so, and drops those before.
func (p *process) await(prefix string) string {
	p.t.Helper()
	for {
		if line := p.next(); strings.HasPrefix(line, prefix) {
			return line
		}
	}
}

func (p *process) log() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.logs...)
}

// awaitLog waits for a line of the log.
func (p *process) awaitLog(part string) {
	p.t.Helper()
	eventually(p.t, "the log line "+part, func() bool { return strings.Contains(strings.Join(p.log(), "\n"), part) })
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(bound); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// end closes standard input and gives the exit status.
func (p *process) end() int {
	p.t.Helper()
	p.in.Close()
	return p.wait()
}

func (p *process) wait() int {
	p.t.Helper()
	ended := make(chan struct{})
	go func() { p.cmd.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(bound):
		p.t.Fatal("the program has not ended")
	}
	return p.cmd.ProcessState.ExitCode()
}

// hung is a path whose open waits until release.
type hung struct{ path string }

func newHung(t *testing.T) hung {
	t.Helper()
	h := hung{filepath.Join(t.TempDir(), "fifo")}
	if err := unix.Mkfifo(h.path, 0o600); err != nil {
		t.Fatal(err)
	}
	return h
}

// release lets those go that wait for a writer: they then read from a pipe
// without data, which has ended.
func (h hung) release(t *testing.T) {
	t.Helper()
	fd, err := unix.Open(h.path, unix.O_WRONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
}

// file is a file that can be read with O_DIRECT.
func file(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(".", "testdata-") // a temporary directory may be on a tmpfs without O_DIRECT
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path, err := filepath.Abs(filepath.Join(dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, make([]byte, 8192), 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECT, 0)
	if err == unix.EINVAL {
		t.Skip("the file system of the checkout has no O_DIRECT")
	} else if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	return path
}

func errnoText(e syscall.Errno) string { return fmt.Sprintf("%d %s", int(e), e.Error()) }
