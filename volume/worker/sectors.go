package worker

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Run is [From, To) of a device, in sectors of 512 bytes.
type Run struct{ From, To uint64 }

// The ioctl FS_IOC_FIEMAP and its structures, from linux/fiemap.h (kernel:
// filesystems/fiemap.rst).
const (
	fiemapIoctl   = 0xc020660b
	fiemapSync    = 1         // write back first, so that delayed allocation is done
	fiemapLast    = 1         // the last extent of the file
	fiemapNowhere = 2 | 4 | 8 // unknown, delayed, encoded: no place on the device
	fiemapInside  = 0x200     // the data lie within metadata
	fiemapExtents = 256       // asked for at once
	sectorSize    = 512
)

type fiemapExtent struct {
	logical, physical, length uint64
	_                         [2]uint64
	flags                     uint32
	_                         [3]uint32
}

type fiemap struct {
	start, length                  uint64
	flags, mapped, count, reserved uint32
	extents                        [fiemapExtents]fiemapExtent
}

// sectors asks the file system where a file lies.
func (s *served) sectors(r request) Answer {
	fd, err := s.below(r.path, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return of(err)
	}
	defer unix.Close(fd)
	var b []byte
	for at := uint64(0); ; {
		m := fiemap{start: at, length: ^uint64(0) - at, flags: fiemapSync, count: fiemapExtents}
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), fiemapIoctl, uintptr(unsafe.Pointer(&m))); errno != 0 {
			return Answer{Errno: errno}
		}
		for _, e := range m.extents[:m.mapped] {
			if e.flags&(fiemapNowhere|fiemapInside) == 0 {
				b = Run{e.physical / sectorSize, (e.physical + e.length) / sectorSize}.append(b)
			}
			at = e.logical + e.length
			if e.flags&fiemapLast != 0 {
				return Answer{Data: b}
			}
		}
		if m.mapped == 0 {
			return Answer{Data: b}
		}
	}
}

func (r Run) append(b []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, r.From), r.To)
}

func parseRuns(b []byte) ([]Run, error) {
	d := reader{b: b}
	var all []Run
	for len(d.b) > 0 && !d.bad {
		all = append(all, Run{d.uvarint(), d.uvarint()})
	}
	if d.bad {
		return nil, errFrame
	}
	return all, nil
}
