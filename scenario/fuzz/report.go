package fuzz

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/seed-1b600011/assay/seed"
	"github.com/seed-1b600011/assay/verdict"
)

// Report is what a fuzzer has done.
type Report struct {
	Seed      seed.Seed
	Began     time.Time
	Scenarios int
	Verdicts  map[string]map[verdict.Verdict]int // by oracle
	Duties    map[string]map[Must]int            // of plants, by oracle
	Reasons   map[string]int                     // why runs were inconclusive
	Found     []Found
	seen      map[string]bool // signatures of breaks that were shrunk
}

func (r *Report) count(s Scenario, t tried) {
	oracle, _, _ := strings.Cut(s.Name, " ")
	if r.Verdicts == nil {
		r.Verdicts, r.Duties, r.Reasons, r.seen = map[string]map[verdict.Verdict]int{}, map[string]map[Must]int{}, map[string]int{}, map[string]bool{}
	}
	r.Scenarios++
	if r.Verdicts[oracle] == nil {
		r.Verdicts[oracle], r.Duties[oracle] = map[verdict.Verdict]int{}, map[Must]int{}
	}
	if !t.ran {
		return
	}
	r.Verdicts[oracle][t.verdict]++
	if t.verdict == verdict.Inconclusive {
		r.Reasons[reason(t.why)]++
	}
	if t.duty != nil {
		r.Duties[oracle][t.duty.Must]++
	}
}

// knows reports whether a break like this one was shrunk already: to do it once
// more would take the time that another needs to be found.
func (r *Report) knows(s Scenario, found Found) bool {
	signature := []string{found.What}
	for _, u := range s.Faults {
		signature = append(signature, u.Name)
	}
	slices.Sort(signature[1:])
	key := strings.Join(signature, " ")
	known := r.seen[key]
	r.seen[key] = true
	return known
}

// Conclusive is the share of honest runs that were not inconclusive, of those
// that had a verdict.
func (r *Report) Conclusive() float64 {
	v := r.Verdicts[honestName]
	all := v[verdict.Pass] + v[verdict.Inconclusive] + v[verdict.Fail]
	if all == 0 {
		return 0
	}
	return float64(all-v[verdict.Inconclusive]) / float64(all)
}

// String is the report for a person.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d scenarios in %v (seed %v)\n", r.Scenarios, time.Since(r.Began).Round(time.Second), r.Seed)
	for _, oracle := range slices.Sorted(maps.Keys(r.Verdicts)) {
		v := r.Verdicts[oracle]
		fmt.Fprintf(&b, "  %-10s %4d pass, %d inconclusive, %d fail", oracle, v[verdict.Pass], v[verdict.Inconclusive], v[verdict.Fail])
		for _, m := range slices.Sorted(maps.Keys(r.Duties[oracle])) {
			fmt.Fprintf(&b, "; %d %s", r.Duties[oracle][m], m)
		}
		b.WriteString("\n")
	}
	if len(r.Verdicts[honestName]) > 0 {
		fmt.Fprintf(&b, "  %.0f %% of the honest runs were conclusive\n", 100*r.Conclusive())
	}
	reasons := slices.Collect(maps.Keys(r.Reasons))
	slices.SortFunc(reasons, func(x, y string) int { return cmp.Or(r.Reasons[y]-r.Reasons[x], strings.Compare(x, y)) })
	for _, why := range reasons {
		fmt.Fprintf(&b, "  inconclusive %4d: %s\n", r.Reasons[why], why)
	}
	fmt.Fprintf(&b, "  %d broke an oracle\n", len(r.Found))
	return b.String()
}

// String is what was found, with the file and the command that show it again.
func (f Found) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "FOUND in scenario %d: %s\n%s\n", f.Number, f.What, indented(f.Detail))
	fmt.Fprintf(&b, "  %d of %d runs broke; the smallest that did:\n%s", f.Again, f.Runs, indented(f.Shrunk))
	if f.File != "" {
		fmt.Fprintf(&b, "\n  again: assay selftest --fuzz-again %s", f.File)
	}
	if f.Dir != "" {
		fmt.Fprintf(&b, "\n  records: %s", f.Dir)
	}
	return b.String()
}

// indented is text for a terminal: file names may hold any byte.
func indented(s string) string {
	s = strings.Map(func(c rune) rune {
		if c == '\n' || unicode.IsPrint(c) && c != unicode.ReplacementChar {
			return c
		}
		return '?'
	}, s)
	return "    " + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n    ")
}
