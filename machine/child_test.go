package machine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The children of these tests run in the test binary itself.
var (
	echo = Daemon("test-echo", func(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
		fmt.Fprintln(stdout, strings.Join(args, ","))
		_, err := io.Copy(stdout, stdin)
		return err
	})
	fails = Daemon("test-fails", func(context.Context, []string, io.Reader, io.Writer) error {
		return errors.New("no luck today")
	})
	stubborn = Daemon("test-stubborn", func(_ context.Context, _ []string, _ io.Reader, stdout io.Writer) error {
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT, syscall.SIGPIPE)
		fmt.Fprintln(stdout, os.Getpid())
		for {
			time.Sleep(time.Hour)
		}
	})
	// orphans starts a program in a session of its own, which holds the pipe of
	// standard output, tells its pid and is killed as by that program.
	orphans = Daemon("test-orphans", func(context.Context, []string, io.Reader, io.Writer) error {
		cmd := exec.Command("sh", "-c", "trap '' TERM HUP; echo $$; exec sleep 1000")
		cmd.Stdout, cmd.SysProcAttr = os.Stdout, &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			return err
		}
		return syscall.Kill(os.Getpid(), syscall.SIGKILL)
	})
	// parent starts a stubborn child of its own under the ledger in args[0],
	// tells its pid, and waits to be killed.
	parent = Daemon("test-parent", func(ctx context.Context, args []string, _ io.Reader, stdout io.Writer) error {
		ledger, err := OpenLedger(args[0])
		if err != nil {
			return err
		}
		if _, err := ledger.Intend("directory", args[1]); err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Join(args[1], "deep"), 0o700); err != nil {
			return err
		}
		c, err := stubborn.Start(context.Background(), ledger)
		if err != nil {
			return err
		}
		line, err := bufio.NewReader(c.Stdout).ReadString('\n')
		if err != nil {
			return err
		}
		fmt.Fprint(stdout, line)
		select {}
	})
)

func openLedger(t *testing.T) *Ledger {
	t.Helper()
	l, err := OpenLedger(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestChildSpeaksAndEnds(t *testing.T) {
	l := openLedger(t)
	c, err := echo.Start(t.Context(), l, "a", "b c")
	if err != nil {
		t.Fatal(err)
	}
	if left := l.Left(); len(left) != 1 || left[0].Kind != "process" {
		t.Errorf("the ledger has %v while the child lives", left)
	}
	fmt.Fprint(c.Stdin, "hello\n")
	c.Stdin.Close()
	b, err := io.ReadAll(c.Stdout)
	if string(b) != "a,b c\nhello\n" || err != nil {
		t.Errorf("read %q, %v", b, err)
	}
	<-c.Done()
	if c.Err() != nil {
		t.Error(c.Err())
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(l.Dir(), "ledgers", "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestChildTellsWhyItFailed(t *testing.T) {
	l := openLedger(t)
	c, err := fails.Start(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if c.Err() == nil || !strings.Contains(c.Err().Error(), "no luck today") {
		t.Errorf("got %v", c.Err())
	}
}

func TestStubbornChildIsKilled(t *testing.T) {
	l := openLedger(t)
	ctx, cancel := context.WithCancel(t.Context())
	c, err := stubborn.Start(ctx, l)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(c.Stdout).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-c.Done()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestFamilyEnds: what a child leaves behind when it is killed ends with it, and
// is in the ledger until then.
func TestFamilyEnds(t *testing.T) {
	l := openLedger(t)
	c, err := orphans.StartFamily(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c.Stdout) // it ends when all have that hold it
	if err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if pid, err := strconv.Atoi(strings.TrimSpace(string(b))); err == nil {
		if s := processState(pid); strings.HasPrefix(s, "state") && !strings.HasPrefix(s, "state Z") {
			t.Errorf("process %d is left: %s", pid, s)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestCleanAfterSIGKILL kills a parent with SIGKILL, in the state in which a
// run may be: a child that ignores every signal it can, and a directory.
func TestCleanAfterSIGKILL(t *testing.T) {
	dir, thing := t.TempDir(), filepath.Join(t.TempDir(), "thing")
	l := openLedger(t)
	p, err := parent.Start(t.Context(), l, dir, thing)
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(p.Stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err, p.Err())
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}

	// While the owner lives, its ledger is not touched.
	if err := Clean(t.Context(), dir, Undoes(), func(c Cleaned) { t.Errorf("cleaned %v of a living owner", c) }); err != nil {
		t.Error(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	var cleaned []string
	if err := Clean(t.Context(), dir, Undoes(), func(c Cleaned) { cleaned = append(cleaned, c.Entry.Kind) }); err != nil {
		t.Error(err)
	}
	if fmt.Sprint(cleaned) != "[process directory]" {
		t.Errorf("cleaned %v, want the newest first", cleaned)
	}
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil && !strings.Contains(string(b), ") Z") {
		t.Errorf("process %d lives: %s", pid, b)
	}
	if _, err := os.Stat(thing); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is there: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "ledgers", "*")); len(left) > 0 {
		t.Errorf("ledgers are left: %v", left)
	}
}

// TestChildEndsWithItsParent: the life pipe ends a child that does not read
// its standard input, whatever killed the parent.
func TestChildEndsWithItsParent(t *testing.T) {
	dir := t.TempDir()
	l := openLedger(t)
	p, err := parent.Start(t.Context(), l, dir, filepath.Join(dir, "thing"))
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(p.Stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(line))
	p.Kill()
	for ; processState(pid)[0] == 's' && !strings.HasPrefix(processState(pid), "state Z"); time.Sleep(50 * time.Millisecond) {
		if t.Context().Err() != nil {
			t.Fatalf("process %d outlives its parent: %s", pid, processState(pid))
		}
	}
}
