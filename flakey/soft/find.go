package soft

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Find gives the disk of that name in d.Dir, whoever made it. Errors are
// refusals: there is none, or its daemon is gone.
func (d Driver) Find(ctx context.Context, name string) (*Disk, error) {
	if name == "" || strings.ContainsRune(name, '/') || name[0] == '.' {
		return nil, refuse("soft: no disk can be called %q", name)
	}
	dir, err := filepath.Abs(filepath.Join(d.Dir, name))
	if err != nil {
		return nil, fmt.Errorf("soft: disk %q: %w", name, err)
	}
	c, err := readConfig(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, refuse("soft: no disk is called %q in %s", name, d.Dir)
	}
	if err != nil {
		return nil, fmt.Errorf("soft: disk %q: %w", name, err)
	}
	disk := &Disk{name: c.Name, dir: dir}
	st, err := disk.Status(ctx)
	if err != nil {
		return nil, err
	}
	disk.path, disk.pid = st.Path, st.PID
	return disk, nil
}

// Listed is a disk that List has found.
type Listed struct {
	Name   string
	Status Status // valid if Err is nil
	Err    error  // why it does not answer
}

// List gives the disks in d.Dir by name, also those whose daemon is gone.
func (d Driver) List(ctx context.Context) ([]Listed, error) {
	entries, err := os.ReadDir(d.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("soft: list disks: %w", err)
	}
	var all []Listed
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		disk := &Disk{name: e.Name(), dir: filepath.Join(d.Dir, e.Name())}
		st, err := disk.Status(ctx)
		all = append(all, Listed{Name: e.Name(), Status: st, Err: err})
	}
	slices.SortFunc(all, func(a, b Listed) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}
