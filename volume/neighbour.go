package volume

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/seed-1b600011/assay/machine"
	"golang.org/x/sys/unix"
)

// neighbourEvery is how often the neighbour syncs.
const neighbourEvery = 50 * time.Millisecond

// neighbourProgram changes a file of its own, beside those of the tests, and makes
// it durable again and again until ctx ends. What the file system refuses it (it
// is full, broken or read-only) it tries again: only the tests' own operations are
// in the history, and nothing that the neighbour does takes a promise back.
var neighbourProgram = machine.Daemon("volume-neighbour", func(ctx context.Context, args []string, _ io.Reader, _ io.Writer) error {
	if len(args) != 2 {
		return errors.New("volume: want a directory and a way to sync")
	}
	sync := unix.Fsync
	if args[1] == "syncfs" {
		sync = unix.Syncfs
	}
	tick := time.NewTicker(neighbourEvery)
	defer tick.Stop()
	for n := byte(0); ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			_ = touchAndSync(filepath.Join(args[0], "neighbour"), n, sync)
		}
	}
})

// touchAndSync changes a byte of the file. It does not stay open, as it would hold
// the file system.
func touchAndSync(path string, b byte, sync func(fd int) error) error {
	fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, err := unix.Pwrite(fd, []byte{b}, 0); err != nil {
		return err
	}
	return sync(fd)
}

// startNeighbour starts it on the file system that is mounted at dir.
func startNeighbour(ctx context.Context, ledger *machine.Ledger, dir, how string) (*machine.Child, error) {
	child, err := neighbourProgram.Start(ctx, ledger, dir, how)
	if err != nil {
		return nil, fmt.Errorf("the neighbour on %s: %w", dir, err)
	}
	return child, nil
}
