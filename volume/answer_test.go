package volume

import (
	"strings"
	"testing"

	"github.com/seed-1b600011/assay/verdict"
)

// TestAnswers: what a reader says and how it ends make a finding, no finding, or
// no answer. No crash makes a finding.
func TestAnswers(t *testing.T) {
	const none, kept = "no answer", "kept"
	for _, c := range []struct {
		name, stdout string
		status       int
		want         string // kept, no answer, or the kinds
	}{
		{"it found nothing", "", 0, kept},
		{"it talks and found nothing", "reading\nall is well\n", 0, kept},
		{"it counts what it got", "kept: 3\n", 0, kept},
		{"it looked at less than it got", "kept: 0\n", 0, none},
		{"a finding, as readers have always said it", "lost: 6 rows, the last 6\n", 1, "lost"},
		{"a kind alone", "lost\n", 1, "lost"},
		{"half a line", "stale: it is 7", 1, "stale"},
		{"a finding behind other lines", "reading\nstale: it is 7\n", 1, "stale"},
		{"a finding and more about it", "corrupt: page 7\n  it has 3 keys\nlost: 8\n", 1, "corrupt lost"},
		{"Windows", "lost: 6\r\n", 1, "lost"},
		{"an uncaught exception, set -e, grep", "", 1, none},
		{"a word that is no kind", "Error: database disk image is malformed\n", 1, none},
		{"a kind within a line", "it was lost: 6\n", 1, none},
		{"a finding, and all is well", "lost: 6\n", 0, none},
		{"a finding, and a crash", "lost: 6\n", 2, none},
		{"a panic", "", 2, none},
		{"a signal", "", 135, none},
		{"a panic while it opens", "opening: the database\n", 2, "unreadable"},
		{"an exception while it opens", "opening: the database\n", 1, "unreadable"},
		{"SIGBUS while it opens", "opening: the database\n", 135, "unreadable"},
		{"a finding of its own while it opens", "opening: the database\ncorrupt: page 7\n", 1, "corrupt"},
		{"a panic afterwards", "opening: the database\nopened\n", 2, none},
		{"a panic while it opens the second", "opening: a\nopened\nopening: b\n", 2, "unreadable"},
		{"somebody killed it while it opened", "opening: the database\n", 137, none},
		{"it is not there", "opening: the database\n", 127, none},
		{"it never said opened, and all is well", "opening: the database\n", 0, kept},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := hear([]byte(c.stdout))
			a.status, a.given = c.status, 3
			got := kept
			found, err := a.broken(true)
			if len(found) > 0 {
				got = kinds(found)
			}
			if err != nil {
				got = none
			}
			if got != c.want {
				t.Errorf("%s (%v), want %s", got, err, c.want)
			}
			// Where it was never seen to open a database, no crash is a finding.
			if found, err := a.broken(false); len(found) > 0 && (a.status != 1 || len(a.said) == 0) {
				t.Errorf("%v, %v of a reader that never opened a sound database", found, err)
			}
		})
	}
}

func kinds(all []said) string {
	var words []string
	for _, s := range all {
		words = append(words, string(s.kind))
	}
	return strings.Join(words, " ")
}

func TestAnswerTexts(t *testing.T) {
	a := hear([]byte("ready\nlost: key 7 \n  was there\nopening: db\nopened\nresurrected\n"))
	want := []said{{verdict.Lost, "key 7", "lost: key 7 \n  was there"}, {verdict.Resurrected, "", "resurrected"}}
	if len(a.said) != 2 || a.said[0] != want[0] || a.said[1] != want[1] || !a.opened || a.opening != "" {
		t.Errorf("%+v", a)
	}
}

func TestLineSet(t *testing.T) {
	var s lineSet
	for _, x := range []span{{5, 7}, {1, 2}, {7, 9}, {3, 3}, {20, 30}, {22, 25}} {
		s = s.with(x)
	}
	for i := range int64(40) {
		if want := i == 1 || i >= 5 && i < 9 || i >= 20 && i < 30; s.has(i) != want {
			t.Errorf("%v has %d: %v", s, i, !want)
		}
	}
}
