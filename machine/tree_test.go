package machine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// shepherd adopts what its descendants leave behind, runs the shell command in
// args[0], says that it has begun, and waits. With args[1] it ends its
// descendants itself when its standard input does.
var shepherd = Daemon("test-shepherd", func(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	if err := AdoptOrphans(); err != nil {
		return err
	}
	cmd := exec.Command("sh", "-c", args[0])
	cmd.Stdout = os.Stdout
	if err := cmd.Start(); err != nil {
		return err
	}
	if len(args) == 1 {
		for { // until it is killed
			_, _ = AwaitAll(cmd)
			time.Sleep(time.Millisecond)
		}
	}
	if _, err := io.Copy(io.Discard, stdin); err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	return KillDescendants(bounded)
})

// forkers are commands that try to get away, each in its way. All of them print
// "begun", keep their standard output open, and end by themselves some day.
var forkers = map[string]string{
	"a session of its own":  `setsid sleep 300 & echo begun; wait`,
	"forked twice":          `(setsid sh -c 'sleep 300 & exit' &) ; echo begun; sleep 300`,
	"its parent has ended":  `(sleep 300 &); echo begun`,
	"without a environment": `env -i setsid sleep 300 & echo begun; wait`,
	"deep":                  `sh -c "sh -c 'setsid sh -c \"sleep 300; exit\"; exit'; exit" & echo begun; wait`,
	"ignores every signal":  `trap '' HUP INT QUIT TERM PIPE; echo begun; for i in 1 2 3 4 5 6 7 8 9; do sleep 30; done`,
	"stopped":               `sleep 300 & kill -STOP $!; echo begun; kill -STOP $$; exit`,
	"forks and ends":        `exec perl -e '$| = 1; print "begun\n"; for (1..100000) { exit if fork }'`,
	"forks and stays":       `exec perl -e '$| = 1; print "begun\n"; for (1..3000) { fork or do { sleep 300; exit } } sleep 300'`,
	"forks in new sessions": `exec perl -MPOSIX -e '$| = 1; print "begun\n"; for (1..100000) { exit if fork; POSIX::setsid() }'`,
}

func needPerl(t *testing.T, command string) {
	t.Helper()
	if strings.Contains(command, "perl") {
		if _, err := exec.LookPath("perl"); err != nil {
			t.Skip("perl is not installed (Debian package perl-base)")
		}
	}
}

// TestKillTree ends a child with all that it has started. The pipe that all of
// them have open tells when the last is gone.
func TestKillTree(t *testing.T) {
	for name, command := range forkers {
		t.Run(name, func(t *testing.T) {
			needPerl(t, command)
			l := newLab(t)
			beside := sleepIn(t, l.dir)
			other, out := l.shepherd(t, `sleep 300 & echo begun; wait`)
			for range rounds(2, 30) {
				c, out := l.shepherd(t, command)
				time.Sleep(10 * time.Millisecond)
				if err := c.KillTree(boundedContext(t)); err != nil {
					t.Fatal(err)
				}
				select {
				case <-c.Done():
				default:
					t.Error("the child itself has not ended")
				}
				awaitEOF(t, out)
				if err := c.KillTree(t.Context()); err != nil {
					t.Errorf("again: %v", err)
				}
			}
			if err := beside.Process.Signal(syscall.Signal(0)); err != nil {
				t.Errorf("a process beside them: %v", err)
			}
			if other.Err() != nil || !strings.HasPrefix(processState(other.PID()), "state S") {
				t.Errorf("another child: %v, %s", other.Err(), processState(other.PID()))
			}
			if err := other.KillTree(boundedContext(t)); err != nil {
				t.Error(err)
			}
			awaitEOF(t, out)
		})
	}
}

// TestKillDescendants is the same of who kills all that is below itself, and lives.
func TestKillDescendants(t *testing.T) {
	for name, command := range forkers {
		t.Run(name, func(t *testing.T) {
			needPerl(t, command)
			l := newLab(t)
			c, out := l.shepherd(t, command, "itself")
			c.Stdin.Close()
			awaitEOF(t, out)
			<-c.Done()
			if c.Err() != nil {
				t.Error(c.Err())
			}
		})
	}
}

// shepherd starts one and waits until its command has begun.
func (l *lab) shepherd(t *testing.T, args ...string) (*Child, *bufio.Reader) {
	t.Helper()
	c, err := shepherd.Start(context.WithoutCancel(t.Context()), l.ledger, args...)
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(c.Stdout)
	if line, err := out.ReadString('\n'); line != "begun\n" {
		t.Fatalf("%q, %v, %v", line, err, c.Kill())
	}
	return c, out
}

