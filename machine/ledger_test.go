package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLedgerCrossesOff(t *testing.T) {
	l := openLedger(t)
	doneA, err := l.Intend("a", "1")
	if err != nil {
		t.Fatal(err)
	}
	doneB, err := l.Intend("b", "2 with\nnewline")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time changes nothing
		if err := doneA(); err != nil {
			t.Fatal(err)
		}
	}
	if left := l.Left(); len(left) != 1 || left[0].Name != "2 with\nnewline" {
		t.Errorf("left %v", left)
	}
	if err := doneB(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestLedgerThatIsNotEmptyStays(t *testing.T) {
	l := openLedger(t)
	if _, err := l.Intend("directory", "/nonexistent/assay-test"); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err == nil || !strings.Contains(err.Error(), "/nonexistent/assay-test") {
		t.Errorf("Close said %v", err)
	}
	n := 0
	if err := Clean(t.Context(), l.Dir(), Undoes(), func(Cleaned) { n++ }); err != nil || n != 1 {
		t.Errorf("cleaned %d, %v", n, err)
	}
}

// TestEntryIsDurableBeforeTheThingIsMade reads the file as another process
// would, right after Intend.
func TestEntryIsDurableBeforeTheThingIsMade(t *testing.T) {
	l := openLedger(t)
	done, err := l.Intend("bucket", "x")
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(l.file.Name())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	left, err := readLedger(f)
	if err != nil || len(left) != 1 || left[0].Kind != "bucket" {
		t.Errorf("the file has %v, %v", left, err)
	}
	if err := errors.Join(done(), l.Close()); err != nil {
		t.Error(err)
	}
}

func TestReadLedger(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", ""},
		{"one", `{"n":1,"kind":"a","name":"x"}` + "\n", "a x;"},
		{"gone", `{"n":1,"kind":"a","name":"x"}` + "\n" + `{"n":1,"gone":true}` + "\n", ""},
		{"a last line cut short was never promised", `{"n":1,"kind":"a","name":"x"}` + "\n" + `{"n":2,"ki`, "a x;"},
		{"in order", `{"n":2,"kind":"b","name":"y"}` + "\n" + `{"n":1,"kind":"a","name":"x"}` + "\n", "a x;b y;"},
	} {
		t.Run(c.name, func(t *testing.T) {
			left, err := readLedger(strings.NewReader(c.text))
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, e := range left {
				fmt.Fprintf(&got, "%s %s;", e.Kind, e.Name)
			}
			if got.String() != c.want {
				t.Errorf("got %q, want %q", got.String(), c.want)
			}
		})
	}
	if _, err := readLedger(strings.NewReader("no json\n")); err == nil {
		t.Error("a damaged line passed for none")
	}
}

func TestCleanKeepsWhatItCannotUndo(t *testing.T) {
	l := openLedger(t)
	l.Intend("stone", "heavy")
	l.Close()
	undoes := map[string]Undo{"stone": func(context.Context, string) error { return errors.New("too heavy") }}
	if err := Clean(t.Context(), l.Dir(), undoes, func(Cleaned) {}); err == nil || !strings.Contains(err.Error(), "too heavy") {
		t.Errorf("Clean said %v", err)
	}
	if err := Clean(t.Context(), l.Dir(), nil, func(Cleaned) {}); err == nil || !strings.Contains(err.Error(), "stone") {
		t.Errorf("of an unknown kind Clean said %v", err)
	}
	undoes["stone"] = func(context.Context, string) error { return nil }
	if err := Clean(t.Context(), l.Dir(), undoes, func(Cleaned) {}); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(filepath.Join(l.Dir(), "ledgers", "*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestCleanGoesBackInTime: what was made last rests on what was made before,
// also where another process made that.
func TestCleanGoesBackInTime(t *testing.T) {
	dir := t.TempDir()
	ledgers := make([]*Ledger, 3)
	for i := range ledgers {
		var err error
		if ledgers[i], err = OpenLedger(dir); err != nil {
			t.Fatal(err)
		}
	}
	want := ""
	for i, l := range []int{2, 0, 1, 0, 2, 1} {
		name := fmt.Sprint(i)
		if _, err := ledgers[l].Intend("thing", name); err != nil {
			t.Fatal(err)
		}
		want = name + want
	}
	for _, l := range ledgers {
		l.Close()
	}
	got := ""
	undoes := map[string]Undo{"thing": func(_ context.Context, name string) error {
		got += name
		if name == "4" {
			return errors.New("not this one")
		}
		return nil
	}}
	if err := Clean(t.Context(), dir, undoes, func(Cleaned) {}); err == nil || got != want {
		t.Errorf("undone: %s, want %s; %v", got, want, err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "ledgers", "*")); len(left) != 1 {
		t.Errorf("left: %v, want the one with what could not be undone", left)
	}
}

func TestWriteFileReplacesWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, text := range []string{"one", "two, longer", ""} {
		if err := WriteFile(path, []byte(text), 0o640); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if string(b) != text || err != nil {
			t.Errorf("read %q, %v", b, err)
		}
	}
	if i, _ := os.Stat(path); i.Mode().Perm() != 0o640 {
		t.Errorf("mode %v", i.Mode())
	}
	if all, _ := os.ReadDir(filepath.Dir(path)); len(all) != 1 {
		t.Errorf("left behind: %v", all)
	}
	if err := WriteFile("/nonexistent/x", nil, 0o600); err == nil {
		t.Error("no error for a directory that is not there")
	}
}

func FuzzReadLedger(f *testing.F) {
	f.Add([]byte(`{"n":1,"kind":"a","name":"x"}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		left, err := readLedger(strings.NewReader(string(b)))
		if err != nil && left != nil {
			t.Error("entries beside an error")
		}
	})
}
