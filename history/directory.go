package history

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	suffix   = ".assay"
	lockName = "lock"
)

func segmentName(seq uint64) string { return fmt.Sprintf("%06d%s", seq, suffix) }

// segments are the numbers of the segments in dir, ascending. Files with other
// names, unfinished segments among them, are not looked at.
func segments(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var seqs []uint64
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), suffix)
		if !ok {
			continue
		}
		seq, err := strconv.ParseUint(digits, 10, 64)
		if err == nil && segmentName(seq) == e.Name() {
			seqs = append(seqs, seq)
		}
	}
	slices.Sort(seqs)
	return seqs, nil
}

// makeDir is os.MkdirAll whose directories survive a power cut.
func makeDir(dir string) error {
	dir = filepath.Clean(dir)
	err := os.Mkdir(dir, 0o755)
	parent := filepath.Dir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && parent != dir:
		if err := makeDir(parent); err != nil {
			return err
		}
		return makeDir(dir)
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return syncDir(parent)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		return errors.Join(fmt.Errorf("sync %s: %w", dir, err), d.Close())
	}
	return d.Close()
}

// lock takes dir for one writer. The kernel gives it back when the process
// ends, however it ends.
func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, errors.Join(ErrInUse, f.Close())
	case err != nil:
		return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
	}
	return f, nil
}

// removeBefore removes the segments below seq, oldest first.
func removeBefore(dir string, seq uint64) error {
	seqs, err := segments(dir)
	if err != nil {
		return err
	}
	for _, old := range seqs {
		if old < seq {
			if err := os.Remove(filepath.Join(dir, segmentName(old))); err != nil {
				return err
			}
		}
	}
	return syncDir(dir)
}

// removeUnfinished removes the segments that a killed writer had not finished.
// They hold no record that was ever promised.
func removeUnfinished(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix+unfinished) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}
