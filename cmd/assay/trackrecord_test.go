package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed-1b600011/assay/object"
	"github.com/seed-1b600011/assay/scenario"
)

var shownBy = regexp.MustCompile("\\| `assay run --only '([^']+)' examples/([^ ]+)\\.yaml` \\|$")

// TestTrackRecord holds docs/track-record.md to the examples: each row names a
// scenario that TestExamples runs and that passes only if it finds something,
// and each such scenario has its row.
func TestTrackRecord(t *testing.T) {
	expecting := map[string]string{} // a scenario, and the file that it is in
	files, err := filepath.Glob("../../examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		all, err := scenario.ReadFile(f, newRegistry(object.World{}))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			if s.Expect != nil {
				expecting[s.Name] = strings.TrimSuffix(filepath.Base(f), ".yaml")
			}
		}
	}
	var told []string
	for _, row := range rows(t, "../../docs/track-record.md") {
		found := shownBy.FindStringSubmatch(row)
		if found == nil {
			t.Errorf("a row without a command: %s", row)
			continue
		}
		name, file := found[1], found[2]
		if _, run := examples[file]; !run || expecting[name] != file {
			t.Errorf("examples/%s.yaml has no scenario %q that must find something and is run by TestExamples", file, name)
		}
		told = append(told, name)
	}
	for name, file := range expecting {
		if !slices.Contains(told, name) {
			t.Errorf("%q of examples/%s.yaml must find something and has no row", name, file)
		}
	}
}

// rows are the rows of the tables of a page, without their heads.
func rows(t *testing.T, page string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	inTable := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "|---"):
			inTable = true
		case !strings.HasPrefix(line, "|"):
			inTable = false
		case inTable:
			all = append(all, line)
		}
	}
	return all
}
