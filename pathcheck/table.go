package pathcheck

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Table writes rows as a table of so many columns and lines at most, those that
// need a look first: paths that hang, then those with errors, then the slow ones.
// Where there is no room for all, the last line says how many are left out.
func Table(w io.Writer, rows []Row, width, height int) error {
	rows = slices.Clone(rows)
	slices.SortStableFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(b.Hung, a.Hung), cmp.Compare(min(b.Err, 1), min(a.Err, 1)), cmp.Compare(b.P99, a.P99))
	})
	out := rows
	if len(rows)+1 > height {
		out = rows[:max(0, height-2)]
	}
	longest := len("PATH")
	for _, r := range out {
		longest = max(longest, utf8.RuneCountInString(r.Path))
	}
	const columns = "%-*s %9s %9s %9s %9s  %-*s %s\n"
	const fixed, state = 4*10 + 3, 26
	path := min(longest, max(12, width-fixed-state-recent))
	spark := max(0, min(recent, width-fixed-state-path))
	var b strings.Builder
	fmt.Fprintf(&b, columns, path, "PATH", "LAST", "P50", "P99", "MAX", state-1, "STATE", "")
	for _, r := range out {
		fmt.Fprintf(&b, columns, path, tailOf(r.Path, path), short(r.Last), short(r.P50), short(r.P99), short(r.Max),
			state-1, headOf(r.State(), state-1), Sparkline(r.Recent, spark))
	}
	if left := len(rows) - len(out); left > 0 {
		fmt.Fprintf(&b, "and %d more paths, all of them faster\n", left)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// tailOf shortens a path, whose end tells more than its beginning.
func tailOf(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return "…" + string(r[len(r)-n+1:])
}

func headOf(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}

// short is a delay in four to seven characters.
func short(d time.Duration) string {
	switch {
	case d <= 0:
		return "-"
	case d < time.Millisecond:
		return fmt.Sprintf("%dµs", d.Microseconds())
	case d < time.Second:
		return fmt.Sprintf("%.1fms", d.Seconds()*1000)
	case d < 100*time.Second:
		return fmt.Sprintf("%.2fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// Sparkline draws the last n delays, one character each, the lowest bar for the
// shortest and the highest for the longest, ten times as much or more apart; a
// cross is a check without an answer or with an error.
func Sparkline(delays []time.Duration, n int) string {
	bars := []rune("▁▂▃▄▅▆▇█")
	delays = delays[max(0, len(delays)-n):]
	low, high := math.Inf(1), 0.0
	for _, d := range delays {
		if d >= 0 {
			low, high = min(low, float64(d)), max(high, float64(d))
		}
	}
	low = max(1, low)
	span := math.Log(max(10, high/low))
	var b strings.Builder
	for _, d := range delays {
		if d < 0 {
			b.WriteRune('×')
			continue
		}
		share := math.Log(max(1, float64(d)/low)) / span
		b.WriteRune(bars[min(int(share*float64(len(bars))), len(bars)-1)])
	}
	return b.String()
}