// awaitEOF waits until nobody has the other end open any more.
func awaitEOF(t *testing.T, r io.Reader) {
	t.Helper()
	ended := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, r)
		ended <- err
	}()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(bound):
		t.Fatal("something of it still has its output open")
	}
}

// TestKillTreeGivesUp: with its context over it says how many are left.
func TestKillTreeGivesUp(t *testing.T) {
	l := newLab(t)
	c, out := l.shepherd(t, `sleep 300 & echo begun; wait`)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("no time")
	cancel(why)
	// The first look kills; whether it also sees the end is a race.
	if err := c.KillTree(ctx); err != nil && !errors.Is(err, why) {
		t.Error(err)
	}
	if err := c.KillTree(boundedContext(t)); err != nil {
		t.Error(err)
	}
	awaitEOF(t, out)
}

// TestProcessNamesCannotLie: a name may hold anything, also what looks like the
// rest of the line in /proc.
func TestProcessNamesCannotLie(t *testing.T) {
	l := newLab(t)
	odd := l.dir + "/x) R 1 ("
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(sleep, odd); err != nil {
		t.Fatal(err)
	}
	c, out := l.shepherd(t, fmt.Sprintf(`"%s" 300 & echo begun; wait`, odd))
	if err := c.KillTree(boundedContext(t)); err != nil {
		t.Fatal(err)
	}
	awaitEOF(t, out)
}

// TestSignalTree stops and continues all that a child has started, in whatever
// session: while it is stopped nothing is printed.
func TestSignalTree(t *testing.T) {
	l := newLab(t)
	c, out := l.shepherd(t, `print() { while :; do echo $1; done; }; echo begun; (setsid sh -c 'while :; do echo away; done' &); print here & print there`)
	lines := make(chan string)
	go func() {
		defer close(lines)
		for {
			line, err := out.ReadString('\n')
			if err != nil {
				return
			}
			lines <- line
		}
	}()
	all := func(why string) { // what is printed now, by each of them
		t.Helper()
		left, late := map[string]bool{"here\n": true, "there\n": true, "away\n": true}, time.After(bound)
		for len(left) > 0 {
			select {
			case line := <-lines:
				delete(left, line)
			case <-late:
				t.Fatalf("%s: nothing from %v", why, left)
			}
		}
	}
	for range 3 {
		all("they run")
		c.SignalTree(syscall.SIGSTOP)
		late := time.After(bound)
		for quiet := false; !quiet; { // what was in the pipe
			select {
			case <-lines:
				select {
				case <-late:
					t.Fatal("something goes on")
				default:
				}
			case <-time.After(200 * time.Millisecond):
				quiet = true
			}
		}
		c.SignalTree(syscall.SIGCONT)
	}
	all("at last")
	c.SignalTree(syscall.SIGSTOP)
	if err := c.KillTree(boundedContext(t)); err != nil {
		t.Error(err)
	}
	for range lines { // until it is closed: nobody holds the pipe
	}
	c.SignalTree(syscall.SIGSTOP) // nobody is there
}

// TestOrphansAreBuried: a command that leaves children behind all the time does
// not fill the machine with zombies.
func TestOrphansAreBuried(t *testing.T) {
	l := newLab(t)
	c, out := l.shepherd(t, `echo begun; i=0; while [ $i -lt 300 ]; do (true & true &); i=$((i+1)); done; echo done; sleep 300`)
	if line, err := out.ReadString('\n'); line != "done\n" {
		t.Fatal(line, err)
	}
	// Those of the last moment may not have ended, or not be buried yet.
	var zombies int
	for end := time.Now().Add(bound); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		look, err := lookBelow(c.PID())
		if err != nil {
			t.Fatal(err)
		}
		if zombies = len(look.zombies); zombies == 0 {
			break
		}
	}
	if zombies > 0 {
		t.Errorf("%d zombies", zombies)
	}
	if err := c.KillTree(boundedContext(t)); err != nil {
		t.Error(err)
	}
}

// TestWithoutItsFirstThread: a process whose first thread has ended looks like a
// zombie, and lives.
func TestWithoutItsFirstThread(t *testing.T) {
	l := newLab(t)
	source := l.dir + "/program.c"
	if err := os.WriteFile(source, []byte(`
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static void *rest(void *p) { usleep(100000); puts("begun"); fflush(stdout); sleep(300); return p; }
int main(void) { pthread_t t; pthread_create(&t, 0, rest, 0); pthread_exit(0); }
`), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("gcc", "-pthread", "-o", l.dir+"/program", source).CombinedOutput(); err != nil {
		t.Skipf("no C compiler (Debian packages gcc, libc6-dev): %v: %s", err, out)
	}
	c, out := l.shepherd(t, "exec "+l.dir+"/program")
	if err := c.KillTree(boundedContext(t)); err != nil {
		t.Fatal(err)
	}
	awaitEOF(t, out)
}
