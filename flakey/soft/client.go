package soft

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/machine"
)

// callBound is how long a client waits for an answer; the daemon itself gives
// up a little earlier, and says on what.
const callBound = answerBound + 5*time.Second

// Disk is a soft disk, as its clients see it: one that this process has opened
// (Driver.Open, Driver.Create) or found (Driver.Find). It is a flakey.Disk.
type Disk struct {
	name, dir string
	child     *machine.Child // its daemon; nil if that is detached
	pid       int            // of the daemon
	undo      func() error   // of what this process entered into its ledger; nil: nothing

	mu     sync.Mutex
	path   string
	record string // where the next power cut begins a recording
	closed bool
	broken error // the first that Intact gave
}

var _ flakey.Disk = (*Disk)(nil)

// Name is the name under which the disk was made.
func (d *Disk) Name() string { return d.name }

// Path is the block device that is plugged in, as this client last heard.
func (d *Disk) Path() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.path
}

// Set makes these the faults that are on. See flakey.Disk.
func (d *Disk) Set(ctx context.Context, faults ...flakey.Fault) error {
	_, err := d.call(ctx, request{Op: opSet, Faults: faults})
	return err
}

// Add puts these faults on, beside those that are. Counts (flakey.Selector)
// begin anew for all.
func (d *Disk) Add(ctx context.Context, faults ...flakey.Fault) error {
	_, err := d.call(ctx, request{Op: opAdd, Faults: faults})
	return err
}

