package main

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"time"
)

//go:embed budget.txt
var budgetText string

// budget is what the tests of a package may take.
type budget struct {
	pkg   string // import path below the module's
	most  time.Duration
	plain bool // never with the race detector
}

// budgets reads budget.txt. It panics on a line that makes no sense, as the
// file is part of the program.
func budgets() (all []budget) {
	for line := range strings.Lines(budgetText) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		seconds, err := 0, error(nil)
		if len(f) >= 2 {
			seconds, err = strconv.Atoi(f[1])
		}
		if len(f) < 2 || len(f) > 3 || err != nil || seconds <= 0 || len(f) == 3 && f[2] != "plain" {
			panic(fmt.Sprintf("budget.txt: %q: want a package, seconds, and plain or nothing", line))
		}
		all = append(all, budget{f[0], time.Duration(seconds) * time.Second, len(f) == 3})
	}
	return all
}

// module is the import path of the module that is tested.
const module = "github.com/seed-1b600011/assay/"

func budgetOf(pkg string, all []budget) (budget, bool) {
	for _, b := range all {
		if strings.TrimPrefix(pkg, module) == b.pkg {
			return b, true
		}
	}
	return budget{}, false
}
