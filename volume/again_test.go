package volume_test

import (
	"path/filepath"
	"testing"
)

// TestAgain: a round with a finding shows it again from its recording, and a
// second time.
func TestAgain(t *testing.T) {
	needDisk(t, "ext4")
	for name, fault := range map[string]string{
		"a power cut":  "drop-flushes: {after: {operations: 140}}, power-cut: {every: {operations: 230}, times: 2, keep: none}",
		"no power cut": "corrupt-writes: {path: \"00000003\", after: {operations: 140}, count: 1}",
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			out := l.run(onDisk("ext4", "64M") + files("{count: 20, size: 256K}", "write-files, rewrite-files", fault))
			if len(out.Findings) == 0 || !out.Again {
				t.Fatalf("%d findings, evidence: %v: %v", len(out.Findings), out.Again, out.Err)
			}
			if all, err := filepath.Glob(filepath.Join(out.Dir, "*.recording")); err != nil || len(all) != 1 {
				t.Errorf("%v is kept, want the recording of the first round with a finding: %v", all, err)
			}
			for range 2 {
				r := l.runner()
				again, err := r.Again(l.ctx, out.Dir)
				if err != nil {
					t.Fatal(err)
				}
				if len(again.Findings) == 0 || len(again.Findings) > len(out.Findings) {
					t.Fatalf("%d findings and then %d: %v", len(out.Findings), len(again.Findings), again.Err)
				}
				for i, f := range again.Findings {
					if o := out.Findings[i]; f.Kind != o.Kind || f.Object != o.Object || f.From != o.From || f.To != o.To || f.Found != o.Found || f.Blame != o.Blame {
						t.Errorf("%v, and then %v", o, f)
					}
				}
			}
		})
	}
}
