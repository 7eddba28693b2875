package soft

import (
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// blocks is what a file is made of: a medium. Its methods are called by many
// threads at once.
type blocks interface {
	ReadAt(p []byte, off int64) syscall.Errno
	WriteAt(p []byte, off int64) syscall.Errno
	Flush() syscall.Errno
	Discard(off, n int64) syscall.Errno
	Zero(off, n int64) syscall.Errno
}

// file is a FUSE file system of one file, the back of a loop device. The file
// may be opened before there is anything behind it: requests then wait until
// insert or remove. So whatever can fail about a new device (descriptors, loop
// devices, memory) fails before a power cut ends the old one.
type file struct {
	fuse.RawFileSystem
	name string
	size int64

	inserted chan struct{} // closed by insert and remove
	once     sync.Once
	medium   blocks // valid once inserted is closed; nil: removed

	answered atomic.Int64 // requests that were for the medium
	holds    atomic.Bool  // the medium may let requests wait for long, because it was told to
}

const (
	rootNode = 1
	fileNode = 2

	// For ever, as nothing but a power cut changes an attribute and that
	// makes another file.
	attributesValid = 1 << 40 // seconds
)

func newFile(name string, size int64) *file {
	return &file{RawFileSystem: fuse.NewDefaultRawFileSystem(), name: name, size: size, inserted: make(chan struct{})}
}

// insert puts a medium behind the file, once.
func (f *file) insert(m blocks) {
	f.once.Do(func() { f.medium = m; close(f.inserted) })
}

// remove lets all requests fail that wait for a medium. It does nothing after insert.
func (f *file) remove() { f.insert(nil) }

// beat is the sign of life of the connection that serves f, for its watch.
func (f *file) beat(watch int) beat {
	b := beat{Watch: watch, Answered: f.answered.Load(), Held: true}
	select {
	case <-f.inserted:
		b.Held = f.holds.Load()
	default:
	}
	return b
}

// with does a request on the medium.
func (f *file) with(node uint64, off, n uint64, do func(blocks) syscall.Errno) fuse.Status {
	if node != fileNode || off > uint64(f.size) || n > uint64(f.size)-off {
		return fuse.EINVAL
	}
	<-f.inserted
	defer f.answered.Add(1)
	if f.medium == nil {
		return fuse.EIO
	}
	return fuse.Status(do(f.medium))
}

func (f *file) attributes(node uint64, a *fuse.Attr) fuse.Status {
	switch node {
	case rootNode:
		*a = fuse.Attr{Ino: rootNode, Mode: syscall.S_IFDIR | 0o700, Nlink: 2}
	case fileNode:
		*a = fuse.Attr{Ino: fileNode, Mode: syscall.S_IFREG | 0o600, Nlink: 1,
			Size: uint64(f.size), Blocks: uint64(f.size) / 512, Blksize: 4096}
	default:
		return fuse.ENOENT
	}
	return fuse.OK
}

func (f *file) String() string { return "assay" }

func (f *file) Lookup(_ <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	if h.NodeId != rootNode || name != f.name {
		return fuse.ENOENT
	}
	out.NodeId = fileNode
	out.SetAttrTimeout(attributesValid)
	return f.attributes(fileNode, &out.Attr)
}

func (f *file) GetAttr(_ <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	out.SetTimeout(attributesValid)
	return f.attributes(in.NodeId, &out.Attr)
}

// SetAttr takes and ignores a new time of change; it is all that the kernel asks.
func (f *file) SetAttr(_ <-chan struct{}, in *fuse.SetAttrIn, out *fuse.AttrOut) fuse.Status {
	if in.Valid&fuse.FATTR_SIZE != 0 {
		return fuse.EPERM
	}
	return f.attributes(in.NodeId, &out.Attr)
}

// Open keeps the page cache away from the file, which would hide what the
// medium does to reads, and lets writes come side by side.
func (f *file) Open(_ <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if in.NodeId != fileNode {
		return fuse.EINVAL
	}
	out.OpenFlags = fuse.FOPEN_DIRECT_IO | fuse.FOPEN_PARALLEL_DIRECT_WRITES | fuse.FOPEN_NOFLUSH
	return fuse.OK
}

// StatFs gives the granularity of discards, which the loop device takes from here.
func (f *file) StatFs(_ <-chan struct{}, _ *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	out.Bsize, out.Frsize, out.NameLen = 4096, 4096, 255
	out.Blocks = uint64(f.size) / 4096
	return fuse.OK
}

func (f *file) Read(_ <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	n := uint64(min(int(in.Size), len(buf)))
	if in.Offset >= uint64(f.size) {
		return fuse.ReadResultData(nil), fuse.OK // the end of the file
	}
	n = min(n, uint64(f.size)-in.Offset)
	s := f.with(in.NodeId, in.Offset, n, func(m blocks) syscall.Errno { return m.ReadAt(buf[:n], int64(in.Offset)) })
	if s != fuse.OK {
		return nil, s
	}
	return fuse.ReadResultData(buf[:n]), fuse.OK
}

func (f *file) Write(_ <-chan struct{}, in *fuse.WriteIn, data []byte) (uint32, fuse.Status) {
	s := f.with(in.NodeId, in.Offset, uint64(len(data)), func(m blocks) syscall.Errno { return m.WriteAt(data, int64(in.Offset)) })
	if s != fuse.OK {
		return 0, s
	}
	return uint32(len(data)), fuse.OK
}

// Fsync is a flush of the write cache: the loop device turns REQ_OP_FLUSH into
// vfs_fsync, and reports a cache without FUA, so that FUA comes as a flush too.
// One comes while the device is made, before there is a medium: it covers
// nothing.
func (f *file) Fsync(_ <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	select {
	case <-f.inserted:
	default:
		return fuse.OK
	}
	return f.with(in.NodeId, 0, 0, blocks.Flush)
}

// Fallocate is a discard or a write of zeroes.
func (f *file) Fallocate(_ <-chan struct{}, in *fuse.FallocateIn) fuse.Status {
	return f.with(in.NodeId, in.Offset, in.Length, func(m blocks) syscall.Errno {
		switch in.Mode &^ unix.FALLOC_FL_KEEP_SIZE {
		case unix.FALLOC_FL_PUNCH_HOLE:
			return m.Discard(int64(in.Offset), int64(in.Length))
		case unix.FALLOC_FL_ZERO_RANGE:
			return m.Zero(int64(in.Offset), int64(in.Length))
		}
		return syscall.EOPNOTSUPP
	})
}
