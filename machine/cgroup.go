package machine

import (
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// cgroupTree is a mounted cgroup hierarchy with the memory controller.
type cgroupTree struct {
	dir    string
	limits []string // files of a cgroup that hold a limit
	usage  string   // the file that holds what is used
	// Words in memory.stat: the page cache, and what of it is not to be had
	// before it is written.
	cache, unwritten []string
}

func cgroupV1(dir string) cgroupTree {
	return cgroupTree{dir: dir, limits: []string{"memory.limit_in_bytes"}, usage: "memory.usage_in_bytes",
		cache: []string{"total_inactive_file", "total_active_file"}, unwritten: []string{"total_dirty", "total_writeback"}}
}

func cgroupV2(dir string) cgroupTree {
	return cgroupTree{dir: dir, limits: []string{"memory.max", "memory.high"}, usage: "memory.current",
		cache: []string{"inactive_file", "active_file"}, unwritten: []string{"file_dirty", "file_writeback"}}
}

// limit is the memory limit of a cgroup in bytes, and the file that says so; of
// a cgroup without one the file is empty.
func (t cgroupTree) limit(dir string) (bytes int64, file string) {
	for _, name := range t.limits {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			continue // the root of v2 has no such file
		}
		// v2 says "max" for none, v1 the largest number of whole pages.
		n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
		if err == nil && n < 1<<62 && (file == "" || n < bytes) {
			bytes, file = n, name
		}
	}
	return bytes, file
}

// left is what a cgroup with a limit can still give, in bytes.
func (t cgroupTree) left(dir string, limit int64) (int64, error) {
	b, err := os.ReadFile(filepath.Join(dir, t.usage))
	if err != nil {
		return 0, err
	}
	used, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", filepath.Join(dir, t.usage), err)
	}
	if b, err = os.ReadFile(filepath.Join(dir, "memory.stat")); err != nil {
		return 0, err
	}
	var cache int64
	for line := range strings.Lines(string(b)) {
		word, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, _ := strconv.ParseInt(number, 10, 64)
		switch {
		case slices.Contains(t.cache, word):
			cache += n
		case slices.Contains(t.unwritten, word):
			cache -= n
		}
	}
	return limit - used + max(cache, 0), nil
}

// up gives a cgroup and those above it, as far as the mount shows them.
func (t cgroupTree) up(own string) iter.Seq[string] { return cgroupsUp(t.dir, own) }

func cgroupsUp(mount, own string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for dir := filepath.Join(mount, own); yield(dir) && len(dir) > len(mount); dir = filepath.Dir(dir) {
		}
	}
}

// exits are the cgroups to which a process may go that wants no limit, the
// nearest first, and the topmost that has one. Empty: there is none.
func (t cgroupTree) exits(own string) (limited string, above []string) {
	for dir := range t.up(own) {
		if _, file := t.limit(dir); file != "" {
			limited, above = dir, nil
		} else if limited != "" {
			above = append(above, dir)
		}
	}
	return limited, above
}

// memoryCgroup finds the hierarchy of the memory controller and this process's
// place in it.
func memoryCgroup() (cgroupTree, string, error) {
	m, own, err := cgroupOf("memory")
	switch {
	case err != nil:
		return cgroupTree{}, "", err
	case m.Type == "cgroup":
		return cgroupV1(m.Dir), own, nil
	}
	return cgroupV2(m.Dir), own, nil
}

// cgroupOf finds where the hierarchy of a controller is mounted, v1 where it
// has one (cgroups(7)), and this process's place in it.
func cgroupOf(controller string) (MountInfo, string, error) {
	b, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return MountInfo{}, "", err
	}
	var v1, v2 string
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		switch {
		case len(f) < 3:
		case slices.Contains(strings.Split(f[1], ","), controller):
			v1 = f[2]
		case f[0] == "0" && f[1] == "":
			v2 = f[2]
		}
	}
	mounts, err := Mounts()
	if err != nil {
		return MountInfo{}, "", err
	}
	for _, m := range mounts {
		if v1 != "" && m.Type == "cgroup" && slices.Contains(strings.Split(m.Super, ","), controller) {
			own, err := placeIn(m, v1)
			return m, own, err
		}
		if v1 == "" && v2 != "" && m.Type == "cgroup2" {
			own, err := placeIn(m, v2)
			return m, own, err
		}
	}
	return MountInfo{}, "", fmt.Errorf("the cgroups of the controller %s are not mounted, so a limit cannot be seen or left", controller)
}

// placeIn finds the cgroup in a mount that may show only part of the tree.
func placeIn(m MountInfo, cgroup string) (string, error) {
	own, err := filepath.Rel(m.Root, cgroup)
	if err != nil || own == ".." || strings.HasPrefix(own, "../") {
		return "", fmt.Errorf("the memory cgroup %s is not below %s, which is mounted on %s", cgroup, m.Root, m.Dir)
	}
	return own, nil
}

// AvailableMemory is how many bytes this process can get: what the machine
// has without swapping, as the kernel estimates it (MemAvailable of
// proc_meminfo(5)), and no more than is left below the limit of a memory cgroup
// that it is in, where such can be seen. With leaving it is what there would be
// after LeaveCgroup.
func AvailableMemory(leaving bool) (int64, error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0, fmt.Errorf("machine: how much memory there is: %w", err)
	}
	defer f.Close()
	free, err := memAvailable(f)
	if err != nil {
		return 0, fmt.Errorf("machine: how much memory there is: /proc/meminfo: %w", err)
	}
	tree, own, err := memoryCgroup()
	if err != nil {
		return free, nil // a limit that cannot be seen cannot be counted
	}
	if _, above := tree.exits(own); leaving && slices.ContainsFunc(above, takesProcesses) {
		return free, nil
	}
	for dir := range tree.up(own) {
		limit, file := tree.limit(dir)
		if file == "" {
			continue
		}
		left, err := tree.left(dir, limit)
		if err != nil {
			return 0, fmt.Errorf("machine: how much memory there is: %w", err)
		}
		free = min(free, max(left, 0))
	}
	return free, nil
}

func takesProcesses(cgroup string) bool {
	return unix.Access(filepath.Join(cgroup, "cgroup.procs"), unix.W_OK) == nil
}

func memAvailable(r io.Reader) (int64, error) {
	found, err := meminfo(r, "MemAvailable")
	if err != nil {
		return 0, err
	}
	return found[0], nil
}
