package machine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var (
	// service is ready with what it is, and serves until it is told to end.
	service = Daemon("test-service", func(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
		ledger, err := OpenLedger(args[0])
		if err != nil {
			return err
		}
		in, err := io.ReadAll(stdin)
		if err != nil {
			return err
		}
		dir, err := os.Getwd()
		if err != nil {
			return err
		}
		session, err := unix.Getsid(0)
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "a line of the log\n")
		if _, err := fmt.Fprintf(stdout, "%s %d %t\n", dir, len(in), session == os.Getpid()); err != nil {
			return errors.Join(err, ledger.Close())
		}
		if _, err := fmt.Fprintln(stdout, "nobody reads this"); err != nil {
			return err
		}
		<-ctx.Done()
		return ledger.Close()
	})
	mute = Daemon("test-mute", func(ctx context.Context, _ []string, _ io.Reader, _ io.Writer) error {
		<-ctx.Done()
		return nil
	})
	crashes = Daemon("test-crashes", func(context.Context, []string, io.Reader, io.Writer) error {
		os.Exit(7)
		return nil
	})
	// creator starts the service and ends at once.
	creator = Daemon("test-creator", func(ctx context.Context, args []string, _ io.Reader, stdout io.Writer) error {
		ledger, err := OpenLedger(args[0])
		if err != nil {
			return err
		}
		d, err := service.StartDetached(ctx, ledger, nil, args[0])
		if err != nil {
			return err
		}
		fmt.Fprintln(stdout, d.PID)
		return ledger.Close()
	})
)

func TestDetachedIsReadyAndEnds(t *testing.T) {
	l := newLab(t)
	log, err := os.Create(filepath.Join(l.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	d, err := service.StartDetached(boundedContext(t), l.ledger, log, l.ledger.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if d.Ready != "/ 0 true" {
		t.Errorf("it is ready with %q", d.Ready)
	}
	if left := l.ledger.Left(); len(left) > 0 {
		t.Errorf("the ledger has %v", left)
	}
	if err := syscall.Kill(d.PID, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	<-d.Done()
	if b, err := os.ReadFile(log.Name()); string(b) != "a line of the log\n" {
		t.Errorf("log: %q, %v", b, err)
	}
}

func TestDetachedThatIsNotReady(t *testing.T) {
	l := newLab(t)
	_, err := fails.StartDetached(boundedContext(t), l.ledger, nil)
	wantError(t, err, nil, "test-fails", "no luck today")
	_, err = crashes.StartDetached(boundedContext(t), l.ledger, nil)
	wantError(t, err, nil, "before it was ready")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = mute.StartDetached(ctx, l.ledger, nil)
	wantError(t, err, context.DeadlineExceeded, "not ready")
	if left := l.ledger.Left(); len(left) > 0 {
		t.Errorf("the ledger has %v", left)
	}
}

func TestDetachedOutlivesItsCreatorAndClean(t *testing.T) {
	l := newLab(t)
	c, err := creator.Start(boundedContext(t), l.ledger, l.ledger.Dir())
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscanln(bufio.NewReader(c.Stdout), &pid); err != nil {
		t.Fatal(err)
	}
	<-c.Done()
	if err := Clean(t.Context(), l.ledger.Dir(), Undoes(), func(c Cleaned) { t.Errorf("cleaned %v", c) }); err != nil || c.Err() != nil {
		t.Error(err, c.Err())
	}
	if err := syscall.Kill(pid, 0); err != nil {
		t.Errorf("it has gone: %v", err)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Error(err)
	}
}

// The creator is killed before the service is ready.
func TestCleanKillsADetachedThatNobodyHeardOf(t *testing.T) {
	l := newLab(t)
	c, err := forgetful.Start(boundedContext(t), l.ledger, l.ledger.Dir())
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscanln(bufio.NewReader(c.Stdout), &pid); err != nil {
		t.Fatal(err)
	}
	if err := c.Kill(); err != nil {
		t.Error(err)
	}
	l.clean(t)
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err == nil && strings.Contains(string(b), "test-mute") {
		t.Errorf("process %d lives: %q", pid, b)
	}
}

// forgetful starts a detached program that is never ready, and tells its pid
// as soon as it is there.
var forgetful = Daemon("test-forgetful", func(ctx context.Context, args []string, _ io.Reader, stdout io.Writer) error {
	ledger, err := OpenLedger(args[0])
	if err != nil {
		return err
	}
	go mute.StartDetached(ctx, ledger, nil)
	for {
		envs, _ := filepath.Glob("/proc/[0-9]*/stat")
		for _, e := range envs {
			cmd, _ := os.ReadFile(filepath.Dir(e) + "/cmdline")
			env, _ := os.ReadFile(filepath.Dir(e) + "/environ")
			if strings.HasPrefix(string(cmd), childPrefix+"test-mute"+detachedSuffix) && strings.Contains(string(env), os.Getenv(markEnv)) {
				fmt.Fprintln(stdout, filepath.Base(filepath.Dir(e)))
				select {}
			}
		}
		time.Sleep(time.Millisecond)
	}
})
