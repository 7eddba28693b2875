package report

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/seed"
	"github.com/seed-1b600011/assay/verdict"
)

// Run is what one command has run.
type Run struct {
	Seed     seed.Seed
	Outcomes []*scenario.Outcome
	Err      error // what went wrong outside of every outcome, such as something left behind
}

// Verdict is the gravest of the outcomes that were not skipped; of none, and
// where something went wrong outside of them, it is at least inconclusive.
func (r Run) Verdict() verdict.Verdict {
	if !r.Ran() {
		return verdict.Inconclusive
	}
	worst := verdict.Pass
	if r.Err != nil {
		worst = verdict.Inconclusive
	}
	for _, o := range r.Outcomes {
		if o.Skipped == "" {
			worst = max(worst, o.Verdict)
		}
	}
	return worst
}

// Ran is whether anything was run.
func (r Run) Ran() bool { return len(r.Outcomes) > r.skipped() }

// skipped is how many of the outcomes are of plans that were not run.
func (r Run) skipped() int {
	n := 0
	for _, o := range r.Outcomes {
		if o.Skipped != "" {
			n++
		}
	}
	return n
}

// Document is the form in which JSON writes a Run; its schema is docs/run.schema.json.
type Document struct {
	Assay   int             `json:"assay"` // version of the form
	Seed    string          `json:"seed"`  // in decimal, as a string: not every reader of JSON has 64-bit numbers
	Verdict verdict.Verdict `json:"verdict"`
	Error   string          `json:"error,omitempty"` // what went wrong outside of every run
	Runs    []PlanOutcome   `json:"runs"`
}

// PlanOutcome is one plan's part of a Document.
type PlanOutcome struct {
	Scenario   string                  `json:"scenario"`
	Repeat     int                     `json:"repeat"` // which plan of the scenario, from 0
	Seed       string                  `json:"seed"`
	Verdict    verdict.Verdict         `json:"verdict"`
	Why        string                  `json:"why,omitempty"`
	Skipped    string                  `json:"skipped,omitempty"` // it was not run, because the machine lacks this; it counts for nothing in the verdict above
	Began      time.Time               `json:"began"`
	Seconds    float64                 `json:"seconds"`
	Rounds     int                     `json:"rounds"`
	Operations Operations              `json:"operations"`
	Refusals   []verdict.Refusal       `json:"refusals,omitempty"` // what the target said to requests that it did not do
	Faults     []scenario.FaultOutcome `json:"faults"`
	Findings   []verdict.Finding       `json:"findings"`
	Records    string                  `json:"records,omitempty"`       // directory
	Size       int64                   `json:"records_bytes,omitempty"` // that it takes on its disk
	Error      string                  `json:"error,omitempty"`
	Plan       string                  `json:"plan"` // in the language of scenarios
}

// Operations counts what a plan has done.
type Operations struct {
	Acknowledged int64   `json:"acknowledged"`
	Refused      int64   `json:"refused"`
	Unknown      int64   `json:"unknown"`
	Bytes        int64   `json:"bytes"`
	P50          float64 `json:"p50_seconds"`
	P99          float64 `json:"p99_seconds"`
	Max          float64 `json:"max_seconds"`
	Driving      float64 `json:"driving_seconds"` // for which the tests ran
}

// NewDocument is a Run in the form that JSON writes.
func NewDocument(r Run) Document {
	d := Document{Assay: 1, Seed: r.Seed.String(), Verdict: r.Verdict(), Runs: []PlanOutcome{}}
	if r.Err != nil {
		d.Error = r.Err.Error()
	}
	for _, o := range r.Outcomes {
		t := o.Tick
		p := PlanOutcome{Scenario: o.Plan.Name, Repeat: o.Plan.Repeat, Seed: o.Plan.Seed.String(), Verdict: o.Verdict, Why: o.Why, Skipped: o.Skipped,
			Began: o.Began, Seconds: o.Took.Seconds(), Rounds: o.Rounds, Faults: o.Faults, Findings: o.Findings, Records: o.Dir, Size: o.Size, Plan: string(o.Plan.Text()), Refusals: o.Refusals,
			Operations: Operations{t.Acknowledged, t.Refused, t.Unknown, t.Bytes,
				t.Latency.Quantile(0.5).Seconds(), t.Latency.Quantile(0.99).Seconds(), t.Latency.Max.Seconds(), t.Driving.Seconds()}}
		if p.Faults == nil {
			p.Faults = []scenario.FaultOutcome{}
		}
		if p.Findings == nil {
			p.Findings = []verdict.Finding{}
		}
		if o.Err != nil {
			p.Error = o.Err.Error()
		}
		d.Runs = append(d.Runs, p)
	}
	return d
}

// JSON writes the outcomes as one Document.
func JSON(w io.Writer, r Run) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(NewDocument(r))
}

// JUnit writes the outcomes as the XML that build servers read: a case a
// plan, failed if a promise was broken, an error if it was inconclusive,
// skipped if it was.
func JUnit(w io.Writer, r Run) error {
	type message struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
	type testcase struct {
		Name    string   `xml:"name,attr"`
		Class   string   `xml:"classname,attr"`
		Time    string   `xml:"time,attr"`
		Failure *message `xml:"failure"`
		Error   *message `xml:"error"`
		Skipped *message `xml:"skipped"`
	}
	type testsuite struct {
		XMLName  xml.Name   `xml:"testsuite"`
		Name     string     `xml:"name,attr"`
		Tests    int        `xml:"tests,attr"`
		Failures int        `xml:"failures,attr"`
		Errors   int        `xml:"errors,attr"`
		Skipped  int        `xml:"skipped,attr"`
		Cases    []testcase `xml:"testcase"`
	}
	suite := testsuite{Name: "assay", Tests: len(r.Outcomes), Skipped: r.skipped()}
	for _, o := range r.Outcomes {
		c := testcase{Name: o.Plan.Name, Class: "assay", Time: fmt.Sprintf("%.3f", o.Took.Seconds())}
		var text strings.Builder
		if err := explain(&text, o); err != nil {
			return err
		}
		switch {
		case o.Skipped != "":
			c.Skipped = &message{Message: o.Skipped}
		case o.Verdict == verdict.Fail:
			suite.Failures++
			c.Failure = &message{summary(o), o.Verdict.String(), text.String()}
		case o.Verdict == verdict.Inconclusive:
			suite.Errors++
			c.Error = &message{o.Why, o.Verdict.String(), text.String()}
		}
		suite.Cases = append(suite.Cases, c)
	}
	if r.Err != nil {
		suite.Tests++
		suite.Errors++
		suite.Cases = append(suite.Cases, testcase{Name: "assay", Class: "assay", Time: "0.000",
			Error: &message{r.Err.Error(), verdict.Inconclusive.String(), ""}})
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(suite); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func summary(o *scenario.Outcome) string {
	if len(o.Findings) == 0 {
		return o.Why
	}
	return fmt.Sprintf("%d findings, the first: %v", len(o.Findings), o.Findings[0])
}
