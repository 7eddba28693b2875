package pathcheck

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A thread that hangs for ever holds its memory for ever, and there are
// thousands: so what most requests need lies densely, and only the thread that
// gets a long path touches a page of its own.
const (
	dense  = 256                            // bytes of a request that lie beside those of the other threads
	sparse = (headSize + maxPath + 63) &^ 7 // of memory for a longer one
)

// inboxes is where the threads of a helper take requests to.
type inboxes struct{ dense, sparse []byte }

func newInboxes(n int) (all inboxes, err error) {
	const private = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS | unix.MAP_NORESERVE
	if all.dense, err = unix.Mmap(-1, 0, n*dense, unix.PROT_READ|unix.PROT_WRITE, private); err != nil {
		return all, err
	}
	all.sparse, err = unix.Mmap(-1, 0, n*sparse, unix.PROT_READ|unix.PROT_WRITE, private)
	return all, err
}

func (all inboxes) of(i int) *inbox {
	in := &inbox{dense: all.dense[i*dense : (i+1)*dense], sparse: all.sparse[i*sparse : (i+1)*sparse]}
	in.vectors[0].Base, in.vectors[1].Base = &in.dense[0], &in.sparse[dense]
	in.vectors[0].SetLen(dense)
	in.vectors[1].SetLen(sparse - dense)
	return in
}

type inbox struct {
	dense, sparse []byte
	vectors       [2]unix.Iovec // dense, and sparse after the room for what is in dense
}

// read takes the next request, which is valid until the one after it.
func (in *inbox) read(fd int) ([]byte, syscall.Errno) {
	n, _, errno := syscall.Syscall(unix.SYS_READV, uintptr(fd), uintptr(unsafe.Pointer(&in.vectors[0])), uintptr(len(in.vectors)))
	if errno != 0 {
		return nil, errno
	}
	if n <= dense {
		return in.dense[:n], 0
	}
	copy(in.sparse, in.dense)
	return in.sparse[:n], 0
}
