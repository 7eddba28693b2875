package machine

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// MountInfo is one line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
type MountInfo struct {
	ID, Parent int
	Device     string // major:minor of what is in it; btrfs has numbers of its own
	Root       string // the directory of the file system that is mounted
	Dir        string // where
	Options    string // of this mount
	Type       string
	Source     string
	Super      string // options of the file system
}

// Mounts are the mounts that this process sees, in the kernel's order: of
// several on one directory the last is on top.
func Mounts() ([]MountInfo, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("machine: read the mounts: %w", err)
	}
	return parseMountInfo(b)
}

// MountedAt are the mounts on exactly this absolute path, in which there are
// no symbolic links, dots or doubled slashes; the one on top is the last.
func MountedAt(dir string) ([]MountInfo, error) {
	return mountsThat(func(m MountInfo) bool { return m.Dir == dir })
}

// MountsOf are the mounts of a block device in this mount namespace.
func MountsOf(device string) ([]MountInfo, error) {
	var st unix.Stat_t
	if err := unix.Stat(device, &st); err != nil {
		return nil, fmt.Errorf("machine: mounts of %s: %w", device, err)
	}
	return mountsThat(func(m MountInfo) bool { return m.isOf(st.Rdev) })
}

// isOf tells whether the block device of that number is mounted.
func (m MountInfo) isOf(device uint64) bool {
	return m.Device == fmt.Sprintf("%d:%d", unix.Major(device), unix.Minor(device)) ||
		strings.HasPrefix(m.Device, "0:") && sourceIs(m.Source, device)
}

// sourceIs looks only into /dev: elsewhere a stat might wait for a disk.
func sourceIs(source string, number uint64) bool {
	var st unix.Stat_t
	return strings.HasPrefix(source, "/dev/") && unix.Stat(source, &st) == nil &&
		st.Mode&unix.S_IFMT == unix.S_IFBLK && st.Rdev == number
}

func mountsThat(match func(MountInfo) bool) ([]MountInfo, error) {
	all, err := Mounts()
	if err != nil {
		return nil, err
	}
	var some []MountInfo
	for _, m := range all {
		if match(m) {
			some = append(some, m)
		}
	}
	return some, nil
}

func parseMountInfo(b []byte) ([]MountInfo, error) {
	var all []MountInfo
	for line := range bytes.Lines(b) {
		m, err := parseMountLine(strings.TrimSuffix(string(line), "\n"))
		if err != nil {
			return nil, fmt.Errorf("machine: line %q of mountinfo: %w", line, err)
		}
		all = append(all, m)
	}
	return all, nil
}

func parseMountLine(line string) (MountInfo, error) {
	f := strings.Split(line, " ")
	dash := -1 // after six fields any number of optional ones follow, ended by a dash
	for i := 6; i < len(f); i++ {
		if f[i] == "-" {
			dash = i
			break
		}
	}
	if dash < 0 || len(f) < dash+4 {
		return MountInfo{}, fmt.Errorf("it has %d fields and no end of the optional ones", len(f))
	}
	m := MountInfo{
		Device: f[2], Root: unescapeMount(f[3]), Dir: unescapeMount(f[4]), Options: unescapeMount(f[5]),
		Type: unescapeMount(f[dash+1]), Source: unescapeMount(f[dash+2]), Super: unescapeMount(f[dash+3]),
	}
	var err error
	if m.ID, err = strconv.Atoi(f[0]); err != nil {
		return MountInfo{}, err
	}
	m.Parent, err = strconv.Atoi(f[1])
	return m, err
}

// unescapeMount undoes the kernel's mangle_path: a byte that would break the
// format is a backslash and three octal digits (\040 \011 \012 \134, and \043
// since Linux 5.10).
func unescapeMount(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
