package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/seed-1b600011/assay/content"
	"github.com/seed-1b600011/assay/machine"
)

// ErrEnded says that the child has ended without an answer.
var ErrEnded = errors.New("worker: the process that touches the files has ended")

// Worker is the parent's side of a child. Its methods may be called by several
// goroutines at once.
type Worker struct {
	child *machine.Child
	out   *pipe
	ended chan struct{} // closed when every answer that the child has given was heard

	mu    sync.Mutex
	last  uint64 // request
	file  uint64 // handle
	calls map[uint64]*call
	wrong error // what it said that is no answer
}

// call is a request under way.
type call struct {
	hear func(Answer) // in the order in which they come, in the goroutine that reads
	left int          // answers to come; under the worker's lock
	done chan struct{}
}

// Bound is how long a child may take until it answers first, and whatever else
// takes well under a second on a machine that is not stuck.
const Bound = 20 * time.Second

// Start starts a child for the files below root, a directory that is there.
// It ends with this process, or when ctx does.
func Start(ctx context.Context, ledger *machine.Ledger, root string) (*Worker, error) {
	child, err := program.Start(ctx, ledger, root)
	if err != nil {
		return nil, err
	}
	w := &Worker{child: child, out: newPipe(child.Stdin), ended: make(chan struct{}), calls: map[uint64]*call{}}
	ready := make(chan struct{})
	w.calls[0] = &call{hear: func(Answer) {}, left: 1, done: ready}
	go w.out.run()
	go w.listen()
	bound := time.NewTimer(Bound)
	defer bound.Stop()
	select {
	case <-ready:
		return w, nil
	case <-w.ended:
		return nil, errors.Join(ErrEnded, child.Stop(ctx), child.Err())
	case <-bound.C:
		return nil, errors.Join(fmt.Errorf("worker: %s does not answer", root), child.Kill())
	case <-ctx.Done():
		return nil, errors.Join(context.Cause(ctx), child.Kill())
	}
}

func (w *Worker) listen() {
	defer close(w.ended)
	defer w.out.close()
	in := bufio.NewReaderSize(w.child.Stdout, 256<<10)
	var buf []byte
	for {
		var err error
		if buf, err = readFrame(in, buf); err != nil {
			return
		}
		id, a, err := parseAnswer(buf)
		w.mu.Lock()
		c := w.calls[id]
		if err == nil && c == nil {
			err = fmt.Errorf("worker: an answer to request %d, which was not asked", id)
		}
		w.wrong = err
		w.mu.Unlock()
		if err != nil {
			return
		}
		c.hear(a)
		w.mu.Lock()
		c.left--
		if c.left == 0 {
			delete(w.calls, id)
			close(c.done)
		}
		w.mu.Unlock()
	}
}

// ask sends a request that will get so many answers. hear is called for each,
// also when ctx has ended meanwhile; it must not wait for anything.
func (w *Worker) ask(ctx context.Context, r request, answers int, hear func(Answer)) error {
	c := &call{hear: hear, left: answers, done: make(chan struct{})}
	w.mu.Lock()
	w.last++
	r.id = w.last
	w.calls[r.id] = c
	w.mu.Unlock()
	w.out.put(r.append)
	select {
	case <-c.done:
		return nil
	case <-w.ended:
		select {
		case <-c.done: // its answers were among the last
			return nil
		default:
			return ErrEnded
		}
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// one asks for what gets a single answer.
func (w *Worker) one(ctx context.Context, r request, hear func(Answer)) error {
	return w.ask(ctx, r, 1, hear)
}

// Freeze stops the child: it does nothing more, but what the kernel does for it
// goes on. Thaw lets it go on. One that has ended is an error.
func (w *Worker) Freeze() error { return orEnded(w.child.Freeze()) }

// Thaw undoes Freeze.
func (w *Worker) Thaw() error { return orEnded(w.child.Thaw()) }

func orEnded(err error) error {
	if errors.Is(err, os.ErrProcessDone) {
		return ErrEnded
	}
	return err
}

// Intact returns an error if the child has ended, was killed or stopped, and not
// by this Worker, or has said what is no answer.
func (w *Worker) Intact() error {
	w.mu.Lock()
	wrong := w.wrong
	w.mu.Unlock()
	return errors.Join(w.child.Intact(), wrong)
}

// Ended is closed when the child has ended and everything that it had answered
// was heard.
func (w *Worker) Ended() <-chan struct{} { return w.ended }

// Kill ends the child by SIGKILL and waits until what it had answered was
// heard. One that hangs in the kernel, and so does not end, is left to it; the
// error says so.
func (w *Worker) Kill() error {
	err := w.child.Kill()
	if err != nil {
		return err
	}
	<-w.ended
	return nil
}

// Stop lets the child end, and makes sure of it.
func (w *Worker) Stop(ctx context.Context) error {
	w.out.close()
	return w.child.Stop(ctx)
}

// Read is what a file holds.
type Read struct {
	Size  int64
	Spans []content.Span // those of a file in more than 262144 pieces end before its size
}

// Part is what a file should be made of from the end of the part before (or
// from 0) to the byte To: the first of the tags, or one of the others.
type Part struct {
	To   int64
	Tags []content.Tag
}

// Read reads the file at path and classifies its bytes; want is what they
// should be, also what else they may be.
func (w *Worker) Read(ctx context.Context, path string, want content.Tag, also ...content.Tag) (r Read, errno syscall.Errno, err error) {
	return w.ReadParts(ctx, path, 0, []Part{{content.MaxSize, append([]content.Tag{want}, also...)}})
}

// ReadParts is Read where the file should be made of several things that do not
// meet at the borders of sectors: content alone would not tell where one of
// less than content.MinPiece bytes begins. What is behind the last part is
// compared with what that should be. With the flag Direct it is read around the
// page cache, which writes back first what is dirty there.
func (w *Worker) ReadParts(ctx context.Context, path string, flags int, parts []Part) (r Read, errno syscall.Errno, err error) {
	var a Answer
	err = w.one(ctx, request{op: opRead, path: path, flags: int64(flags), parts: parts}, func(got Answer) { a = got })
	if err != nil {
		return Read{}, 0, err
	}
	if a.Errno != 0 {
		return Read{Size: a.Bytes}, a.Errno, nil
	}
	spans, err := parseSpans(a.Data)
	return Read{a.Bytes, spans}, 0, err
}

// Walk lists everything below dir, each directory before what is in it.
func (w *Worker) Walk(ctx context.Context, dir string) (all []Entry, errno syscall.Errno, err error) {
	var a Answer
	if err := w.one(ctx, request{op: opWalk, path: dir}, func(got Answer) { a = got }); err != nil {
		return nil, 0, err
	}
	if a.Errno != 0 {
		return nil, a.Errno, nil
	}
	all, err = parseEntries(a.Data)
	return all, 0, err
}

// Sectors are the runs of sectors of 512 bytes of its device that a file has
// data in.
func (w *Worker) Sectors(ctx context.Context, path string) (all []Run, errno syscall.Errno, err error) {
	var a Answer
	if err := w.one(ctx, request{op: opSectors, path: path}, func(got Answer) { a = got }); err != nil {
		return nil, 0, err
	}
	if a.Errno != 0 {
		return nil, a.Errno, nil
	}
	all, err = parseRuns(a.Data)
	return all, 0, err
}

// RemoveAll removes a directory and all that is in it.
func (w *Worker) RemoveAll(ctx context.Context, path string, hear func(Answer)) error {
	return w.one(ctx, request{op: opRemoveAll, path: path}, hear)
}
