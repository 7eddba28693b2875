package report

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/verdict"
)

// TestProgressPrintsNoControl: what a scenario is called, or says, moves no cursor
// and sets no title, on a terminal or elsewhere.
func TestProgressPrintsNoControl(t *testing.T) {
	const name = "a\x1b]0;owned\a\u009b2J\r\nb"
	for _, width := range []int{0, 200} {
		var out strings.Builder
		p := NewProgress(&out, width)
		at := time.Unix(0, 0)
		p.Event(verdict.Event{Scenario: name, State: verdict.Drive, At: at})
		p.Event(verdict.Event{Scenario: name, Tick: &verdict.Tick{State: verdict.Drive}, At: at.Add(time.Minute)})
		p.Event(verdict.Event{Scenario: name, Message: "it says \x1b[2J", At: at})
		p.Event(verdict.Event{Scenario: name, Finding: &verdict.Finding{Kind: verdict.Lost, Target: "\x1b[1m", Object: "x\x07"}, At: at})
		text := out.String()
		if strings.ContainsAny(text, "\x1b\a\u009b") || !strings.Contains(text, `a\x1b]0;owned\a`) {
			t.Errorf("width %d: %q", width, text)
		}
	}
}
