package fuzz

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
)

const titlePrefix = "assay: " // of the processes that package machine starts

// process is one below this one.
type process struct {
	pid   int
	title string // argv[0]
}

// descendants are the processes below this one that are assay's own, by
// process id. One that ends while it is looked at is none.
func descendants() ([]process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	parents := map[int]int{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if parent, ok := parentOf(pid); ok {
			parents[pid] = parent
		}
	}
	var all []process
	for pid := range parents {
		if !below(parents, pid, os.Getpid()) {
			continue
		}
		if t := title(pid); strings.HasPrefix(t, titlePrefix) {
			all = append(all, process{pid, strings.TrimPrefix(t, titlePrefix)})
		}
	}
	slices.SortFunc(all, func(a, b process) int { return a.pid - b.pid })
	return all, nil
}

func below(parents map[int]int, pid, ancestor int) bool {
	for range len(parents) {
		parent, known := parents[pid]
		if !known {
			return false
		}
		if parent == ancestor {
			return true
		}
		pid = parent
	}
	return false
}

// parentOf reads /proc/PID/stat (proc_pid_stat(5)); a process that has ended and
// waits to be reaped has no title, and is not counted.
func parentOf(pid int) (parent int, ok bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // the name may hold anything
	if len(fields) < 2 || fields[0] == "Z" || fields[0] == "X" {
		return 0, false
	}
	parent, err = strconv.Atoi(fields[1])
	return parent, err == nil
}

func title(pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline")
	if err != nil {
		return ""
	}
	first, _, _ := bytes.Cut(b, []byte{0})
	return string(first)
}
