package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/machine"
	"golang.org/x/sys/unix"
)

// processIs is the state of a process, proc_pid_stat(5); 0: there is none.
func processIs(pid int) byte {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	return b[strings.LastIndexByte(string(b), ')')+2]
}

// eventually waits for what happens by itself.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(guard); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestWhatWasAnsweredIsHeard kills the child in the middle of a write: each
// block whose answer was heard is in the file, there is no answer twice, and
// what had none is said to have none.
func TestWhatWasAnsweredIsHeard(t *testing.T) {
	for _, frozen := range []bool{false, true} {
		l := newLab(t)
		f := l.open("a", Create|Write)
		const blocks, block = 200_000, 512
		var heard atomic.Int64
		asked, half := make(chan error, 1), make(chan struct{})
		go func() {
			asked <- f.Write(l.ctx, tag(1, 1), 0, blocks*block, block, func(a Answer) {
				if a.Errno != 0 || int64(a.Index) != heard.Load() {
					t.Errorf("answer %d is %+v", heard.Load(), a)
				}
				if heard.Add(1) == 100 {
					close(half)
				}
				time.Sleep(time.Microsecond) // the pipe fills, and is full when the child is killed
			})
		}()
		<-half
		if frozen {
			if err := l.w.Freeze(); err != nil {
				t.Error(err)
			}
		}
		if err := l.w.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := l.w.Intact(); err != nil {
			t.Errorf("killed by its parent it says %v", err)
		}
		n := heard.Load()
		if err := <-asked; !errors.Is(err, ErrEnded) {
			t.Errorf("asked: %v", err)
		}
		if n >= blocks || heard.Load() != n {
			t.Errorf("%d blocks were answered, %d after Kill", n, heard.Load()-n)
		}
		st, err := os.Stat(l.path("a"))
		if err != nil || st.Size() < n*block || st.Size() == blocks*block {
			t.Errorf("%d blocks were answered, and the file has %d bytes (%v)", n, st.Size(), err)
		}
		if err := f.Fsync(l.ctx, func(Answer) { t.Error("an answer of the dead") }); !errors.Is(err, ErrEnded) {
			t.Errorf("a request to a child that has ended: %v", err)
		}
		if _, _, err := l.w.Walk(l.ctx, ""); !errors.Is(err, ErrEnded) {
			t.Errorf("a walk of a child that has ended: %v", err)
		}
		if err := errors.Join(l.w.Kill(), l.w.Stop(l.ctx)); err != nil {
			t.Errorf("again: %v", err)
		}
		if err := l.w.Freeze(); !errors.Is(err, ErrEnded) {
			t.Errorf("freeze a child that has ended: %v", err)
		}
		select {
		case <-l.w.Ended():
		default:
			t.Error("it is not said to have ended")
		}
	}
}

