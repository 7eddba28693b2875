package scenario

import (
	"fmt"

	"github.com/seed-1b600011/assay/owed"
)

// account is what a run has put at stake. It is made from the book, so that it
// counts what was owed and not what was done.
type account struct {
	unproved []string      // checks that had nothing at stake, in words
	touched  map[int]int64 // by the place of a fault that ends rounds: what was owed across it
}

// takeStock makes the account, at the end of a run.
func (run *run) takeStock() error {
	book, err := run.env.Book()
	if err != nil {
		return fmt.Errorf("what was at stake: %w", err)
	}
	a := account{touched: map[int]int64{}}
	for _, use := range run.env.Plan.Checks {
		if why := run.proves(book, use); why != "" {
			a.unproved = append(a.unproved, why)
		}
	}
	for i, s := range run.faults {
		for _, l := range s.lives {
			for _, x := range book.Survived(l.Target()) {
				if x.Fault == s.place {
					a.touched[i] += run.weight(l, x.Stake)
				}
			}
		}
	}
	run.mu.Lock()
	defer run.mu.Unlock()
	run.account = a
	return nil
}

// proves returns why a check proves nothing, or "".
func (run *run) proves(book *owed.Book, use CheckUse) string {
	var atStake, faults int64
	for _, t := range run.env.Plan.aimed(use.Check.Target, use.Aim) {
		l := run.lives[use.Check.Target][t]
		if !run.faulty(l) {
			atStake += use.Check.Proves.of(book.Owed(l.Target()))
			continue
		}
		for _, x := range book.Survived(l.Target()) {
			if x.Fault != "" {
				faults++
				atStake += use.Check.Proves.of(x.Stake)
			}
		}
	}
	switch {
	case atStake > 0:
		return ""
	case faults > 0:
		return fmt.Sprintf("nothing was at stake for %s: nothing was owed across any of %d faults", use.Check.Name, faults)
	}
	return fmt.Sprintf("nothing was at stake for %s: no operation that it judges was acknowledged", use.Check.Name)
}

// faulty reports whether a fault of the plan is for the target.
func (run *run) faulty(l Live) bool {
	for _, s := range run.faults {
		for _, o := range s.lives {
			if o == l {
				return true
			}
		}
	}
	return false
}

// weight is what of a stake the plan's checks on the target would miss.
func (run *run) weight(l Live, s owed.Stake) (most int64) {
	for _, use := range run.env.Plan.Checks {
		for _, t := range run.env.Plan.aimed(use.Check.Target, use.Aim) {
			if run.lives[use.Check.Target][t] == l {
				most = max(most, use.Check.Proves.of(s))
			}
		}
	}
	return most
}
