package soft

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/seed-1b600011/assay/flakey/soft/medium"
	"github.com/seed-1b600011/assay/machine"
	"golang.org/x/sys/unix"
)

// requestMax is the longest request, in KiB, that a loop device gets. One of
// it touches at most 256 pages, wherever in a page its memory begins, which is
// what fits into one FUSE request: so each request of the block layer is one
// of the medium, and a block is never torn on the way.
const requestMax = maxWrite/1024 - 4

// plug is a medium plugged in: served as a file of a FUSE connection of its
// own, with a loop device on it.
type plug struct {
	loop       *machine.Loop
	file       *file
	connection *connection
	medium     *medium.Medium // nil until it is inserted
}

// plugIn makes a device of that size without a medium. Requests on it wait for
// insert or remove.
func plugIn(ctx context.Context, k *keeping, ledger *machine.Ledger, c config) (*plug, error) {
	// losetup shows the name of the file. It is another one for each device:
	// mkfs.btrfs takes two with the same for one, and refuses the one where the
	// other is mounted, be it dead.
	p := &plug{file: newFile(c.Name+"-"+machine.Token()[:8], c.Size)}
	var err error
	if p.connection, err = connect(p.file); err != nil {
		return nil, fmt.Errorf("soft: %w", err)
	}
	// Whatever happens, the loop device has its own reference on the file:
	// ours would keep the connection beyond the device's end.
	defer p.connection.file.Close()
	// Attaching asks the file system a few things, which must not be waited for
	// in vain: the watch comes first.
	if err := k.watch(p.connection, p.file); err != nil {
		return nil, fmt.Errorf("soft: %w", err)
	}
	if p.loop, err = machine.Attach(ctx, ledger, p.connection.file, machine.LoopOptions{BlockSize: c.BlockSize, Name: c.Name}); err != nil {
		p.file.remove()
		return nil, fmt.Errorf("soft: %w", err)
	}
	err = limitRequests(p.loop.Path())
	if err == nil {
		err = k.hold(p.loop.Path())
	}
	if err != nil {
		p.file.remove()
		return nil, errors.Join(fmt.Errorf("soft: plug in %s: %w", p.loop.Path(), err), p.loop.Detach(ctx))
	}
	p.loop.Loose() // from here on the keeper holds it; see there why we must not
	return p, nil
}

// limitRequests sets the longest request. The kernel keeps it on a free loop
// device; to set it again would only wait 10 to 20 ms for the queue to be empty
// and known so by every CPU.
func limitRequests(device string) error {
	var st unix.Stat_t
	if err := unix.Stat(device, &st); err != nil {
		return &os.PathError{Op: "stat", Path: device, Err: err}
	}
	setting := fmt.Sprintf("/sys/dev/block/%d:%d/queue/max_sectors_kb", unix.Major(st.Rdev), unix.Minor(st.Rdev))
	if now, err := os.ReadFile(setting); err == nil && string(bytes.TrimSpace(now)) == strconv.Itoa(requestMax) {
		return nil
	}
	if err := os.WriteFile(setting, strconv.AppendInt(nil, requestMax, 10), 0); err != nil {
		return fmt.Errorf("limit requests: %w", err)
	}
	return nil
}

func (p *plug) path() string { return p.loop.Path() }

func (p *plug) insert(m *medium.Medium) {
	p.medium = m
	p.file.insert(m)
}

// pull ends the device: whatever is asked of it fails from now on, and it
// clears itself with its last user. A medium that was inserted is closed.
func (p *plug) pull(k *keeping) error {
	var errs []error
	if p.medium != nil {
		errs = append(errs, p.medium.Close())
	}
	p.file.remove()
	if err := errors.Join(append(errs, k.drop(p.path()))...); err != nil {
		return fmt.Errorf("soft: unplug %s: %w", p.path(), err)
	}
	return nil
}
