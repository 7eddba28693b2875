package machine

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Holder is a process, or something in the kernel, that keeps a mount in use.
type Holder struct {
	PID  int    // 0: not a process
	Name string // of the process
	How  string // what it holds, and how
}

func (h Holder) String() string {
	if h.PID == 0 {
		return h.How
	}
	return fmt.Sprintf("process %d (%s): %s", h.PID, h.Name, strings.ToValidUTF8(h.How, "?"))
}

// Holders are those who keep the mount on a directory in use, as far as /proc
// shows: processes with a file of it open or mapped, or their working or root
// directory in it; mounts on top of it; loop devices and swap on its files. Of
// a block device they are the processes that have it, or a file of the file
// system on it, open, also where its mount is out of the tree, and the mount
// namespaces, one process of each, in which it is mounted: a namespace copies
// all mounts when it is made, and nobody in it need know. A
// child looks for them, because the memory maps of a process that hangs may
// not be readable before it goes on; what it has found until ctx ends is
// given, with the error.
func Holders(ctx context.Context, path string) ([]Holder, error) {
	c, err := holderFinder.startUnlisted(ctx, nil, path)
	if err != nil {
		return nil, fmt.Errorf("machine: look for those who hold %q: %w", path, err)
	}
	type found struct {
		holders []Holder
		err     error
	}
	done := make(chan found, 1)
	go func() {
		var f found
		for d := json.NewDecoder(bufio.NewReader(c.Stdout)); ; {
			var h Holder
			if err := d.Decode(&h); err != nil {
				if !errors.Is(err, io.EOF) {
					f.err = err
				}
				break
			}
			f.holders = append(f.holders, h)
		}
		done <- f
	}()
	select {
	case f := <-done:
		c.await(ctx, endPatience)
		return f.holders, errors.Join(f.err, c.Err())
	case <-ctx.Done():
		c.cmd.Process.Kill() // ends its output, unless it hangs itself
	}
	late, cancel := context.WithTimeout(context.WithoutCancel(ctx), endPatience)
	defer cancel()
	cause := fmt.Errorf("machine: look for those who hold %q: %w", path, context.Cause(ctx))
	select {
	case f := <-done:
		return f.holders, cause
	case <-late.Done():
		return nil, cause
	}
}

var holderFinder = Daemon("machine-holders", func(_ context.Context, args []string, _ io.Reader, stdout io.Writer) error {
	out := json.NewEncoder(stdout)
	return findHolders(args[0], func(h Holder) { out.Encode(h) })
})

// holds tells of a link in /proc whether it leads to what is looked for. to is
// what the link reads.
type holds func(link, to string) bool

func findHolders(path string, tell func(Holder)) error {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFBLK {
		return errors.Join(findProcesses(onDevice(st.Rdev), tell), findNamespaces(st.Rdev, tell))
	}
	within := func(p string) bool {
		return p == path || strings.HasPrefix(p, strings.TrimSuffix(path, "/")+"/")
	}
	if err := findInKernel(path, within, tell); err != nil {
		return err
	}
	return findProcesses(func(_, to string) bool { return within(to) }, tell)
}

// onDevice follows a link: its target may be in a mount that has no path any
// more. The file system is not asked to look at its device.
func onDevice(number uint64) holds {
	btrfs, isBtrfs := btrfsOn(number)
	return func(link, _ string) bool {
		var st unix.Statx_t
		err := unix.Statx(unix.AT_FDCWD, link, unix.AT_NO_AUTOMOUNT|unix.AT_STATX_DONT_SYNC, unix.STATX_TYPE, &st)
		switch {
		case errors.Is(err, unix.EIO):
			return numbered(link, unix.XFS_SUPER_MAGIC, xfsOn(number))
		case err != nil:
			return false
		case unix.Mkdev(st.Dev_major, st.Dev_minor) == number,
			st.Mode&unix.S_IFMT == unix.S_IFBLK && unix.Mkdev(st.Rdev_major, st.Rdev_minor) == number:
			return true
		}
		return isBtrfs && numbered(link, unix.BTRFS_SUPER_MAGIC, btrfs)
	}
}

// numbered tells of the file system behind a link whether it is of a type, and
// what the first half of its number is. Unlike the flags of statx(2) nothing
// keeps that from asking a server that may not answer, so it comes last.
func numbered(link string, magic int64, half uint32) bool {
	var fs unix.Statfs_t
	return unix.Statfs(link, &fs) == nil && fs.Type == magic && uint32(fs.Fsid.Val[0]) == half
}

