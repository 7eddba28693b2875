package worker

import (
	"errors"
	"runtime/debug"

	"github.com/seed-1b600011/assay/content"
	"golang.org/x/sys/unix"
)

// mapWrite writes through a shared mapping of the whole file.
func (f *openFile) mapWrite(t content.Tag, from, to int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.mapTo(to); err != nil {
		return err
	}
	if fill(f.mapped[from:to], t, from) {
		return nil
	}
	// The signal does not say why there is no page. If space is all that is
	// lacking, asking for space says so.
	_, err := retry(func() (int, error) { return 0, f.allocate(from, to) })
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return err
	}
	return unix.EIO
}

// mapTo maps the file, unless so much of it is mapped already.
func (f *openFile) mapTo(size int64) error {
	if int64(len(f.mapped)) >= size {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return err
	}
	if st.Size < size {
		return unix.ENXIO // the parent sets the size first
	}
	if f.mapped != nil {
		if err := unix.Munmap(f.mapped); err != nil {
			return err
		}
		f.mapped = nil
	}
	mapped, err := unix.Mmap(f.fd, 0, int(st.Size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	f.mapped = mapped
	return nil
}

// fill fills memory that a file system may not be able to give: that is a
// signal (SIGBUS, mmap(2)), which Go makes a panic.
func fill(p []byte, t content.Tag, off int64) (done bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() { done = recover() == nil }()
	content.Fill(p, t, off)
	return true
}

// msync syncs what was written through the mapping. Before that there is none,
// and what was done to the file was done through its descriptor.
func (f *openFile) msync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.mapped) == 0 {
		return unix.Fsync(f.fd)
	}
	return unix.Msync(f.mapped, unix.MS_SYNC)
}
