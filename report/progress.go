package report

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/seed-1b600011/assay/verdict"
)

// Progress shows events as they come: on a terminal one line that is written
// over and over, elsewhere a line per state and one every ten seconds. Its
// Event may be called by several goroutines at once.
type Progress struct {
	w        io.Writer
	terminal bool
	width    int // of the terminal, in columns

	mu      sync.Mutex
	state   verdict.State
	stage   string    // of the state: a stage is measured on its own
	entered time.Time // when the state or the stage began
	before  int64     // what was done by then
	told    time.Time // when the last plain line was written
	last    verdict.Tick
	lastAt  time.Time
	drawn   int // columns of the line on the terminal
	found   int // findings of the scenario
}

const (
	plainEvery = 10 * time.Second
	foundShown = 5 // findings of one scenario, as they come; the report has more
)

// NewProgress writes to w. width is that of the terminal in columns; 0 if w
// is none.
func NewProgress(w io.Writer, width int) *Progress {
	return &Progress{w: w, terminal: width > 0, width: width}
}

// Event shows an event.
func (p *Progress) Event(e verdict.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case e.Finding != nil:
		if p.found++; p.found <= foundShown {
			p.line("finding: %s", oneLine(e.Finding.String()))
		}
	case e.Message != "":
		p.line("%s: %s", printable(e.Scenario), e.Message)
	case e.Tick != nil:
		p.tick(e)
	case e.State == verdict.Done:
		if p.found > foundShown {
			p.line("and %d more findings", p.found-foundShown)
		}
		p.found = 0
		p.erase()
	default:
		p.state, p.stage, p.entered, p.before, p.lastAt = e.State, "", e.At, 0, time.Time{}
		if !p.terminal && e.State == verdict.Drive {
			p.line("%s: %s", title(e), e.State)
			p.told = e.At
		}
	}
}

func (p *Progress) tick(e verdict.Event) {
	if e.Tick.Stage != p.stage {
		p.stage, p.entered, p.before, p.lastAt = e.Tick.Stage, e.At, e.Tick.Done, time.Time{}
	}
	defer func() { p.last, p.lastAt = *e.Tick, e.At }()
	if p.terminal {
		p.draw(p.status(e))
		return
	}
	if e.At.Sub(p.told) >= plainEvery {
		p.line("%s", p.status(e))
		p.told = e.At
	}
}

// status is a tick in a line: state, share, counts, rate, what is left.
func (p *Progress) status(e verdict.Event) string {
	t := e.Tick
	doing := string(t.State)
	if t.Stage != "" {
		doing += " (" + t.Stage + ")"
	}
	parts := []string{title(e), doing}
	if t.Total > 0 {
		parts = append(parts, fmt.Sprintf("%d%%", 100*t.Done/t.Total), fmt.Sprintf("%s of %s", Number(t.Done), Number(t.Total)))
	}
	if !p.lastAt.IsZero() && e.At.After(p.lastAt) {
		seconds := e.At.Sub(p.lastAt).Seconds()
		each, bytes := t.Latency.Count-p.last.Latency.Count, t.Bytes-p.last.Bytes
		if t.State == verdict.Judge { // what checks read is no operation of the run
			each = t.Done - p.last.Done
		}
		parts = append(parts, Number(int64(float64(max(each, 0))/seconds))+"/s")
		if bytes > 0 {
			parts = append(parts, Bytes(int64(float64(bytes)/seconds))+"/s")
		}
	}
	parts = append(parts, Bytes(t.Bytes))
	if bad := t.Refused + t.Unknown; bad > 0 {
		parts = append(parts, Number(bad)+" not acknowledged")
	}
	if done := t.Done - p.before; done > 0 && t.Total > t.Done {
		left := time.Duration(float64(e.At.Sub(p.entered)) / float64(done) * float64(t.Total-t.Done))
		parts = append(parts, left.Round(time.Second).String()+" left")
	}
	return strings.Join(parts, "  ")
}

func title(e verdict.Event) string {
	if e.Round > 0 {
		return fmt.Sprintf("%s, round %d", printable(e.Scenario), e.Round+1)
	}
	return printable(e.Scenario)
}

// draw writes a line over the one before.
func (p *Progress) draw(s string) {
	r := []rune(s)
	if len(r) >= p.width {
		r = append(r[:max(p.width-2, 0)], '…')
	}
	fmt.Fprintf(p.w, "\r%s%s", string(r), strings.Repeat(" ", max(0, p.drawn-len(r))))
	p.drawn = len(r)
}

func (p *Progress) erase() {
	if p.drawn > 0 {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", p.drawn))
		p.drawn = 0
	}
}

// line writes a line that stays.
func (p *Progress) line(format string, args ...any) {
	p.erase()
	fmt.Fprintf(p.w, format+"\n", args...)
}
