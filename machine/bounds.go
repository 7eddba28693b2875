package machine

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// MemoryBounds are what keeps this process from taking more memory: the machine
// and every cgroup with a limit that it is in, v1 or v2. They are found once
// and can then be read often, by several goroutines at once.
type MemoryBounds struct {
	tree cgroupTree
	own  string
	seen bool // there are memory cgroups
}

// FindMemoryBounds looks where this process is now.
func FindMemoryBounds() MemoryBounds {
	tree, own, err := memoryCgroup()
	return MemoryBounds{tree, own, err == nil}
}

// MemoryBound is one of them, in bytes.
type MemoryBound struct {
	Name string // a cgroup's directory, or MemAvailable
	Size int64  // its limit, or the machine's memory
	Left int64  // how much it still gives, page cache that can go included
}

// Read tells how much each bound still gives now. The machine is the first.
func (m MemoryBounds) Read() ([]MemoryBound, error) {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return nil, fmt.Errorf("machine: how much memory there is: %w", err)
	}
	defer f.Close()
	all, err := meminfo(f, "MemTotal", "MemAvailable")
	if err != nil {
		return nil, fmt.Errorf("machine: how much memory there is: /proc/meminfo: %w", err)
	}
	bounds := []MemoryBound{{Name: "MemAvailable", Size: all[0], Left: all[1]}}
	if !m.seen {
		return bounds, nil // a limit that cannot be seen cannot be counted
	}
	for dir := range m.tree.up(m.own) {
		limit, file := m.tree.limit(dir)
		if file == "" {
			continue
		}
		left, err := m.tree.left(dir, limit)
		if err != nil {
			return nil, fmt.Errorf("machine: how much memory there is: %w", err)
		}
		bounds = append(bounds, MemoryBound{Name: dir, Size: limit, Left: max(left, 0)})
	}
	return bounds, nil
}

// Stalled is the share of the last 10 s, in percent, in which at least one task
// waited for memory: of the machine, or of this process's cgroup where that
// is more (PSI, "some avg10"; Documentation/accounting/psi.rst). ok is false
// where the kernel does not tell.
func (m MemoryBounds) Stalled() (percent float64, ok bool) {
	paths := []string{"/proc/pressure/memory"}
	if m.seen && m.tree.usage == "memory.current" {
		paths = append(paths, filepath.Join(m.tree.dir, m.own, "memory.pressure"))
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if p, err := someAvg10(string(b)); err == nil {
			percent, ok = max(percent, p), true
		}
	}
	return percent, ok
}

func someAvg10(psi string) (float64, error) {
	for line := range strings.Lines(psi) {
		if rest, ok := strings.CutPrefix(line, "some avg10="); ok {
			number, _, _ := strings.Cut(rest, " ")
			return strconv.ParseFloat(number, 64)
		}
	}
	return 0, errors.New("it has no \"some avg10\"")
}

// meminfo reads values of proc_meminfo(5), in bytes.
func meminfo(r io.Reader, names ...string) ([]int64, error) {
	found := make([]int64, len(names))
	missing := len(names)
	for s := bufio.NewScanner(r); missing > 0 && s.Scan(); {
		name, value, _ := strings.Cut(s.Text(), ":")
		for i, n := range names {
			if n != name {
				continue
			}
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
			if err != nil {
				return nil, err
			}
			found[i] = kib << 10
			missing--
		}
	}
	if missing > 0 {
		return nil, fmt.Errorf("it lacks one of %s", strings.Join(names, ", "))
	}
	return found, nil
}

// CPUQuota is how many cores' worth of time this process may use at most: the
// smallest quota of the cgroups that it is in, v1 or v2. ok is false where none
// has one.
func CPUQuota() (cores float64, ok bool) {
	m, own, err := cgroupOf("cpu")
	if err != nil {
		return 0, false
	}
	for dir := range cgroupsUp(m.Dir, own) {
		quota, err := cpuQuota(dir, m.Type == "cgroup")
		if err == nil && (!ok || quota < cores) {
			cores, ok = quota, true
		}
	}
	return cores, ok
}

var errNoQuota = errors.New("no quota")

// cpuQuota reads that of one cgroup: cpu.max, or in v1 two files.
func cpuQuota(dir string, v1 bool) (float64, error) {
	var words []string
	files := []string{"cpu.max"}
	if v1 {
		files = []string{"cpu.cfs_quota_us", "cpu.cfs_period_us"}
	}
	for _, name := range files {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return 0, err
		}
		words = append(words, strings.Fields(string(b))...)
	}
	if len(words) != 2 || words[0] == "max" || words[0] == "-1" {
		return 0, errNoQuota
	}
	quota, err := strconv.ParseFloat(words[0], 64)
	if err != nil {
		return 0, err
	}
	period, err := strconv.ParseFloat(words[1], 64)
	if err != nil || period <= 0 {
		return 0, errNoQuota
	}
	return quota / period, nil
}
