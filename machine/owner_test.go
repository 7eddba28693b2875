package machine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const stranger = 65534

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to another user")
	}
}

// state is a directory of records with a ledger that names a victim.
func victimised(t *testing.T) (dir, ledger, victim string) {
	t.Helper()
	base := t.TempDir()
	dir, victim = filepath.Join(base, "home", "state"), filepath.Join(base, "victim")
	ledger = filepath.Join(dir, ledgersName, "20260101T000000-00000000.ledger")
	for _, d := range []string{filepath.Dir(ledger), victim} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	text := `{"n":1,"kind":"directory","name":"` + victim + `"}` + "\n"
	if err := os.WriteFile(ledger, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, ledger, victim
}

// TestLedgersOfOthers: root obeys no ledger that another user has written, or
// could have, or could have put there; it says which.
func TestLedgersOfOthers(t *testing.T) {
	needRoot(t)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		set  func(dir, ledger string) (names string)
	}{
		{"a ledger of another user", func(_, ledger string) string {
			must(os.Chown(ledger, stranger, stranger))
			return ledger
		}},
		{"a ledger that others may write", func(_, ledger string) string {
			must(os.Chmod(ledger, 0o666))
			return ledger
		}},
		{"a ledger that root's group may write", func(_, ledger string) string {
			must(os.Chmod(ledger, 0o660))
			return ledger
		}},
		{"a directory of ledgers of another user", func(dir, ledger string) string {
			must(os.Chown(filepath.Dir(ledger), stranger, stranger))
			return filepath.Dir(ledger)
		}},
		{"a directory of ledgers that others may write, though sticky", func(dir, ledger string) string {
			must(os.Chmod(filepath.Dir(ledger), 0o777|os.ModeSticky))
			return filepath.Dir(ledger)
		}},
		{"a home of another user", func(dir, _ string) string {
			must(os.Chown(filepath.Dir(dir), stranger, stranger))
			return filepath.Dir(dir)
		}},
		{"a home that a group may write", func(dir, _ string) string {
			must(os.Chmod(filepath.Dir(dir), 0o775))
			return filepath.Dir(dir)
		}},
		{"a link of another user on the way", func(dir, _ string) string {
			home := filepath.Dir(dir)
			must(os.Rename(home, home+"2"))
			must(os.Symlink(home+"2", home))
			must(os.Lchown(home, stranger, stranger))
			return home
		}},
		{"a link into what others may write", func(dir, _ string) string {
			home := filepath.Dir(dir)
			must(os.Rename(home, home+"2"))
			must(os.Symlink("home2", home))
			must(os.Chmod(home+"2", 0o777))
			return home + "2"
		}},
		{"a ledger that is a link", func(_, ledger string) string {
			must(os.Rename(ledger, ledger+"2"))
			must(os.Symlink(ledger+"2", ledger))
			return ledger
		}},
		{"a ledger that is a FIFO", func(_, ledger string) string {
			must(os.Remove(ledger))
			must(unix.Mkfifo(ledger, 0o600))
			return ledger
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir, ledger, victim := victimised(t)
			names := c.set(dir, ledger)
			removed := 0
			err := Clean(t.Context(), dir, Undoes(), func(Cleaned) { removed++ })
			if err == nil || !strings.Contains(err.Error(), names) {
				t.Errorf("said %v, and nothing of %s", err, names)
			}
			if _, err := os.Stat(victim); err != nil || removed > 0 {
				t.Errorf("removed %d: %v", removed, err)
			}
		})
	}
	t.Run("its own", func(t *testing.T) {
		dir, _, victim := victimised(t)
		if err := Clean(t.Context(), dir, Undoes(), func(Cleaned) {}); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(victim); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the directory in root's own ledger: %v", err)
		}
	})
}

// TestLedgerWhereOthersWrite: none is begun there either.
func TestLedgerWhereOthersWrite(t *testing.T) {
	needRoot(t)
	home := filepath.Join(t.TempDir(), "home")
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(home, stranger, stranger); err != nil {
		t.Fatal(err)
	}
	var foreign *ForeignError
	if l, err := OpenLedger(filepath.Join(home, ".local/state/assay")); !errors.As(err, &foreign) || foreign.Path != home {
		t.Errorf("%v, %v", l, err)
	}
	if entries, _ := os.ReadDir(home); len(entries) > 0 {
		t.Errorf("made %v", entries)
	}
}

// TestCleanFreesWhatItThenCleans: what holds the lock of one ledger is in
// another, as a daemon is in its parent's.
func TestCleanFreesWhatItThenCleans(t *testing.T) {
	outer, inner := openLedger(t), (*Ledger)(nil)
	var err error
	if inner, err = OpenLedger(outer.Dir()); err != nil {
		t.Fatal(err)
	}
	for l, kind := range map[*Ledger]string{outer: "holder", inner: "held"} {
		if _, err := l.Intend(kind, "x"); err != nil {
			t.Fatal(err)
		}
	}
	_ = outer.Close() // it names what is left
	var order []string
	undoes := map[string]Undo{
		"holder": func(_ context.Context, _ string) error { return inner.file.Close() },
		"held":   func(_ context.Context, _ string) error { return nil },
	}
	err = Clean(t.Context(), outer.Dir(), undoes, func(c Cleaned) { order = append(order, c.Entry.Kind) })
	if err != nil || strings.Join(order, " ") != "holder held" {
		t.Errorf("%v, %v", order, err)
	}
	if left, _ := os.ReadDir(filepath.Join(outer.Dir(), ledgersName)); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// TestInUse: a ledger in use is named, with its owner.
func TestInUse(t *testing.T) {
	l := openLedger(t)
	if err := Clean(t.Context(), l.Dir(), Undoes(), func(c Cleaned) { t.Errorf("touched %+v", c) }); err != nil {
		t.Fatal(err)
	}
	left, err := InUse(l.Dir())
	if err != nil || len(left) != 1 || left[0].Ledger != l.file.Name() || !strings.Contains(left[0].Owner, "process") {
		t.Errorf("%+v, %v", left, err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
