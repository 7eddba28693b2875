package machine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Using is a ledger whose owner lives.
type Using struct{ Ledger, Owner string }

// InUse are the ledgers under dir that Clean leaves alone, as their owners live.
func InUse(dir string) (all []Using, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, ledgersName, "*.ledger"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		d, _, err := openDead(path)
		switch {
		case errors.Is(err, errInUse):
			all = append(all, Using{path, lockedBy(path)})
		case d != nil:
			_ = d.file.Close()
		}
	}
	return all, nil
}

// lockedBy is the process that holds the lock of a file, for people, as far as
// proc_locks(5) shows it.
func lockedBy(path string) string {
	const unknown = "another process"
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return unknown
	}
	b, err := os.ReadFile("/proc/locks")
	if err != nil {
		return unknown
	}
	inode := fmt.Sprintf(":%d", st.Ino)
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 6 || f[1] != "FLOCK" || !strings.HasSuffix(f[5], inode) {
			continue
		}
		if comm, err := os.ReadFile("/proc/" + f[4] + "/comm"); err == nil {
			return fmt.Sprintf("process %s (%s)", f[4], strings.TrimSpace(string(comm)))
		}
	}
	return unknown
}
