package owed

import (
	"slices"
	"strings"

	"github.com/seed-1b600011/assay/history"
)

// Stake counts what a target owed at one moment, in operations. What a check
// has seen is not among it: a look promises nothing.
type Stake struct {
	Promised int64 // changes that had to survive: the durable ones where the fault lets the others go
	Changed  int64 // changes that were acknowledged and not superseded, nor voided by a cut or a failed sync
	Lines    int64 // lines that programs have promised
	Answered int64 // operations of any sort that had an answer, reads and probes included
}

// Survived is what a target had at stake when a fault ended, or a round.
type Survived struct {
	Fault string // its place in the plan, as its records have it under Object
	Name  string // its name, as they have it under Verb
	Stake Stake
}

// Owed is what the target owes now.
func (b *Book) Owed(target string) Stake {
	if t := b.targets[target]; t != nil {
		return t.stake(0)
	}
	return Stake{}
}

// Survived are the faults and the rounds of the target that have ended, in
// their order, with what was at stake across each. A fault without an effect
// (one under which the target breaks its word, or that only takes time) puts at
// stake all that was acknowledged before it ended.
func (b *Book) Survived(target string) []Survived {
	if t := b.targets[target]; t != nil {
		return slices.Clone(t.survived)
	}
	return nil
}

// stake is what is owed across a fault of that effect.
func (t *target) stake(e history.Effect) Stake {
	changed, durable := t.promises()
	s := Stake{Promised: changed, Changed: changed, Lines: t.lines, Answered: t.answered}
	if e&(history.Forgets|history.Drops) != 0 {
		s.Promised = durable
	}
	return s
}

// promises counts the changes that are firm and not superseded, and of them
// those that are durable.
func (t *target) promises() (firm, durable int64) {
	seen := map[opKey]bool{} // an operation may concern several registers
	count := func(ops []*op) {
		for _, w := range allowed(ops) {
			if key := (opKey{w.id, w.writer}); w.firm() && w.verb.changes() && !seen[key] {
				seen[key] = true
				firm++
				if w.durable {
					durable++
				}
			}
		}
	}
	for _, o := range t.objects {
		count(o.ops)
	}
	for _, f := range t.files {
		for _, reg := range f.entries {
			count(reg.ops)
		}
		for _, chunk := range f.data.chunks {
			for _, x := range chunk {
				count(x.ops)
			}
		}
		count(f.size.ops)
	}
	return firm, durable
}

// ended notes what was at stake across the fault, or the round, that r ends.
func (t *target) ended(r history.Record) {
	t.survived = append(t.survived, Survived{Fault: strings.Clone(r.Object), Name: strings.Clone(r.Verb), Stake: t.stake(r.Effect)})
}

// count notes that an operation has ended.
func (t *target) count(p *pending, outcome history.Phase) {
	if outcome == history.Unknown {
		return
	}
	t.answered++
	if p.verb == verbExec && outcome != history.Refused {
		t.lines++
	}
}
