package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const diary = "../../test/apps/diary/main.go"

// blocks are the blocks of a page that are marked as text of a language.
func blocks(t *testing.T, page, language string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		all = append(all, b[1])
	}
	return all
}

// TestYourDatabaseShowsWhatIsRun holds the programs on the page to the files
// that the tests run.
func TestYourDatabaseShowsWhatIsRun(t *testing.T) {
	for language, files := range map[string][]string{
		"go": {diary},
		"sh": {"../../examples/sqlite/writer.sh", "../../examples/sqlite/reader.sh"},
	} {
		shown := blocks(t, "../../docs/your-database.md", language)
		if len(shown) != len(files) {
			t.Fatalf("%d blocks of %s, want %d", len(shown), language, len(files))
		}
		for i, f := range files {
			if want, err := os.ReadFile(f); err != nil || shown[i] != string(want) {
				t.Errorf("what docs/your-database.md shows is not %s (%v)", f, err)
			}
		}
	}
}

// TestYourDatabase does what the page says: with the program as it is every
// promise is kept, and without its sync none.
func TestYourDatabase(t *testing.T) {
	t.Parallel()
	needsVolumes(t, "ext4")
	needsProgram(t, "go", "golang")
	source, err := os.ReadFile(diary)
	if err != nil {
		t.Fatal(err)
	}
	synced := string(source)
	careless := strings.Replace(synced, "\t\tif err := f.Sync(); err != nil {\n\t\t\treturn err // never again: the next sync may succeed and mean nothing\n\t\t}\n", "", 1)
	if careless == synced {
		t.Fatal("the sync to take out is not in the program")
	}
	scenario := strings.Replace(blocks(t, "../../docs/your-database.md", "yaml")[0], "commit=1000}", "commit=1000, flusher: 10ms, neighbour: none}", 1)
	for _, c := range []struct {
		name, source string
		code         int
		words        []string
	}{
		{"as it is", synced, exitPass, []string{"fault power-cut: began 10 times", "\npass (seed "}},
		{"without its sync", careless, exitFail, []string{"LOST, found by exec", "lost: ", " entries, the last ", "to blame  the application: it promised ", "\nfail (seed "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			place := t.TempDir()
			for name, text := range map[string]string{"main.go": c.source, "go.mod": "module diary\n", "diary.yaml": scenario} {
				if err := os.WriteFile(filepath.Join(place, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if out, err := exec.Command("go", "build", "-C", place, "-o", "diary").CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			var dir string
			var r result
			for range 10 { // where the whole machine is synced all the time nothing can be lost
				dir = t.TempDir()
				if r = assay(t, dir, "run", filepath.Join(place, "diary.yaml")); c.code == exitPass || !strings.Contains(r.out, "\npass (seed ") {
					break
				}
				t.Logf("again: %s", r.out)
			}
			r.want(t, c.code, c.words...)
			nothingLeft(t, dir, c.code) // the evidence of a finding stays
		})
	}
}
