// Package scenario owns the language in which people say what is to be proved,
// and the run that proves it: the registry of tests, faults and checks, the
// plan that a seed makes of a scenario, the rounds of a run, the plain executor,
// and the selftest that shows that every check works. It does no I/O on a
// target and knows no live type: specs are data.
//
// # The language
//
// A file is a list of scenarios, bare or under the key scenarios. It is read
// strictly: whatever is unknown, of a wrong type or out of range is a Problem
// with file, line and column, and several are told at once. Everywhere a value
// stands, {one-of: [...]} stands for a choice. Ranges {min: , max: } are drawn
// once a plan where they count things (Count, Amount), and once an item or an
// occurrence elsewhere (Range). The JSON Schema in docs is made from the types.
//
// # Plans
//
// Scenario.Plan decodes the scenario's tree once more and makes every choice on
// the way, each drawn from the seed by its path in the tree, never by turn. The
// tree then is the plan: printing it gives a scenario whose plan is the same
// plan, to the byte.
//
// # Runs
//
// Runner.Run prepares the targets and then goes round: it arms the faults, has
// the Executor do the tasks of one test after the other, takes the faults away,
// heals the targets and lets the checks judge. A fault that ends rounds (a power
// cut) makes as many rounds as it has occurrences. Whatever happens, the targets
// are closed, and what was made is crossed off the ledger.
//
// A fault never acts before its trigger, and one that waits for a count of
// operations acts at exactly that count: the operation that reaches it waits
// until the fault is on, and so do those that end later.
//
// # Adding to it
//
// Packages on the floor above register what they have in a Registry, a value
// that main makes; object.Test and object.Check give tests and checks on buckets
// their types. CONTRIBUTING.md has an example of each.
package scenario
