// Package verdict has the words in which assay answers: the kinds of broken
// promise, findings with their evidence, the verdict of a run, and the events
// from which every progress line, report, page and metric is made. It knows
// nothing of where they come from.
package verdict
