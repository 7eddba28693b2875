package scenario

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/verdict"
)

// kept is the file findings.json among the records of a run.
type kept struct {
	Version  int               `json:"version"`
	Findings []verdict.Finding `json:"findings"`
}

const (
	findingsName    = "findings.json"
	findingsVersion = 1
)

// keep writes the findings beside the history that they rest on, and gives the
// size of all that is kept.
func (r *Runner) keep(out *Outcome) (size int64, err error) {
	if len(out.Findings) > 0 {
		b, err := json.MarshalIndent(kept{findingsVersion, out.Findings}, "", "  ")
		if err == nil {
			err = machine.WriteFile(filepath.Join(out.Dir, findingsName), append(b, '\n'), 0o600)
		}
		if err != nil {
			return 0, fmt.Errorf("keep the findings: %w", err)
		}
	}
	return onDisk(out.Dir)
}

// Findings are those of a run whose records are in dir, in the order in which
// it reported them. The error is a ConfigError.
func Findings(dir string) ([]verdict.Finding, error) {
	b, err := os.ReadFile(filepath.Join(dir, findingsName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, Misconfigured(dir, "there is no %s in it: only a run with a finding has one", findingsName)
	}
	var k kept
	if err == nil {
		err = json.Unmarshal(b, &k)
	}
	if err == nil && k.Version != findingsVersion {
		err = fmt.Errorf("%s is of version %d, and this assay reads %d", findingsName, k.Version, findingsVersion)
	}
	if err != nil {
		return nil, Misconfigured(dir, "%v", err)
	}
	return k.Findings, nil
}

// HistoryDir is the directory of the history of a run whose records are in dir,
// or dir itself where that is a history.
func HistoryDir(dir string) string {
	own := filepath.Join(dir, "history")
	if info, err := os.Stat(own); err == nil && info.IsDir() {
		return own
	}
	return dir
}

// onDisk is how much the files below dir take there, holes not counted.
func onDisk(dir string) (bytes int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			bytes += st.Blocks * 512
		}
		return nil
	})
	return bytes, err
}
