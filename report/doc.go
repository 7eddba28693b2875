// Package report shows what a run found: while it goes on, as progress from
// its events, and afterwards as text, JSON or JUnit. It computes no verdict:
// whatever it shows was decided before.
package report
