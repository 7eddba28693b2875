package report

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
)

// group is findings of one run that differ in nothing but where and when: one
// defect, met several times.
type group struct {
	first int   // which of the run's findings, from 0
	more  []int // the others
}

// grouped gathers alike findings; groups stand in the order of their first.
func grouped(all []verdict.Finding) []*group {
	var groups []*group
	alike := map[string]*group{}
	for i, f := range all {
		key := likeness(f)
		if g := alike[key]; g != nil {
			g.more = append(g.more, i)
			continue
		}
		g := &group{first: i}
		alike[key] = g
		groups = append(groups, g)
	}
	return groups
}

// likeness is what a finding says, without its numbers and its names.
func likeness(f verdict.Finding) string {
	words := func(s string) string { // a new one each time: there is no package-level state
		s = strings.ReplaceAll(s, f.Object, "object")
		return regexp.MustCompile(`"[^"]*"|[0-9a-f]*[0-9][0-9a-f]*`).ReplaceAllString(s, "#")
	}
	if f.Object == "" {
		f.Object = "\x00" // which no text has
	}
	return strings.Join([]string{string(f.Kind), f.Check, f.Target, words(f.Promised), words(f.Found), words(f.Blame), fmt.Sprint(f.Stable)}, "\x00")
}

// namesShown is how many objects of a group are named.
const namesShown = 4

// others says in a line which more findings are as the first, and in which
// rounds they were found; "" if there is nothing to say.
func (g *group) others(o *scenario.Outcome) string {
	var parts []string
	if n := len(g.more); n > 0 {
		parts = append(parts, fmt.Sprintf("%s more (finding%s %s)", Number(int64(n)), plural(n), runs(g.more)))
	}
	var rounds []int
	var names []string
	for _, i := range append([]int{g.first}, g.more...) {
		rounds = append(rounds, o.Findings[i].Round)
		if name := o.Findings[i].Object; name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if o.Rounds > 1 {
		slices.Sort(rounds)
		rounds = slices.Compact(rounds)
		switch n := len(rounds); n {
		case 1:
			parts = append(parts, fmt.Sprintf("in round %d of %d", rounds[0]+1, o.Rounds))
		case o.Rounds:
			parts = append(parts, fmt.Sprintf("in each of %d rounds", n))
		default:
			parts = append(parts, fmt.Sprintf("in %d of %d rounds (%s)", n, o.Rounds, runs(rounds)))
		}
	}
	if len(names) > 1 {
		text := fmt.Sprintf("on %s objects: %s", Number(int64(len(names))), strings.Join(quoted(names[:min(len(names), namesShown)]), ", "))
		if len(names) > namesShown {
			text += ", …"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

// runs is ascending numbers, counted from 1, with what is consecutive put together.
func runs(all []int) string {
	var parts []string
	for i := 0; i < len(all); {
		last := i
		for last+1 < len(all) && all[last+1] == all[last]+1 {
			last++
		}
		switch {
		case last == i:
			parts = append(parts, fmt.Sprint(all[i]+1))
		case last == i+1:
			parts = append(parts, fmt.Sprint(all[i]+1), fmt.Sprint(all[last]+1))
		default:
			parts = append(parts, fmt.Sprintf("%d to %d", all[i]+1, all[last]+1))
		}
		if i = last + 1; len(parts) >= runsShown && i < len(all) {
			return strings.Join(parts, ", ") + ", …"
		}
	}
	if n := len(parts); n > 1 {
		return strings.Join(parts[:n-1], ", ") + " and " + parts[n-1]
	}
	return strings.Join(parts, "")
}

const runsShown = 6 // numbers or runs of them, in one list

func plural(n int) string {
	if n == 1 {
		return ""
	}
	return "s"
}