// TestFreezeAndThaw: a frozen child does nothing, and loses nothing that it was
// asked for meanwhile.
func TestFreezeAndThaw(t *testing.T) {
	l := newLab(t)
	f := l.open("a", Create|Write)
	if err := l.w.Freeze(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the child to stop", func() bool { return processIs(l.w.child.PID()) == 'T' })
	done := make(chan error, 1)
	go func() { done <- f.Write(l.ctx, tag(1, 1), 0, 1000, 1000, func(Answer) {}) }()
	select {
	case err := <-done:
		t.Fatal("a frozen child has answered", err)
	case <-time.After(100 * time.Millisecond):
	}
	if st, err := os.Stat(l.path("a")); err != nil || st.Size() != 0 {
		t.Errorf("a frozen child has written: %v, %v", st, err)
	}
	if err := l.w.Thaw(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	l.reads("a", tag(1, 1), 1000, exact(tag(1, 1), 0, 1000))
}

// TestAnswersAfterItsCaller: who does not wait any more hears the answer all
// the same, and the child goes on.
func TestAnswersAfterItsCaller(t *testing.T) {
	l := newLab(t)
	f := l.open("a", Create|Write)
	if err := l.w.Freeze(); err != nil {
		t.Fatal(err)
	}
	gaveUp := errors.New("gave up")
	ctx, cancel := context.WithCancelCause(l.ctx)
	heard := make(chan Answer, 1)
	done := make(chan error, 1)
	go func() { done <- f.Write(ctx, tag(1, 1), 0, 1000, 1000, func(a Answer) { heard <- a }) }()
	time.Sleep(20 * time.Millisecond)
	cancel(gaveUp)
	if err := <-done; !errors.Is(err, gaveUp) {
		t.Errorf("it says %v, not the cause", err)
	}
	if err := l.w.Thaw(); err != nil {
		t.Fatal(err)
	}
	if a := <-heard; a.Errno != 0 || a.Bytes != 1000 {
		t.Errorf("%+v", a)
	}
	l.reads("a", tag(1, 1), 1000, exact(tag(1, 1), 0, 1000))
}

// TestTheChildHeedsItsContext: the child ends when the context of Start does.
func TestTheChildHeedsItsContext(t *testing.T) {
	l := emptyLab(t)
	ctx, cancel := context.WithCancel(l.ctx)
	w, err := Start(ctx, l.ledger, l.dir)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	<-w.Ended()
	<-w.child.Done()
}

func TestStartSaysWhy(t *testing.T) {
	l := emptyLab(t)
	file := l.path("file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{l.path("none"), file, ""} {
		w, err := Start(l.ctx, l.ledger, dir)
		if err == nil {
			t.Errorf("%q: it has started", dir)
			err = w.Kill()
		}
		if !errors.Is(err, ErrEnded) || !strings.Contains(err.Error(), "open "+dir) {
			t.Errorf("%q: %v", dir, err)
		}
	}
	ctx, cancel := context.WithCancel(l.ctx)
	cancel()
	if w, err := Start(ctx, l.ledger, l.dir); err == nil {
		t.Errorf("a context that has ended: %v", w.Kill())
	}
}

// owner starts a child for the directory in args[1] with the ledger in args[0],
// begins an endless write there, tells the child's pid, and waits to be killed.
var owner = machine.Daemon("worker-test-owner", func(ctx context.Context, args []string, _ io.Reader, stdout io.Writer) error {
	ledger, err := machine.OpenLedger(args[0])
	if err != nil {
		return err
	}
	w, err := Start(context.Background(), ledger, args[1])
	if err != nil {
		return err
	}
	f, err := w.Open(ctx, "a", Create|Write, func(Answer) {})
	if err != nil {
		return err
	}
	begun := make(chan struct{}, 1)
	go func() {
		for i := uint32(1); ; i++ {
			if f.Write(ctx, tag(1, i), 0, 1<<20, 4096, func(Answer) {
				select {
				case begun <- struct{}{}:
				default:
				}
			}) != nil {
				return
			}
		}
	}()
	<-begun
	if args[2] == "frozen" {
		if err := w.Freeze(); err != nil {
			return err
		}
	}
	fmt.Fprintln(stdout, w.child.PID())
	select {}
})

// TestTheChildEndsWithItsParent kills the parent by SIGKILL in the middle of a
// write. A child that is stopped cannot see that; Clean ends it.
func TestTheChildEndsWithItsParent(t *testing.T) {
	for _, state := range []string{"writing", "frozen"} {
		t.Run(state, func(t *testing.T) {
			l := emptyLab(t)
			own := t.TempDir()
			p, err := owner.Start(l.ctx, l.ledger, own, l.dir, state)
			if err != nil {
				t.Fatal(err)
			}
			var pid int
			if _, err := fmt.Fscan(bufio.NewReader(p.Stdout), &pid); err != nil {
				t.Fatal(err, p.Err())
			}
			clean := func() {
				if err := machine.Clean(context.Background(), own, machine.Undoes(), func(machine.Cleaned) {}); err != nil {
					t.Error(err)
				}
			}
			defer clean()
			if s := processIs(pid); s == 0 || s == 'Z' {
				t.Fatalf("process %d is %c", pid, s)
			}
			if err := p.Kill(); err != nil {
				t.Fatal(err)
			}
			if state == "frozen" {
				clean()
			}
			eventually(t, "the child to end", func() bool { s := processIs(pid); return s == 0 || s == 'Z' })
		})
	}
}

// TestKilledFromOutside: a child that somebody else kills is told of.
func TestKilledFromOutside(t *testing.T) {
	l := newLab(t)
	if err := unix.Kill(l.w.child.PID(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-l.w.Ended()
	if err := l.w.SyncFS(l.ctx, func(Answer) {}); !errors.Is(err, ErrEnded) {
		t.Error(err)
	}
}

// TestTheLastAnswers: one that was given right before the end is none that is
// missing, though whoever asked sees both at once.
func TestTheLastAnswers(t *testing.T) {
	for range 200 {
		r, w := io.Pipe()
		p := &Worker{child: &machine.Child{Stdout: r}, out: newPipe(io.Discard), ended: make(chan struct{}), calls: map[uint64]*call{}}
		asked, heard := make(chan error, 1), make(chan struct{})
		p.out.mu.Lock() // holds up who asks, before it waits
		go func() { asked <- p.one(t.Context(), request{op: opFsync}, func(Answer) { close(heard) }) }()
		eventually(t, "the request", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return len(p.calls) > 0 })
		go p.listen()
		w.Write(appendAnswer(nil, 1, Answer{}))
		w.Close()
		<-heard
		p.out.mu.Unlock()
		if err := <-asked; err != nil {
			t.Fatal(err)
		}
	}
}

// TestAnswersThatNobodyAskedFor: a child that says what makes no sense is not
// listened to any more, and nobody waits for it.
func TestAnswersThatNobodyAskedFor(t *testing.T) {
	for what, said := range map[string][]byte{
		"an answer to nothing": appendAnswer(nil, 99, Answer{}),
		"no frame":             {3, 0, 0, 0, 0xff, 0xff, 0xff},
		"a frame of 4 GiB":     {0xff, 0xff, 0xff, 0xff},
		"half a frame":         {9, 0, 0, 0, 1},
	} {
		r, w := io.Pipe()
		p := &Worker{child: &machine.Child{Stdout: r}, out: newPipe(io.Discard), ended: make(chan struct{}), calls: map[uint64]*call{}}
		go p.listen()
		asked := make(chan error, 1)
		go func() { asked <- p.one(t.Context(), request{op: opFsync}, func(Answer) { t.Error("heard") }) }()
		go func() {
			w.Write(said)
			w.Close()
		}()
		if err := <-asked; !errors.Is(err, ErrEnded) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestIntact: a child that somebody else has killed or stopped says so.
func TestIntact(t *testing.T) {
	for signal, wants := range map[unix.Signal]string{unix.SIGKILL: "was killed (signal 9", unix.SIGSTOP: "is stopped", 0: ""} {
		l := newLab(t)
		if err := unix.Kill(l.w.child.PID(), signal); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(Bound); ; time.Sleep(time.Millisecond) {
			err := l.w.Intact()
			if (err == nil) == (wants == "") && (err == nil || strings.Contains(err.Error(), wants)) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("after the signal %d it says %v", signal, err)
			}
		}
	}
}
