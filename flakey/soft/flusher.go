package soft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/seed-1b600011/assay/machine"
	"golang.org/x/sys/unix"
)

// A missing sync hides on a machine with much memory: pages that nobody asks
// for stay in the page cache for 30 seconds (vm.dirty_expire_centisecs), so a
// power cut before that finds the file system as the last sync has left it:
// old, and sound. On a busy machine the kernel's flusher writes those pages at
// any time and in any order. Flush stands in for it: it starts the write-back
// of whatever is dirty (sync_file_range(2), SYNC_FILE_RANGE_WRITE), and never
// asks for a flush of the disk's cache, so that it makes nothing durable that
// would not be.

// flushProgram runs Flush away from the caller: on a disk that hangs it hangs.
var flushProgram = machine.Daemon("softdisk-flusher", func(ctx context.Context, args []string, _ io.Reader, _ io.Writer) error {
	if len(args) != 2 {
		return errors.New("soft: want a directory and a time")
	}
	every, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return err
	}
	return Flush(ctx, args[0], time.Duration(every))
})

// Flusher is a child process that runs Flush.
type Flusher struct{ child *machine.Child }

// StartFlusher starts write-back of the files below dir every so often, until
// ctx ends or Stop. every is 1 ms or more; 0 is 5 ms.
func StartFlusher(ctx context.Context, ledger *machine.Ledger, dir string, every time.Duration) (*Flusher, error) {
	if every == 0 {
		every = 5 * time.Millisecond
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("soft: flusher: %w", err)
	}
	child, err := flushProgram.Start(ctx, ledger, dir, strconv.FormatInt(int64(every), 10))
	if err != nil {
		return nil, fmt.Errorf("soft: flusher of %s: %w", dir, err)
	}
	return &Flusher{child}, nil
}

// Stop ends the flusher, by SIGKILL if need be.
func (f *Flusher) Stop(ctx context.Context) error { return f.child.Stop(ctx) }

// Intact returns an error if the flusher has ended or was stopped, and not by
// Stop: write-back has then been left to the kernel.
func (f *Flusher) Intact() error {
	if err := f.child.Intact(); err != nil {
		return fmt.Errorf("the flusher, which starts write-back: %w", err)
	}
	return nil
}

// Done is closed when the flusher has ended.
func (f *Flusher) Done() <-chan struct{} { return f.child.Done() }

// Flush starts write-back of every regular file below dir, on the file system
// of dir, every so often until ctx ends; that is no error. What it cannot open
// or start (files come and go, and the disk may be broken) it leaves to the
// next round. It is an error that dir is none.
func Flush(ctx context.Context, dir string, every time.Duration) error {
	if every < time.Millisecond {
		return fmt.Errorf("soft: flusher of %s: every %v: want 1ms or more", dir, every)
	}
	var top unix.Stat_t
	if err := unix.Stat(dir, &top); err != nil {
		return fmt.Errorf("soft: flusher: %w", &os.PathError{Op: "stat", Path: dir, Err: err})
	}
	if top.Mode&unix.S_IFMT != unix.S_IFDIR {
		return fmt.Errorf("soft: flusher: %s is no directory", dir)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			flushOnce(ctx, dir, top.Dev)
		}
	}
}

func flushOnce(ctx context.Context, dir string, device uint64) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return nil // it has gone, or cannot be read: the next round sees
		}
		var st unix.Stat_t
		switch {
		case d.Type().IsRegular():
			startWriteBack(path)
		case d.IsDir() && (unix.Lstat(path, &st) != nil || st.Dev != device):
			return fs.SkipDir // another file system is mounted there
		}
		return nil
	})
}

func startWriteBack(path string) {
	// Not O_RDWR: that would change what a test sees, down to ETXTBSY.
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOATIME|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	_ = unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE)
}
