package pathcheck

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	words = regexp.MustCompile("`[^`]*`|``|released")
	delay = regexp.MustCompile(`[0-9]+\.[0-9]{6}$`)
)

// places are the paths of docs/pathcheck.md.
func places(t *testing.T) (*strings.Replacer, hung) {
	t.Helper()
	dir, h := t.TempDir(), newHung(t)
	in := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(in("empty"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(in("loop"), in("loop")); err != nil {
		t.Fatal(err)
	}
	empty := file(t)
	if err := os.Truncate(empty, 0); err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer("FILE", file(t), "EMPTY", empty, "DIR", filepath.Dir(empty), "ABSENT", in("absent"),
		"LOOP", in("loop"), "LONG", "/"+strings.Repeat("x", 5000), "NUL", "/tmp\x00/x", "HUNG", h.path), h
}

// TestTable runs every row of the table in docs/pathcheck.md.
func TestTable(t *testing.T) {
	page, err := os.ReadFile("../docs/pathcheck.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 || !strings.Contains(cells[3], "`") {
			continue
		}
		rows++
		t.Run(strings.TrimSpace(cells[1]+cells[2]), func(t *testing.T) {
			t.Parallel()
			testRow(t, words.FindAllString(cells[1], -1), words.FindAllString(cells[2], -1), words.FindAllString(cells[3], -1))
		})
	}
	if rows != 35 {
		t.Errorf("the table has %d rows", rows)
	}
}

func testRow(t *testing.T, before, said, want []string) {
	names, h := places(t)
	p := start(t, "read")
	do := func(word string) string {
		if word == "released" {
			h.release(t)
			return "stop " + h.path
		}
		line := names.Replace(strings.Trim(word, "`"))
		p.tell(line)
		return line
	}
	for _, word := range before {
		line := do(word)
		f := strings.Fields(line)
		p.await(f[0] + " " + f[1] + " ")
		if f[0] == "start" && f[1] != h.path {
			p.await("check ")
		} else if f[0] == "start" {
			p.awaitLog(h.path + ": no answer") // its check is in the kernel
		}
	}
	for _, word := range said {
		do(word)
	}
	for _, w := range want {
		got := p.next()
		wanted := names.Replace(strings.Trim(w, "`"))
		if number, ok := strings.CutSuffix(wanted, " DELAY"); ok && delay.MatchString(got) {
			got, wanted = delay.ReplaceAllString(got, "DELAY"), number+" DELAY"
		}
		if got != wanted {
			t.Fatalf("%q was answered by %q, want %q", said, got, wanted)
		}
	}
	if code := p.end(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	for line := range p.lines {
		if !strings.HasPrefix(line, "check ") {
			t.Errorf("and by %q", line)
		}
	}
	for _, line := range p.log() {
		if level, _, ok := strings.Cut(line, " "); !ok || !strings.Contains("DEBUG INFO WARN ERROR", level) {
			t.Errorf("log line %q", line)
		}
	}
}
