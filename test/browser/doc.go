// Package browser presses the pages of assay for real: it starts the binary,
// opens its pages in a headless Chromium, wide and as on a phone, and does what
// a person would with keyboard and mouse. It is a module of its own, so that
// nothing of it is among the dependencies of assay.
package browser
