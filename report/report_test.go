package report

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
)

func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", 12345678: "12,345,678"} {
		if got := Number(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 10 << 20: "10.0 MiB", 1 << 62: "4096.0 PiB"} {
		if got := Bytes(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{0: "0s", 1234567: "1.23ms", 999: "999ns", 61234 * time.Millisecond: "1m1.2s"} {
		if got := Brief(d).String(); got != want {
			t.Errorf("%d: %s, want %s", d, got, want)
		}
	}
}

func TestTerminalEscapesStayOut(t *testing.T) {
	if got := printable("a\x1b[2Jb"); strings.Contains(got, "\x1b") {
		t.Errorf("%q", got)
	}
	if got := printable("café 日本"); got != "café 日本" {
		t.Errorf("%q", got)
	}
}

// TestProgress shows what a run looks like, on a terminal and elsewhere.
func TestProgress(t *testing.T) {
	at := time.Unix(1000, 0)
	events := func(show func(verdict.Event)) {
		show(verdict.Event{At: at, Scenario: "x", State: verdict.Drive})
		for i := range int64(3) {
			tick := verdict.Tick{State: verdict.Drive, Done: 1000 * i, Total: 4000, Bytes: i << 20, Unknown: i}
			tick.Latency.Count = 1000 * i
			show(verdict.Event{At: at.Add(time.Duration(i) * 6 * time.Second), Scenario: "x", Tick: &tick})
		}
		for range 7 {
			show(verdict.Event{At: at, Scenario: "x", Finding: &verdict.Finding{Kind: verdict.Lost, Object: "key"}})
		}
		show(verdict.Event{At: at, Scenario: "x", State: verdict.Done})
	}
	var plain, terminal bytes.Buffer
	events(NewProgress(&plain, 0).Event)
	want := "x: drive\nx  drive  50%  2,000 of 4,000  166/s  170.7 KiB/s  2.0 MiB  2 not acknowledged  12s left\n"
	if !strings.HasPrefix(plain.String(), want) {
		t.Errorf("got\n%s\nwant\n%s", plain.String(), want)
	}
	if n := strings.Count(plain.String(), "finding: lost"); n != foundShown || !strings.Contains(plain.String(), "and 2 more findings") {
		t.Errorf("%d findings shown:\n%s", n, plain.String())
	}
	events(NewProgress(&terminal, 40).Event)
	for line := range strings.SplitSeq(terminal.String(), "\r") {
		if strings.HasPrefix(line, "x ") && len([]rune(strings.TrimSpace(line))) > 40 {
			t.Errorf("wider than the terminal: %q", line)
		}
	}
	if !strings.Contains(terminal.String(), "\rx  drive  50%") {
		t.Errorf("%q", terminal.String())
	}
}

// TestSkipped: what was not run is told, and counts for nothing.
func TestSkipped(t *testing.T) {
	skipped := outcome(t, "b", verdict.Inconclusive, "no disk\nno kernel")
	for _, c := range []struct {
		with *scenario.Outcome
		want verdict.Verdict
		text string
	}{
		{outcome(t, "a", verdict.Pass, ""), verdict.Pass, "pass (seed 7), 1 of 2 skipped"},
		{outcome(t, "a", verdict.Fail, ""), verdict.Fail, "fail (seed 7), 1 of 2 skipped"},
		{outcome(t, "a", verdict.Inconclusive, "x"), verdict.Inconclusive, "inconclusive (seed 7), 2 of 2 skipped"},
	} {
		r := Run{Seed: 7, Outcomes: []*scenario.Outcome{c.with, skipped}}
		if r.Verdict() != c.want {
			t.Errorf("%v, want %v", r.Verdict(), c.want)
		}
		var text, junit, document bytes.Buffer
		if err := errors.Join(Text(&text, r), JUnit(&junit, r), JSON(&document, r)); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{c.text, "b: skipped: no disk\n  no kernel\n"} {
			if !strings.Contains(text.String(), want) {
				t.Errorf("%q is not in\n%s", want, text.String())
			}
		}
		if !strings.Contains(junit.String(), `<skipped message="no disk&#xA;no kernel"`) || !strings.Contains(document.String(), `"skipped": "no disk\nno kernel"`) {
			t.Errorf("%s\n%s", junit.String(), document.String())
		}
	}
}

// outcome is that of a plan that was not run.
func outcome(t *testing.T, name string, v verdict.Verdict, skipped string) *scenario.Outcome {
	t.Helper()
	all, err := scenario.Parse("test", []byte("- {name: "+name+", required: {buckets: 1}, tests: [nothing], checks: [look]}"), registry())
	if err != nil {
		t.Fatal(err)
	}
	p, err := all[0].Plan(1, 0, scenario.Adjust{})
	if err != nil {
		t.Fatal(err)
	}
	return &scenario.Outcome{Plan: p, Verdict: v, Skipped: skipped}
}

func registry() *scenario.Registry {
	reg := &scenario.Registry{}
	reg.Target(scenario.Target{Kind: scenario.BucketKind})
	reg.Test(scenario.Test{Name: "nothing", Target: scenario.BucketKind})
	reg.Check(scenario.Check{Name: "look", Target: scenario.BucketKind, Controls: []scenario.Control{{Name: "planted", Wants: verdict.Lost}, {Name: "clean"}}})
	return reg
}
