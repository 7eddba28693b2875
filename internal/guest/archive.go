package guest

import (
	"bytes"
	"fmt"
)

// file is one of an archive's.
type file struct {
	name    string // without a leading slash
	mode    uint32 // the bits of permission
	content []byte
}

const (
	regular   = 0o100000
	directory = 0o040000
)

// archive packs files into what the kernel unpacks as its first file system:
// cpio in the format "newc" (the kernel's documentation,
// driver-api/early-userspace/buffer-format). The directories are those that
// init mounts on.
func archive(files []file) []byte {
	var b bytes.Buffer
	entry := func(ino int, mode uint32, name string, content []byte) {
		// Thirteen numbers of eight hexadecimal digits: inode, mode, uid, gid,
		// links, mtime, size, device (two), the node's device (two), length of
		// the name with its NUL, and a sum that this format leaves 0.
		fmt.Fprintf(&b, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
			ino, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name)+1, 0)
		b.WriteString(name)
		b.WriteByte(0)
		pad(&b)
		b.Write(content)
		pad(&b)
	}
	n := 1
	for _, dir := range []string{"dev", "proc", "sys", "tmp", "run"} {
		entry(n, directory|0o755, dir, nil)
		n++
	}
	for _, f := range files {
		entry(n, regular|f.mode, f.name, f.content)
		n++
	}
	entry(0, 0, "TRAILER!!!", nil)
	return b.Bytes()
}

// pad goes to the next multiple of four bytes.
func pad(b *bytes.Buffer) {
	for b.Len()%4 != 0 {
		b.WriteByte(0)
	}
}
