package machine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMemoryBounds(t *testing.T) {
	bounds := FindMemoryBounds()
	all, err := bounds.Read()
	if err != nil {
		t.Fatal(err)
	}
	if b := all[0]; b.Name != "MemAvailable" || b.Left <= 0 || b.Left > b.Size {
		t.Errorf("the machine: %+v", b)
	}
	least := all[0].Left
	for _, b := range all {
		least = min(least, b.Left)
	}
	available, err := AvailableMemory(false)
	if err != nil {
		t.Fatal(err)
	}
	if d := available - least; d < -256<<20 || d > 256<<20 { // others work meanwhile
		t.Errorf("the least is %d, and AvailableMemory %d", least, available)
	}
}

func TestMeminfo(t *testing.T) {
	const text = "MemTotal:       24635244 kB\nMemFree:        21000000 kB\nMemAvailable:   22000000 kB\n"
	got, err := meminfo(strings.NewReader(text), "MemAvailable", "MemTotal")
	if err != nil || got[0] != 22000000<<10 || got[1] != 24635244<<10 {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range []string{"", "MemTotal: 1 kB\n", "MemAvailable: many kB\n"} {
		if got, err := meminfo(strings.NewReader(bad), "MemAvailable"); err == nil {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

func TestSomeAvg10(t *testing.T) {
	got, err := someAvg10("some avg10=12.50 avg60=1.00 avg300=0.00 total=1\nfull avg10=99.00 avg60=0 avg300=0 total=1\n")
	if err != nil || got != 12.5 {
		t.Errorf("%v %v", got, err)
	}
	if _, err := someAvg10("full avg10=1\n"); err == nil {
		t.Error("no line \"some\", and no error")
	}
}

func TestCPUQuotaOfOneCgroup(t *testing.T) {
	for _, c := range []struct {
		v1    bool
		files map[string]string
		want  float64 // 0: none
	}{
		{false, map[string]string{"cpu.max": "150000 100000\n"}, 1.5},
		{false, map[string]string{"cpu.max": "max 100000\n"}, 0},
		{false, nil, 0}, // the root
		{true, map[string]string{"cpu.cfs_quota_us": "50000\n", "cpu.cfs_period_us": "100000\n"}, 0.5},
		{true, map[string]string{"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}, 0},
	} {
		dir := t.TempDir()
		for name, text := range c.files {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := cpuQuota(dir, c.v1); got != c.want || (err == nil) != (c.want > 0) {
			t.Errorf("%v: %v %v", c.files, got, err)
		}
	}
}
