package volume_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/scenario"
)

// explain shows what the history of a run that was kept says of the first
// finding's file: without that nobody can tell who is wrong.
func (l *lab) explain(out *scenario.Outcome) {
	l.Helper()
	if out.Dir == "" || len(out.Findings) == 0 {
		return
	}
	of, ops, n := plain(out.Findings[0].Object), map[uint64]bool{}, 0
	var lines []string
	for r, err := range history.ReadDir(filepath.Join(out.Dir, "history")) {
		if err != nil {
			l.Log(err)
			break
		}
		n++
		concerns := plain(r.Object) == of || plain(string(r.Detail)) == of || strings.HasPrefix(r.Verb, "sync") || ops[r.Op] && r.Op != 0
		if concerns || r.Phase >= history.FaultOn {
			ops[r.Op] = true
			lines = append(lines, fmt.Sprintf("%d: %v op %d %s %s [%d:%d] generation %d %.60q", n, r.Phase, r.Op, r.Verb, short(r.Object), r.From, r.To, r.Generation, short(string(r.Detail))))
		}
	}
	l.Logf("%d records, of which of %s:\n%s", n, short(of), strings.Join(lines[max(0, len(lines)-80):], "\n"))
}

// keepEvidence copies what a run has kept to the directory ASSAY_EVIDENCE, if
// that is set: that of a test goes with the test.
func (l *lab) keepEvidence(out *scenario.Outcome) {
	l.Helper()
	if to := os.Getenv("ASSAY_EVIDENCE"); to != "" && out.Dir != "" {
		to = filepath.Join(to, filepath.Base(out.Dir))
		if out, err := exec.Command("cp", "-r", "--sparse=always", out.Dir, to).CombinedOutput(); err != nil {
			l.Logf("%v: %s", err, out)
		}
		l.Logf("its records are in %s", to)
	}
}

// plain is a path without what a test adds to a file's name.
func plain(p string) string {
	dir, name := filepath.Split(p)
	return dir + name[:min(len(name), 8)]
}

func short(p string) string {
	if len(p) > 40 {
		return fmt.Sprintf("%q…%q", p[:16], p[len(p)-6:])
	}
	return fmt.Sprintf("%q", p)
}
