package machine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func needFuse(t *testing.T) {
	t.Helper()
	needLoop(t)
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skipf("needs FUSE: %v", err)
	}
}

// deadServer holds a FUSE connection that it never serves, tells its number,
// and waits on it itself, so that it is in the kernel until the connection is
// aborted. Then it tells why its request failed.
var deadServer = Daemon("test-dead-server", func(_ context.Context, _ []string, _ io.Reader, stdout io.Writer) error {
	dev, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	m, err := newMount("dead", "fuse", mountOptions{values: [][2]string{
		{"fd", fmt.Sprint(dev)}, {"rootmode", "40000"}, {"user_id", "0"}, {"group_id", "0"}}})
	if err != nil {
		return err
	}
	n, err := FuseConnectionOf(m)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, n, m.Fd())
	_, err = os.Stat(fmt.Sprintf("/proc/self/fd/%d/file", m.Fd()))
	_, err = fmt.Fprintln(stdout, errors.Is(err, unix.ENOTCONN) || errors.Is(err, unix.ECONNABORTED))
	return err
})

// hung starts a dead server and gives its connection, on which it waits.
func hung(t *testing.T, l *lab, c *FuseControl) (conn *FuseConnection, out *bufio.Reader, root string) {
	t.Helper()
	child, err := deadServer.Start(boundedContext(t), l.ledger)
	if err != nil {
		t.Fatal(err)
	}
	out = bufio.NewReader(child.Stdout)
	var n uint32
	var fd int
	if _, err := fmt.Fscanln(out, &n, &fd); err != nil {
		t.Fatalf("%v, %v", err, child.Kill())
	}
	conn, err = c.Open(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(conn.Abort(), conn.Close()); err != nil {
			t.Error(err)
		}
		<-child.Done()
	})
	return conn, out, fmt.Sprintf("/proc/%d/fd/%d", child.PID(), fd)
}

// awaitWaiting returns once a request waits: the server tells its number a
// moment before it makes one.
func awaitWaiting(t *testing.T, c *FuseConnection) {
	t.Helper()
	for ctx := boundedContext(t); ctx.Err() == nil; time.Sleep(time.Millisecond) {
		if n, err := c.Waiting(); err != nil {
			t.Fatal(err)
		} else if n > 0 {
			return
		}
	}
	t.Fatal("no request waits")
}

func openControl(t *testing.T) *FuseControl {
	t.Helper()
	c, err := OpenFuseControl()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestAbortEndsAHungConnection(t *testing.T) {
	needFuse(t)
	l := newLab(t)
	control := openControl(t)
	conn, out, _ := hung(t, l, control)
	if all, err := control.Connections(); err != nil || !slices.Contains(all, conn.number) {
		t.Errorf("%v has no %d, %v", all, conn.number, err)
	}
	awaitWaiting(t, conn)
	if err := conn.Abort(); err != nil {
		t.Error(err)
	}
	if line, err := out.ReadString('\n'); line != "true\n" || err != nil {
		t.Errorf("the request failed as it should: %q, %v", line, err)
	}
	if n, err := conn.Waiting(); n != 0 || err != nil {
		t.Errorf("%d wait on a connection that has ended, %v", n, err)
	}
	if err := conn.Abort(); err != nil {
		t.Errorf("abort of one that has ended: %v", err)
	}
	_, err := control.Open(1 << 30)
	wantError(t, err, unix.ENOENT, "1073741824")
}

// The second lookup in the directory waits in the kernel so that not even
// SIGKILL ends it: Mount comes back all the same, and the child ends later.
func TestMountThatHangsIsGivenUp(t *testing.T) {
	needFuse(t)
	l := newLab(t)
	_, _, root := hung(t, l, openControl(t))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := Mount(ctx, l.ledger, "none", root+"/dir", "tmpfs", "")
	wantError(t, err, context.DeadlineExceeded, "does not answer")
}

// Who holds a device is found although somebody has a file open on a FUSE that
// answers nothing: only what is known without asking it is looked at.
func TestHoldersBesideAHungConnection(t *testing.T) {
	needFuse(t)
	l := newLab(t)
	hung(t, l, openControl(t))
	d := l.loop(t, l.file(t, "disk", 1<<20), LoopOptions{})
	user, err := os.Open(d.Path())
	if err != nil {
		t.Fatal(err)
	}
	all, err := Holders(boundedContext(t), d.Path())
	if err != nil || !slices.ContainsFunc(all, func(h Holder) bool { return h.PID == os.Getpid() }) {
		t.Errorf("%v, %v", all, err)
	}
	user.Close()
	detach(t, d)
}
