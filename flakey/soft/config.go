package soft

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/seed"
)

// config is what a daemon is told: the file config.json in the disk's directory.
type config struct {
	Version   int       `json:"v"`
	Name      string    `json:"name"`
	Dir       string    `json:"dir"`    // the disk's own
	Ledger    string    `json:"ledger"` // directory of the ledger that the daemon opens
	Detached  bool      `json:"detached,omitempty"`
	Token     string    `json:"token"` // tells this disk from others that have had its name
	Size      int64     `json:"size"`
	BlockSize int       `json:"block_size"`
	Cache     int64     `json:"cache,omitempty"`
	Memory    int64     `json:"memory"`
	Ready     int64     `json:"ready,omitempty"`
	Record    string    `json:"record,omitempty"`
	From      *From     `json:"from,omitempty"`
	Seed      seed.Seed `json:"seed"`
}

const (
	configName = "config.json"
	logName    = "log" // what a detached daemon has to say
)

func (c config) write(dir string) error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return machine.WriteFile(filepath.Join(dir, configName), append(b, '\n'), 0o600)
}

// readConfig reads the configuration of the disk in dir. That there is none is
// an error that is fs.ErrNotExist.
func readConfig(dir string) (config, error) {
	b, err := os.ReadFile(filepath.Join(dir, configName))
	if err != nil {
		return config{}, err
	}
	var c config
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(&c); err != nil {
		return config{}, fmt.Errorf("%s: %w", filepath.Join(dir, configName), err)
	}
	if c.Version != protocol {
		return config{}, fmt.Errorf("%s: made by another assay: version %d, want %d", filepath.Join(dir, configName), c.Version, protocol)
	}
	return c, nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