// PowerCut ends the disk and plugs in a new one with what survived. A cut
// beside an error has happened, but not all that was to follow.
func (d *Disk) PowerCut(ctx context.Context, k flakey.Keep) (flakey.Cut, error) {
	d.mu.Lock()
	record := d.record
	d.record = ""
	d.mu.Unlock()
	a, err := d.call(ctx, request{Op: opCut, Keep: k, Record: record})
	if a.Cut == nil {
		return flakey.Cut{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.path = a.Cut.Path
	return *a.Cut, err
}

// RecordNext makes the next power cut of this client end the recording and begin
// another, in a new file, with what survived: so that each round of a long run
// has one of its own.
func (d *Disk) RecordNext(path string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.record = path
}

// Clone plugs in a copy-on-write copy of what a reader sees now, as a device
// of its own, without faults. drop unplugs it; the end of the disk does too.
func (d *Disk) Clone(ctx context.Context) (path string, drop func(context.Context) error, err error) {
	a, err := d.call(ctx, request{Op: opClone})
	if err != nil {
		return "", nil, err
	}
	return a.Path, d.dropOf(a.Path), nil
}

func (d *Disk) dropOf(path string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := d.call(ctx, request{Op: opDrop, Path: path})
		return err
	}
}

// Stats is what the disk has done. An error beside it says why it cannot be
// believed any more.
func (d *Disk) Stats(ctx context.Context) (flakey.Stats, error) {
	a, err := d.call(ctx, request{Op: opStats})
	if a.Stats == nil {
		return flakey.Stats{}, err
	}
	return *a.Stats, err
}

// Status is what there is of the disk.
func (d *Disk) Status(ctx context.Context) (Status, error) {
	a, err := d.call(ctx, request{Op: opStatus})
	if err != nil {
		return Status{}, err
	}
	if a.Status == nil {
		return Status{}, fmt.Errorf("soft: disk %q: an answer without a status", d.name)
	}
	return *a.Status, nil
}

// Mark writes a mark into the recording; without one it does nothing.
func (d *Disk) Mark(ctx context.Context, text string) error {
	_, err := d.call(ctx, request{Op: opMark, Text: text})
	return err
}

// Mount mounts a disk that was made by Create. Its daemon keeps the mount in
// its ledger, makes it again after each power cut, and ends it with the disk.
func (d *Disk) Mount(ctx context.Context, m Mount) error {
	_, err := d.call(ctx, request{Op: opMount, Mount: &m})
	return err
}

// Unmount undoes Mount; an empty dir undoes all.
func (d *Disk) Unmount(ctx context.Context, dir string) error {
	_, err := d.call(ctx, request{Op: opUnmount, Path: dir})
	return err
}

// Close unplugs the disk and ends its daemon, whatever state that is in: it is
// asked first, and killed if it does not heed. A device that is still mounted
// fails every request and goes with the mount. The second Close does nothing.
func (d *Disk) Close(ctx context.Context) error {
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	d.mu.Unlock()
	if d.child == nil {
		return d.endDetached(ctx)
	}
	var errs []error
	switch {
	case d.child.Ended():
		errs = append(errs, fmt.Errorf("soft: the daemon of disk %q had ended", d.name), d.child.Err())
	case state(d.pid) == 'T': // it would heed when the keeper has lost patience with it
		errs = append(errs, fmt.Errorf("soft: the daemon of disk %q was stopped, and was killed", d.name), d.child.Kill())
	default:
		_, _ = d.call(ctx, request{Op: opClose}) // one that cannot be asked is killed
		errs = append(errs, d.await(ctx))
	}
	return errors.Join(append(errs, d.undo())...)
}

// await waits for the daemon's orderly end, and then makes sure of it.
func (d *Disk) await(ctx context.Context) error {
	t := time.NewTimer(letGo + 3*time.Second)
	defer t.Stop()
	select {
	case <-d.child.Done():
		return d.child.Err()
	case <-t.C:
	case <-ctx.Done():
	}
	return errors.Join(fmt.Errorf("soft: the daemon of disk %q did not end by itself and was killed", d.name), d.child.Kill())
}

// endDetached asks the daemon to end and waits until its directory is gone,
// the last thing that it removes.
func (d *Disk) endDetached(ctx context.Context) error {
	if _, err := d.call(ctx, request{Op: opClose}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, callBound)
	defer cancel()
	for exists(d.dir) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("soft: the daemon of disk %q does not end: %w", d.name, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// call asks the daemon and waits for its answer, no longer than callBound. It
// connects anew each time (some 50 µs): so no answer can be taken for that to
// another request.
func (d *Disk) call(ctx context.Context, r request) (answer, error) {
	a, err := d.exchange(ctx, r)
	if err != nil {
		return answer{}, fmt.Errorf("soft: %s disk %q: %w", r.Op, d.name, err)
	}
	if a.Error != "" {
		err := fmt.Errorf("soft: %s disk %q: %s", r.Op, d.name, a.Error)
		if a.Refused {
			err = refusal{err}
		}
		return a, err
	}
	return a, nil
}

func (d *Disk) exchange(ctx context.Context, r request) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callBound)
	defer cancel()
	c, err := dial(ctx, d.dir)
	if err != nil {
		return answer{}, d.whyGone(err)
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	r.Version = protocol
	if err := writeLine(c, r); err != nil {
		return answer{}, wrapEnd(ctx, d.whyGone(err))
	}
	line, err := readLine(bufio.NewReaderSize(c, lineMax))
	if err != nil {
		return answer{}, wrapEnd(ctx, d.whyGone(err))
	}
	var a answer
	if err := json.Unmarshal(line, &a); err != nil {
		return answer{}, fmt.Errorf("its answer: %w", err)
	}
	if a.Version != protocol {
		return answer{}, fmt.Errorf("its daemon speaks version %d, this assay %d: use the assay that made it", a.Version, protocol)
	}
	return a, nil
}

// whyGone adds how the daemon ended, if it did.
func (d *Disk) whyGone(err error) error {
	var op *net.OpError
	if d.child == nil {
		if errors.As(err, &op) {
			return fmt.Errorf("its daemon is gone (assay clean removes what it left): %w", err)
		}
		return err
	}
	select {
	case <-d.child.Done():
		return errors.Join(fmt.Errorf("its daemon has ended: %w", err), d.child.Err())
	default:
		return err
	}
}

func wrapEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("no answer in time: %w", context.Cause(ctx))
	}
	return err
}
