package pressure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/seed-1b600011/assay/content"
	"golang.org/x/sys/unix"
)

const (
	block   = 1 << 20   // of one write
	depth   = 4         // writes at the same time
	chunk   = 256 << 20 // that is allocated at once
	sector  = 4096      // to which direct writes are aligned, on any disk
	maxFile = 1 << 30
)

// blocks is a file that is being filled.
type blocks struct {
	f      *os.File
	dir    folder
	name   string
	direct bool
	tag    content.Tag
}

// openBlocks opens a file for direct writes, where the file system has them, or
// makes it.
func openBlocks(dir folder, name string, create bool, tag content.Tag) (*blocks, error) {
	flags := os.O_WRONLY
	if create {
		flags |= os.O_CREATE | os.O_EXCL
	}
	f, err := dir.file(name, flags|unix.O_DIRECT, 0o644)
	if errors.Is(err, unix.EINVAL) {
		// Where the file system has no direct writes, it may have made the file all the same.
		f, err = dir.file(name, flags&^os.O_EXCL, 0o644)
		return &blocks{f, dir, name, false, tag}, err
	}
	return &blocks{f, dir, name, true, tag}, err
}

// write fills the file from one offset to another and syncs it. wrote is told
// of every part that is there. On an error the file ends where it is filled.
func (b *blocks) write(ctx context.Context, from, to int64, wrote func(bytes int64)) error {
	buffers, err := newBuffers()
	if err != nil {
		return err
	}
	defer buffers.close()
	grain := int64(chunk)
	for from < to && err == nil {
		end := min(down(from, chunk)+chunk, down(from, sector)+grain, to)
		if from%sector != 0 {
			end = min(up(from, sector), to) // the rest of a sector that is there in part
		}
		if err = b.allocate(from, end); err == nil {
			err = b.fill(ctx, buffers, from, end)
		}
		if err == nil {
			wrote(end - from)
			from = end
		} else if full(err) && end-from > sector {
			// Not so much any more: the rest bit by bit.
			grain, err = up((end-from)/2, sector), b.f.Truncate(from)
		}
	}
	if err != nil {
		err = errors.Join(err, b.f.Truncate(from)) // what was allocated or written beyond is not held
	}
	if synced := b.f.Sync(); synced != nil {
		err = errors.Join(err, fmt.Errorf("sync %s: %w", b.f.Name(), synced))
	}
	return err
}

func full(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// allocate gets the blocks, so that writes are no longer ordered by the growth
// of the file, and a full disk is told before it is written to.
func (b *blocks) allocate(from, to int64) error {
	for {
		err := unix.Fallocate(int(b.f.Fd()), 0, from, to-from)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
			return nil // the writes will get them
		case err != nil:
			return fmt.Errorf("allocate %d bytes of %s: %w", to-from, b.f.Name(), err)
		default:
			return nil
		}
	}
}

// fill writes one chunk, several blocks at once: while one is with the disk,
// the next is made.
func (b *blocks) fill(ctx context.Context, buffers *buffers, from, to int64) error {
	var next atomic.Int64
	next.Store(from)
	var wg sync.WaitGroup
	errs := make([]error, depth)
	for i := range depth {
		wg.Go(func() {
			for errs[i] == nil {
				at := next.Add(block) - block
				if at >= to {
					return
				}
				if errs[i] = context.Cause(ctx); errs[i] == nil {
					errs[i] = b.put(buffers.of(i), at, min(at+block, to))
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// put writes one block. A part that is no whole sector goes through the page
// cache, as direct writes cannot have it.
func (b *blocks) put(buffer []byte, from, to int64) error {
	data := buffer[:to-from]
	content.Fill(data, b.tag, from)
	whole := len(data)
	if b.direct {
		whole = int(down(int64(len(data)), sector))
	}
	if whole > 0 {
		if _, err := b.f.WriteAt(data[:whole], from); err != nil {
			return err
		}
	}
	if whole == len(data) {
		return nil
	}
	return b.buffered(data[whole:], from+int64(whole))
}

func (b *blocks) buffered(data []byte, at int64) error {
	f, err := b.dir.file(b.name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, at)
	return errors.Join(err, f.Close())
}

// buffers are aligned to pages, as direct I/O wants them.
type buffers struct{ memory unsafe.Pointer }

func newBuffers() (*buffers, error) {
	p, err := unix.MmapPtr(-1, 0, nil, depth*block, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("pressure: buffers: %w", err)
	}
	return &buffers{p}, nil
}

func (b *buffers) of(i int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(b.memory, i*block)), block)
}

func (b *buffers) close() { _ = unix.MunmapPtr(b.memory, depth*block) }
