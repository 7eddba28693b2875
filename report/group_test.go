package report

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
)

// TestAlike: what differs in numbers and names only is one group, whatever
// stands between; another kind, another text or another target is another.
func TestAlike(t *testing.T) {
	lost := func(object string, round, op int) verdict.Finding {
		return verdict.Finding{Kind: verdict.Lost, Check: "check-files", Target: "volume-1", Object: object, Round: round,
			Promised: fmt.Sprintf("the name (create, operation %d, acknowledged %d.5 s after start) of %s", op, round, object),
			Found:    "no such name", Blame: fmt.Sprintf("the disk: drop-flushes touched %d requests", 7*op)}
	}
	another := lost("a/7", 0, 1)
	another.Found = "an empty file"
	elsewhere := lost("a/8", 3, 1)
	elsewhere.Target = "volume-2"
	stale := lost("a/9", 3, 1)
	stale.Kind = verdict.Stale
	o := outcome(t, "a", verdict.Fail, "")
	o.Rounds = 5
	o.Findings = []verdict.Finding{lost("a/1", 0, 3), another, lost("deadbeef", 0, 4), elsewhere, lost("a/3", 2, 555), stale, lost("a/4", 3, 1), lost("a/1", 3, 1), lost("a/6", 3, 1)}
	var got []string
	for _, g := range grouped(o.Findings) {
		got = append(got, fmt.Sprintf("%d: %s", g.first, g.others(o)))
	}
	want := []string{
		"0: 5 more (findings 3, 5 and 7 to 9), in 3 of 5 rounds (1, 3 and 4), on 5 objects: a/1, deadbeef, a/3, a/4, …",
		"1: in round 1 of 5", "3: in round 4 of 5", "5: in round 4 of 5",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	var text bytes.Buffer
	if err := Text(&text, Run{Seed: 7, Outcomes: []*scenario.Outcome{o}}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(text.String(), "    where     "); n != 4 {
		t.Errorf("%d findings are shown whole:\n%s", n, text.String())
	}
	if !strings.Contains(text.String(), "    and so    5 more (findings 3") || !strings.Contains(text.String(), "    when      in round 4 of 5\n") {
		t.Errorf("\n%s", text.String())
	}
}

func TestRuns(t *testing.T) {
	for want, all := range map[string][]int{
		"": nil, "1": {0}, "1 and 2": {0, 1}, "1 to 3": {0, 1, 2}, "2, 4 and 6 to 8": {1, 3, 5, 6, 7},
		"1, 3, 5, 7, 9, 11, …": {0, 2, 4, 6, 8, 10, 12},
		"1, 3, 5, 7, 9 and 11": {0, 2, 4, 6, 8, 10},
	} {
		if got := runs(all); got != want {
			t.Errorf("%v: %q, want %q", all, got, want)
		}
	}
}

// TestManyKinds: of many different findings ten are shown, and the rest counted.
func TestManyKinds(t *testing.T) {
	o := outcome(t, "a", verdict.Fail, "")
	for i := range 12 {
		text := strings.Repeat("x", i)
		o.Findings = append(o.Findings, verdict.Finding{Kind: verdict.Lost, Found: text}, verdict.Finding{Kind: verdict.Lost, Found: text})
	}
	var text bytes.Buffer
	if err := Text(&text, Run{Outcomes: []*scenario.Outcome{o}}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(text.String(), "    where     "); n != findingsShown || !strings.Contains(text.String(), "and 4 more findings\n") {
		t.Errorf("%d are shown whole:\n%s", n, text.String())
	}
}

// TestQuiet: a line for each group, and why there is no verdict.
func TestQuiet(t *testing.T) {
	failed, open := outcome(t, "a", verdict.Fail, ""), outcome(t, "b", verdict.Inconclusive, "")
	failed.Findings = []verdict.Finding{{Kind: verdict.Lost, Target: "v", Object: "1", Promised: "it", Found: "none\nat all\x1b[2J"}}
	failed.Findings = append(failed.Findings, failed.Findings[0])
	open.Why = "fault x touched nothing"
	left := errors.New("something is left")
	var out bytes.Buffer
	if err := Quiet(&out, Run{Seed: 7, Err: left, Outcomes: []*scenario.Outcome{failed, outcome(t, "c", verdict.Pass, ""), open}}); err != nil {
		t.Fatal(err)
	}
	want := `a: "lost v/1: promised it; found none; at all\x1b[2J"; and so 1 more (finding 2)` + "\nb: inconclusive: fault x touched nothing\nassay: something is left\nfail (seed 7)\n"
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// TestText shows what is said of work, faults and what was kept.
func TestText(t *testing.T) {
	o := outcome(t, "a", verdict.Fail, "")
	o.Findings = []verdict.Finding{{Kind: verdict.Lost, Check: "look", Target: "v", Promised: "it", Found: "nothing"}}
	o.Tick = verdict.Tick{Acknowledged: 1500, Refused: 3, Unknown: 2, Driving: 500 * time.Millisecond}
	o.Faults = []scenario.FaultOutcome{{Name: "kill", Began: 1, Touched: 1, Unit: "processes"}, {Name: "power-cut", Began: 2, Touched: 1234, Unit: "blocks"}}
	o.Dir, o.Size, o.Kept = "/runs/x", 62<<20, true
	var text bytes.Buffer
	if err := Text(&text, Run{Seed: 7, Outcomes: []*scenario.Outcome{o}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"1,505       3,010       0 B", "3 operations were refused, 2 left without an outcome\n",
		"fault kill: began once, touched 1 process\n", "fault power-cut: began 2 times, touched 1,234 blocks\n",
		"records  /runs/x (62.0 MiB)\n", "assay history /runs/x --finding 1\n", "by --keep"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in\n%s", want, text.String())
		}
	}
	d := NewDocument(Run{Outcomes: []*scenario.Outcome{o}})
	if d.Runs[0].Size != 62<<20 {
		t.Errorf("%+v", d.Runs[0])
	}
	if regexp.MustCompile(`(?m) +$`).MatchString(text.String()) {
		t.Errorf("blanks at the end of a line:\n%q", text.String())
	}
}
