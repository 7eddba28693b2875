package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
)

// findingsShown is how many findings of one run are shown whole. Those that
// are as one that was shown take no place.
const findingsShown = 10

// Text writes the outcomes for a person: a table of them, then each finding
// with what was promised and what was found, like ones together.
func Text(w io.Writer, r Run) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SCENARIO\tVERDICT\tROUNDS\tOPERATIONS\tPER SECOND\tBYTES\tP50\tP99\tTOOK")
	for _, o := range r.Outcomes {
		t := o.Tick
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\t%v\t%v\t%v\n", printable(o.Plan.Name), answer(o), o.Rounds,
			Number(t.Acknowledged+t.Refused+t.Unknown), rate(t), Bytes(t.Bytes), Brief(t.Latency.Quantile(0.5)), Brief(t.Latency.Quantile(0.99)), Brief(o.Took))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, o := range r.Outcomes {
		if err := explain(w, o); err != nil {
			return err
		}
	}
	if r.Err != nil {
		if _, err := fmt.Fprintf(w, "\nassay: %v\n", r.Err); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "\n%s\n", r.last())
	return err
}

// last is the verdict on all, in a line.
func (r Run) last() string {
	skipped := ""
	if n := r.skipped(); n > 0 {
		skipped = fmt.Sprintf(", %d of %d skipped", n, len(r.Outcomes))
	}
	return fmt.Sprintf("%s (seed %v)%s", r.Verdict(), r.Seed, skipped)
}

// Quiet writes no more than a line for each finding, those alike together, and
// for each outcome that is neither a pass nor a finding's, and the verdict.
func Quiet(w io.Writer, r Run) error {
	var b strings.Builder
	for _, o := range r.Outcomes {
		for _, g := range grouped(o.Findings) {
			fmt.Fprintf(&b, "%s: %s", printable(o.Plan.Name), oneLine(o.Findings[g.first].String()))
			if len(g.more) > 0 {
				fmt.Fprintf(&b, "; and so %s", g.others(o))
			}
			b.WriteByte('\n')
		}
		if o.Verdict != verdict.Pass && o.Skipped == "" && o.Why != "" {
			fmt.Fprintf(&b, "%s: %s: %s\n", printable(o.Plan.Name), o.Verdict, oneLine(o.Why))
		}
	}
	if r.Err != nil {
		fmt.Fprintf(&b, "assay: %s\n", oneLine(r.Err.Error()))
	}
	_, err := fmt.Fprintf(w, "%s%s\n", b.String(), r.last())
	return err
}

// oneLine is s in a single line that moves no cursor.
func oneLine(s string) string { return printable(strings.ReplaceAll(strings.TrimSpace(s), "\n", "; ")) }

// rate is how many operations there were in a second of the time in which the
// tests ran.
func rate(t verdict.Tick) string {
	if t.Driving <= 0 {
		return "-"
	}
	return Number(int64(float64(t.Acknowledged+t.Refused+t.Unknown) / t.Driving.Seconds()))
}

// answer is the verdict in a table.
func answer(o *scenario.Outcome) string {
	if o.Skipped != "" {
		return "skipped"
	}
	return o.Verdict.String()
}

