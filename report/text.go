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

// findingsShown is how many findings of one run are shown whole.
const findingsShown = 10

// Text writes the outcomes for a person: a table of them, then each finding
// with what was promised and what was found.
func Text(w io.Writer, r Run) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SCENARIO\tVERDICT\tROUNDS\tOPERATIONS\tBYTES\tP50\tP99\tTOOK")
	for _, o := range r.Outcomes {
		t := o.Tick
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%v\t%v\t%v\n", printable(o.Plan.Name), answer(o), o.Rounds,
			Number(t.Acknowledged+t.Refused+t.Unknown), Bytes(t.Bytes), Brief(t.Latency.Quantile(0.5)), Brief(t.Latency.Quantile(0.99)), Brief(o.Took))
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
	skipped := ""
	if n := r.skipped(); n > 0 {
		skipped = fmt.Sprintf(", %d of %d skipped", n, len(r.Outcomes))
	}
	_, err := fmt.Fprintf(w, "\n%s (seed %v)%s\n", r.Verdict(), r.Seed, skipped)
	return err
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
	for i, f := range o.Findings {
		if i == findingsShown {
			fmt.Fprintf(&b, "\n  and %d more findings\n", len(o.Findings)-i)
			break
		}
		finding(&b, o, i, f)
	}
	whose := "  "
	if len(o.Findings) == 0 {
		whose = printable(o.Plan.Name) + ": "
	}
	for _, f := range o.Faults {
		fmt.Fprintf(&b, "\n%sfault %s: began %s, touched %s", whose, f.Name, times(f.Began), Number(f.Touched))
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
		fmt.Fprintf(&b, "\n  records  %s\n  again    assay run %s\n", o.Dir, again)
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

func finding(b *strings.Builder, o *scenario.Outcome, i int, f verdict.Finding) {
	fmt.Fprintf(b, "\n  %s: finding %d of %d: %s, found by %s\n", printable(o.Plan.Name), i+1, len(o.Findings), strings.ToUpper(string(f.Kind)), f.Check)
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
