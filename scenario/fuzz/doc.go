// Package fuzz turns the language of scenarios against the tool that reads it:
// it makes scenarios out of everything that a registry knows, runs them on real
// targets, and holds the verdicts to oracles that share no code with those who
// judge.
//
// # The oracles
//
// Honest: a scenario whose faults an honest stack must survive (power cuts,
// kills, pauses, pressure, full disks, delays, errors that the disk reports, and
// the death of assay's own processes) must never fail. Inconclusive is allowed,
// and so that a fuzzer whose runs are all inconclusive does not look well, the
// share of those that were not is part of the report.
//
// Planted: a [Plant] makes a scenario with one lie and says, from what the target
// itself recorded, what the verdict must be: a finding of some kinds where bytes
// that were owed were hit, none where nothing was hit, no pass where nothing was
// at stake, or nothing at all where the plant cannot know.
//
// Whatever the oracle, a scenario that was made must be read, planned, printed
// and read again as the same plan to the byte; a run must end within its timeout
// and a little patience, without a panic, and leave nothing behind.
//
// # Reproducing
//
// Scenario number i of a seed is always the same text: everything is drawn by
// name and index. What breaks an oracle is made smaller by dropping parts while
// it still breaks, and told as a scenario file. The first word of the scenario's
// name says which oracle it is held to, so that [Fuzzer.Again] needs only the file.
//
// # Who knows what
//
// The registry says which tests, faults, checks and options there are and what
// their values may be. A [Domain] says what it cannot: how a target of one kind is
// described, which values keep a run small, which faults are honest, which
// processes serve it. Packages register domains as they register controls.
package fuzz
