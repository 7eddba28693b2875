package volume

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-1b600011/assay/flakey/recording"
)

// TestMoment: a recording that was cut short at any length is refused, with a
// mark and without.
func TestMoment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "r")
	w, err := recording.Create(path, recording.Header{Size: 1 << 20, BlockSize: 4096})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := w.Write(0, make([]byte, 4096), 0); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Mark("judged"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for mark, wants := range map[string]int{"": 21, "judged": 20} {
		if at, err := moment(path, mark); at != wants || err != nil {
			t.Errorf("mark %q: record %d, %v", mark, at, err)
		}
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for percent := 3; percent < 100; percent += 7 {
		if err := os.WriteFile(path, whole[:len(whole)*percent/100], 0o600); err != nil {
			t.Fatal(err)
		}
		for _, mark := range []string{"", "judged"} {
			if at, err := moment(path, mark); err == nil {
				t.Errorf("cut to %d %%, mark %q: record %d, and no error", percent, mark, at)
			}
		}
	}
}
