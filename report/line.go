package report

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-1b600011/assay/content"
	"github.com/seed-1b600011/assay/history"
)

// lineForm has fixed columns, for a history is not held to measure it.
const lineForm = "%12s  %9s  %-13s  %-12s  %s\n"

// piecesShown is how many pieces of what was seen stand in a line.
const piecesShown = 8

// line is an entry for a person.
func (e entry) line() string {
	what, outcome, on := e.Verb, e.Phase.String(), ""
	switch e.Phase {
	case history.FaultOn, history.FaultOff:
		outcome, on = map[history.Phase]string{history.FaultOn: "fault begins", history.FaultOff: "fault ends"}[e.Phase], e.fault()
	case history.Round:
		outcome, on = "round ends", e.on(fmt.Sprintf("round %d", e.round), e.effect())
	case history.Checkpoint:
		what, outcome, on = "checkpoint", "", fmt.Sprintf("what was done before comes to %s records, which are not shown", Number(int64(e.folded)))
	case history.Observed:
		on = e.on(e.saw())
	case history.Issued:
		if e.underWay {
			outcome = "no outcome"
		}
		on = e.on(e.bytes(), e.detail(), e.cut())
	default:
		on = e.on(e.bytes(), e.after(), e.detail())
	}
	if what == "" {
		what = "-" // of an operation that began before what could be read
	}
	line := fmt.Sprintf(lineForm, strconv.FormatFloat(e.since.Seconds(), 'f', 6, 64), e.operation(), printable(what), outcome, on)
	return strings.TrimRight(line, " \n") + "\n"
}

// operation is the number of the operation, after its writer where there are several.
func (e entry) operation() string {
	switch {
	case e.Op == 0:
		return ""
	case e.Writer == 0:
		return strconv.FormatUint(e.Op, 10)
	}
	return fmt.Sprintf("%d/%d", e.Writer, e.Op)
}

// on is the target, the object, its new name, and what else is said, with commas.
func (e entry) on(more ...string) string {
	place := printable(e.Target)
	if e.Object != "" && e.Phase != history.Round { // there it is the fault's place in the plan
		place += " " + printable(e.Object)
	}
	if e.name != "" {
		place += " to " + printable(e.name)
	}
	parts := slices.DeleteFunc(append([]string{strings.TrimSpace(place)}, more...), func(s string) bool { return s == "" })
	return strings.Join(parts, ", ")
}

// bytes is what the operation writes, or the size that it gives the object.
func (e entry) bytes() string {
	text := ""
	switch {
	case e.Verb == "probe":
		return "" // its range is a time
	case e.Verb == "put" || e.Verb == "truncate" && e.Phase != history.Refused:
		text = "size " + Bytes(e.To)
	case e.To > e.From:
		text = fmt.Sprintf("bytes %d to %d (%s)", e.From, e.To-1, Bytes(e.To-e.From))
	}
	if e.Generation != 0 {
		text += fmt.Sprintf(", generation %d", e.Generation)
	}
	return strings.TrimPrefix(text, ", ")
}

// detail is what else the verb says: an error, a line of a program, a probe's kind.
func (e entry) detail() string {
	text := string(e.Detail)
	switch {
	case len(text) == 0 || e.name != "" && e.Phase == history.Issued:
		return ""
	case e.Verb == "probe" && e.Phase == history.Issued:
		return fmt.Sprintf("%s, %v", printable(text), Brief(time.Duration(e.To)))
	case e.Verb == "exec":
		return strconv.Quote(text)
	}
	return printable(text)
}

func (e entry) after() string {
	if e.took <= 0 {
		return ""
	}
	return "after " + Brief(e.took).String()
}

// cut says why an operation has no outcome.
func (e entry) cut() string {
	switch {
	case !e.underWay:
		return ""
	case e.round > 0:
		return fmt.Sprintf("cut off by the end of round %d", e.round)
	}
	return "under way where the history ends"
}

// saw is what was seen of the object.
func (e entry) saw() string {
	s := e.seen
	switch {
	case s == nil:
		return "what was seen cannot be decoded"
	case s.Err != "":
		return "cannot be read: " + printable(s.Err)
	case !s.Present:
		return "is not there"
	case s.Dir:
		return "a directory"
	}
	var pieces []string
	for i, p := range s.Spans {
		if i == piecesShown {
			pieces = append(pieces, fmt.Sprintf("and %d more pieces", len(s.Spans)-i))
			break
		}
		pieces = append(pieces, piece(p, s.Size))
	}
	return strings.Join(append([]string{"size " + Bytes(s.Size)}, pieces...), ", ")
}

// piece is a run of bytes that was seen in an object of a size.
func piece(p content.Span, size int64) string {
	is := p.Class.String()
	switch p.Class {
	case content.Exact, content.Older, content.Newer:
		is = fmt.Sprintf("generation %d", p.Is.Generation)
	case content.Misdirected:
		is = fmt.Sprintf("generation %d of object %016x from its byte %d on", p.Is.Generation, p.Is.Object, p.IsOff)
	case content.Corrupt:
		is = fmt.Sprintf("generation %d with %s wrong bits, the first in byte %d", p.Is.Generation, Number(p.BitsWrong), p.FirstWrong/8)
	}
	if p.From == 0 && p.To == size {
		return is
	}
	return fmt.Sprintf("bytes %d to %d %s", p.From, p.To-1, is)
}

// effect is what a fault or the end of a round allows the target to do.
func (e entry) effect() string {
	if e.Effect == 0 {
		return ""
	}
	return "effect: " + e.Effect.String()
}

// fault is what a fault's record says: its target, its options, what it touched.
func (e entry) fault() string {
	var said struct {
		Options map[string]any `json:"options"`
	}
	var parts []string
	if e.Target != "" {
		parts = append(parts, printable(e.Target))
	}
	if json.Unmarshal(e.Detail, &said) == nil {
		for _, name := range slices.Sorted(maps.Keys(said.Options)) {
			switch o := said.Options[name]; o {
			case nil, "", 0.0, false:
			default:
				b, err := json.Marshal(o)
				if err == nil {
					parts = append(parts, fmt.Sprintf("%s: %s", printable(strings.ToLower(name)), b))
				}
			}
		}
	}
	if effect := e.effect(); effect != "" {
		parts = append(parts, effect)
	}
	if e.Phase == history.FaultOff {
		parts = append(parts, "touched "+Number(e.From))
	}
	return strings.Join(parts, ", ")
}