// xfsOn is what statfs(2) says as the number of the xfs on a device: the
// device's own, as the kernel encodes it (xfs_fs_statfs in fs/xfs/xfs_super.c,
// new_encode_dev in include/linux/kdev_t.h). An xfs that has shut down answers
// every stat(2) with EIO, but not that.
func xfsOn(device uint64) uint32 {
	major, minor := unix.Major(device), unix.Minor(device)
	return minor&0xff | major<<8 | minor&^0xff<<12
}

// btrfsOn gives the first half of what statfs(2) says as the number of the
// btrfs on a device, of which its files know nothing: their device number is
// of a subvolume. It is made of the UUID (btrfs_statfs in the kernel's
// fs/btrfs/super.c); the other half has the subvolume in it.
func btrfsOn(device uint64) (half uint32, ok bool) {
	all, _ := filepath.Glob("/sys/fs/btrfs/*/devices/*/dev")
	for _, f := range all {
		b, err := os.ReadFile(f)
		if err != nil || strings.TrimSpace(string(b)) != fmt.Sprintf("%d:%d", unix.Major(device), unix.Minor(device)) {
			continue
		}
		uuid, err := hex.DecodeString(strings.ReplaceAll(strings.Split(f, "/")[4], "-", ""))
		if err == nil && len(uuid) == 16 {
			return binary.BigEndian.Uint32(uuid) ^ binary.BigEndian.Uint32(uuid[8:]), true
		}
	}
	return 0, false
}

func findInKernel(path string, within func(string) bool, tell func(Holder)) error {
	mounts, err := Mounts()
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if m.Dir != path && within(m.Dir) {
			tell(Holder{How: "a mount on " + strconv.Quote(m.Dir)})
		}
	}
	backed, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return err
	}
	for _, b := range backed {
		text, err := os.ReadFile(b)
		if file := strings.TrimSuffix(string(text), "\n"); err == nil && within(file) {
			tell(Holder{How: "/dev/" + filepath.Base(filepath.Dir(filepath.Dir(b))) + " on " + strconv.Quote(file)})
		}
	}
	swaps, _ := os.ReadFile("/proc/swaps") // a kernel without swap has none
	for line := range strings.Lines(string(swaps)) {
		file, _, _ := strings.Cut(line, " ")
		if file = unescapeMount(file); within(file) {
			tell(Holder{How: "swap on " + strconv.Quote(file)})
		}
	}
	return nil
}

// findNamespaces looks for mounts of a device in other mount namespaces. A
// thread may have one of its own.
func findNamespaces(device uint64, tell func(Holder)) error {
	threads, err := filepath.Glob("/proc/[0-9]*/task/[0-9]*")
	if err != nil {
		return err
	}
	own, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return err
	}
	seen := map[string]bool{own: true}
	for _, thread := range threads {
		space, err := os.Readlink(thread + "/ns/mnt")
		if err != nil || seen[space] {
			continue // it has ended, or is not ours to look at
		}
		seen[space] = true
		b, err := os.ReadFile(thread + "/mountinfo")
		if err != nil {
			continue
		}
		mounts, err := parseMountInfo(b)
		if err != nil {
			return err
		}
		for _, m := range mounts {
			if m.isOf(device) {
				pid, _ := strconv.Atoi(strings.Split(thread, "/")[2])
				name, _ := os.ReadFile(thread + "/comm")
				tell(Holder{PID: pid, Name: strings.TrimSpace(string(name)), How: "its mount namespace has it on " + strconv.Quote(m.Dir)})
			}
		}
	}
	return nil
}

func findProcesses(held holds, tell func(Holder)) error {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() {
			continue
		}
		how := whatIsHeld(dir, held)
		if len(how) == 0 {
			continue
		}
		name, _ := os.ReadFile(dir + "/comm")
		tell(Holder{PID: pid, Name: strings.TrimSpace(string(name)), How: strings.Join(how, ", ")})
	}
	return nil
}

// whatIsHeld looks at the links of a process; one that ended meanwhile has none.
func whatIsHeld(proc string, held holds) []string {
	var how []string
	look := func(what, link string) {
		if to, err := os.Readlink(link); err == nil && held(link, to) {
			how = append(how, what+" "+strconv.Quote(to))
		}
	}
	look("cwd", proc+"/cwd")
	look("root", proc+"/root")
	fds, _ := os.ReadDir(proc + "/fd")
	for _, fd := range fds {
		look("fd "+fd.Name(), proc+"/fd/"+fd.Name())
	}
	maps, _ := os.ReadDir(proc + "/map_files")
	seen := map[string]bool{}
	for _, m := range maps {
		link := proc + "/map_files/" + m.Name()
		if to, err := os.Readlink(link); err == nil && !seen[to] && held(link, to) {
			seen[to] = true
			how = append(how, "mapped "+strconv.Quote(to))
		}
	}
	return how
}
