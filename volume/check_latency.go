package volume

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/verdict"
)

// checkLatency judges the probes since it last did. Those that are late are told
// by spans: one finding for those of which each began before the others ended.
func (v *Volume) checkLatency(longest, p99 time.Duration) (found []verdict.Finding, err error) {
	p, err := v.unjudged()
	if err != nil {
		return nil, err
	}
	for _, probe := range p.all {
		v.judged = max(v.judged, probe.op)
	}
	if longest > 0 {
		for _, span := range spans(p.all, longest) {
			found = append(found, v.late(span, len(p.all), p.faults, fmt.Sprintf("an answer within %v", longest)))
		}
	}
	if worst := slowest(p.all, 0.99, p99); p99 > 0 && len(worst) > 0 {
		found = append(found, v.late(worst, len(p.all), p.faults, fmt.Sprintf("an answer within %v of 99 in 100 probes", p99)))
	}
	if len(found) == 0 {
		return nil, p.proof()
	}
	return found, nil
}

// spans parts the probes that took longer than a limit into those that overlap.
func spans(all []probe, limit time.Duration) (parts [][]probe) {
	late := slices.DeleteFunc(slices.Clone(all), func(p probe) bool { return p.took <= limit })
	slices.SortFunc(late, func(a, b probe) int { return cmp.Compare(a.began, b.began) })
	var end time.Duration
	for _, p := range late {
		if len(parts) == 0 || p.began > end {
			parts = append(parts, nil)
		}
		last := len(parts) - 1
		parts[last] = append(parts[last], p)
		end = max(end, p.began+p.took)
	}
	return parts
}

// slowest are the probes above the limit if that is more than so many may be.
func slowest(all []probe, share float64, limit time.Duration) []probe {
	late := slices.DeleteFunc(slices.Clone(all), func(p probe) bool { return p.took <= limit })
	if float64(len(late)) <= (1-share)*float64(len(all)) {
		return nil
	}
	return late
}

func (v *Volume) late(span []probe, of int, faults []shadow, promised string) verdict.Finding {
	from, to := span[0].began, span[0].began+span[0].took
	worst, objects := span[0], map[string]bool{}
	f := verdict.Finding{Kind: verdict.Late, Target: v.Name(), Promised: promised}
	for _, p := range span {
		from, to = min(from, p.began), max(to, p.began+p.took)
		if p.took > worst.took {
			worst = p
		}
		objects[p.object] = true
		f.Ops = append(f.Ops, p.op)
	}
	if len(objects) == 1 {
		f.Object = worst.object
	}
	f.First, f.Stable = wallTime(from), true // what was seen stays seen
	f.Last = f.First
	const layout = "15:04:05.000"
	f.Found = fmt.Sprintf("%d of %d probes took up to %v between %s and %s", len(span), of, worst.took.Round(time.Microsecond), f.First.Format(layout), wallTime(to).Format(layout))
	if on := overlapping(span, faults); len(on) > 0 {
		f.Found += ", while there was " + strings.Join(on, ", ")
		f.Blame = "the fault: each of them overlaps " + strings.Join(on, " or ")
	} else {
		f.Blame = "the volume or the machine: for some of them no fault was on"
	}
	return f
}

// overlapping names the faults that the probes overlap, if each overlaps one.
func overlapping(span []probe, faults []shadow) (names []string) {
	for _, p := range span {
		none := true
		for _, s := range faults {
			if p.began < s.to && s.from < p.began+p.took {
				none = false
				if !slices.Contains(names, s.fault) {
					names = append(names, s.fault)
				}
			}
		}
		if none {
			return nil
		}
	}
	return names
}

func wallTime(boot time.Duration) time.Time { return time.Now().Add(boot - machine.Boottime()) }