// explain writes what a person wants to know of an outcome that is no plain pass.
func explain(w io.Writer, o *scenario.Outcome) error {
	var b strings.Builder
	if o.Skipped != "" {
		_, err := fmt.Fprintf(w, "\n%s: skipped: %s\n", printable(o.Plan.Name), indented(o.Skipped, "  "))
		return err
	}
	if o.Why != "" {
		fmt.Fprintf(&b, "\n%s: %s: %s\n", printable(o.Plan.Name), o.Verdict, o.Why)
	}
	if o.Err != nil && o.Why != o.Err.Error() {
		fmt.Fprintf(&b, "\n%s: %v\n", printable(o.Plan.Name), o.Err)
	}
	explainFindings(&b, o)
	whose := "  "
	if len(o.Findings) == 0 {
		whose = printable(o.Plan.Name) + ": "
	}
	for _, f := range o.Faults {
		fmt.Fprintf(&b, "\n%sfault %s: began %s, touched %s %s", whose, f.Name, times(f.Began), Number(f.Touched), unit(f))
		if len(f.Planted) > 0 {
			fmt.Fprintf(&b, " (%s)", strings.Join(quoted(f.Planted), ", "))
		}
		b.WriteByte('\n')
	}
	refusals(&b, whose, o)
	if o.Dir != "" {
		again := o.Dir + "/plan.yaml"
		if o.Again {
			again = "--again " + o.Dir
		}
		fmt.Fprintf(&b, "\n  records  %s (%s)\n", o.Dir, Bytes(o.Size))
		if len(o.Findings) > 0 {
			fmt.Fprintf(&b, "  read     assay history %s --finding 1\n", o.Dir)
		}
		if o.Kept {
			b.WriteString("  kept     by --keep: these records, and what outlives a run of its buckets and directories\n")
		}
		fmt.Fprintf(&b, "  again    assay run %s\n", again)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// refusals writes what the target did not do, and what it said instead.
func refusals(b *strings.Builder, whose string, o *scenario.Outcome) {
	if t := o.Tick; t.Refused+t.Unknown > 0 {
		fmt.Fprintf(b, "\n%s%s operations were refused, %s left without an outcome\n", whose, Number(t.Refused), Number(t.Unknown))
	} else if len(o.Refusals) > 0 {
		fmt.Fprintf(b, "\n%srequests were refused\n", whose)
	}
	for _, r := range o.Refusals {
		fmt.Fprintf(b, "    %s × %s", Number(r.Count), printable(r.What))
		if r.Message != "" {
			fmt.Fprintf(b, ": %s", printable(r.Message))
		}
		b.WriteByte('\n')
	}
}

// explainFindings shows the first of each group of findings whole.
func explainFindings(b *strings.Builder, o *scenario.Outcome) {
	left := len(o.Findings)
	for i, g := range grouped(o.Findings) {
		if i == findingsShown {
			fmt.Fprintf(b, "\n  and %s more findings\n", Number(int64(left)))
			return
		}
		left -= 1 + len(g.more)
		f := o.Findings[g.first]
		fmt.Fprintf(b, "\n  %s: finding %d of %d: %s, found by %s\n", printable(o.Plan.Name), g.first+1, len(o.Findings), strings.ToUpper(string(f.Kind)), f.Check)
		finding(b, f)
		if others := g.others(o); len(g.more) > 0 {
			fmt.Fprintf(b, "    and so    %s\n", others)
		} else if others != "" {
			fmt.Fprintf(b, "    when      %s\n", others)
		}
	}
}

// unit is what a fault touched, in the singular of one.
func unit(f scenario.FaultOutcome) string {
	if f.Touched != 1 {
		return f.Unit
	}
	if word, ok := strings.CutSuffix(f.Unit, "sses"); ok {
		return word + "ss"
	}
	return strings.TrimSuffix(f.Unit, "s")
}

// Finding writes one finding for a person.
func Finding(w io.Writer, f verdict.Finding) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s, found by %s\n", strings.ToUpper(string(f.Kind)), f.Check)
	finding(&b, f)
	_, err := fmt.Fprintf(w, "%s\n", b.String())
	return err
}

func finding(b *strings.Builder, f verdict.Finding) {
	place := f.Target
	if f.Object != "" {
		place += " " + printable(f.Object)
	}
	if f.From != 0 || f.To != 0 {
		place += fmt.Sprintf(", bytes %d to %d", f.From, f.To-1)
	}
	fmt.Fprintf(b, "    where     %s\n    promised  %s\n    found     %s\n", place, f.Promised, indented(f.Found, "              "))
	if f.Blame != "" {
		fmt.Fprintf(b, "    to blame  %s\n", f.Blame)
	}
	looked := "once"
	if f.Last.After(f.First) {
		looked = "again " + f.Last.Sub(f.First).Round(time.Millisecond).String() + " later: "
		if f.Stable {
			looked += "the same"
		} else {
			looked += "no longer the same"
		}
	}
	fmt.Fprintf(b, "    looked    %s, %s\n", f.First.Format("15:04:05.000"), looked)
}

// indented is s with its lines after the first moved in.
func indented(s, by string) string { return strings.ReplaceAll(s, "\n", "\n"+by) }

// printable is s without what would move a terminal's cursor.
func printable(s string) string {
	if q := strconv.Quote(s); q[1:len(q)-1] != s {
		return q
	}
	return s
}

func quoted(all []string) []string {
	q := make([]string, len(all))
	for i, s := range all {
		q[i] = printable(s)
	}
	return q
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return Number(int64(n)) + " times"
}

// Number is n with commas between the thousands.
func Number(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Bytes is n in the largest unit (1024-based) that leaves at least 1 of it.
func Bytes(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	v, i := float64(n), 0
	for v >= 1024 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	if i == 0 {
		return strconv.FormatInt(n, 10) + " B"
	}
	return strconv.FormatFloat(v, 'f', 1, 64) + " " + units[i]
}

// Brief is a duration to three digits.
func Brief(d time.Duration) time.Duration {
	for unit := time.Duration(1); ; unit *= 10 {
		if d < 1000*unit {
			return d.Round(unit)
		}
	}
}
