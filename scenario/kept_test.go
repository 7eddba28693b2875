package scenario_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
)

// TestFindingsAreKept beside the history, with the round in which each was
// found, and in the order of the report.
func TestFindingsAreKept(t *testing.T) {
	s := &shelf{findings: []verdict.Finding{{Kind: verdict.Lost, Object: "a", Ops: []uint64{7}}, {Kind: verdict.Torn, Object: "b"}}}
	out, err := s.run(t, t.Context(), "  faults: [cut: {every: {operations: 300}, times: 2}]\n")
	if err != nil {
		t.Fatal(err)
	}
	found, err := scenario.Findings(out.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 4 || found[0].Object != "a" || found[0].Ops[0] != 7 || found[0].Round != 0 || found[3].Kind != verdict.Torn || found[3].Round != 1 {
		t.Errorf("%+v", found)
	}
	if out.Size <= 0 {
		t.Errorf("the records take %d bytes", out.Size)
	}
	if scenario.HistoryDir(out.Dir) != filepath.Join(out.Dir, "history") || scenario.HistoryDir(filepath.Join(out.Dir, "history")) != filepath.Join(out.Dir, "history") {
		t.Errorf("the history is in %s", scenario.HistoryDir(out.Dir))
	}
	for name, text := range map[string]string{"another version": `{"version": 99}`, "no JSON": "x", "none": ""} {
		file := filepath.Join(out.Dir, "findings.json")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if text == "" {
			err = os.Remove(file)
		}
		if _, reading := scenario.Findings(out.Dir); err != nil || !scenario.IsConfig(reading) {
			t.Errorf("%s: %v, %v", name, err, reading)
		}
	}
}
