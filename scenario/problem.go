package scenario

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong in a scenario file.
type Problem struct {
	File         string
	Line, Column int // from 1; 0 if it is nowhere in particular
	Text         string
}

// String is "file:line:column: text".
func (p Problem) String() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.File, p.Text)
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Text)
}

// ConfigError is an error of whoever called: a file, a flag or an environment
// that cannot be. It is told before anything is done.
type ConfigError struct{ Problems []Problem }

const maxProblems = 20 // that are told at once

// Error lists the problems, one a line.
func (e *ConfigError) Error() string {
	var b strings.Builder
	for i, p := range e.Problems {
		if i == maxProblems {
			fmt.Fprintf(&b, "\nand %d more", len(e.Problems)-i)
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.String())
	}
	return b.String()
}

// Misconfigured is a ConfigError that is not in a scenario file; place says
// where it is ("--endpoint e.yaml", "ASSAY_BACKENDS").
func Misconfigured(place, format string, args ...any) error {
	return &ConfigError{[]Problem{{File: place, Text: fmt.Sprintf(format, args...)}}}
}

// IsConfig says whether err is, or wraps, an error of configuration.
func IsConfig(err error) bool {
	var c *ConfigError
	return errors.As(err, &c)
}

// sorted puts problems in the order in which a reader meets them.
func (e *ConfigError) sorted() error {
	slices.SortStableFunc(e.Problems, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return e
}
