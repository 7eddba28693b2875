package pathcheck

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Entry is a line of a file of paths.
type Entry struct {
	Path  string
	Every time.Duration
	Check Check
}

// defaultInterval is that of a path without one.
const defaultInterval = 10 * time.Second

// ReadPaths reads a file of paths: on each line a path, in quotes of Go if there
// are blanks in it, then its interval in whole seconds (10 without one), then its
// check. What begins with # is left out, and so are empty lines.
func ReadPaths(r io.Reader, check Check) ([]Entry, error) {
	var all []Entry
	seen := map[string]int{}
	s := bufio.NewScanner(r)
	for n := 1; s.Scan(); n++ {
		line := strings.TrimSpace(s.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		e, err := parseEntry(line, check)
		if err != nil {
			return nil, fmt.Errorf("pathcheck: line %d: %w", n, err)
		}
		if before, twice := seen[e.Path]; twice {
			return nil, fmt.Errorf("pathcheck: line %d: %s is on line %d already", n, e.Path, before)
		}
		seen[e.Path] = n
		all = append(all, e)
	}
	if err := s.Err(); err != nil {
		return nil, fmt.Errorf("pathcheck: %w", err)
	}
	return all, nil
}

func parseEntry(line string, check Check) (e Entry, err error) {
	e = Entry{Every: defaultInterval, Check: check}
	rest := ""
	if line[0] == '"' || line[0] == '`' {
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			return e, fmt.Errorf("the quotes do not end: %s", line)
		}
		if e.Path, err = strconv.Unquote(quoted); err != nil {
			return e, err
		}
		rest = line[len(quoted):]
	} else if blank := strings.IndexAny(line, " \t"); blank >= 0 {
		e.Path, rest = line[:blank], line[blank:]
	} else {
		e.Path = line
	}
	fields := strings.Fields(rest)
	if len(fields) > 2 {
		return e, fmt.Errorf("%d fields, want a path, an interval and a check", len(fields)+1)
	}
	if len(fields) > 0 {
		if e.Every, err = parseInterval(fields[0]); err != nil {
			return e, err
		}
	}
	if len(fields) > 1 {
		e.Check, err = ParseCheck(fields[1])
	}
	return e, err
}

// parseInterval takes whole seconds, as in the protocol.
func parseInterval(s string) (time.Duration, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < leastInterval || n > mostInterval {
		return 0, fmt.Errorf("interval %.40q, want %d to %d seconds", s, leastInterval, mostInterval)
	}
	return time.Duration(n) * time.Second, nil
}

// StartAll starts them all, with their first checks spread over their intervals,
// so that they do not all come at once for ever.
func (c *Checker) StartAll(all []Entry) {
	for i, e := range all {
		c.StartIn(e.Every*time.Duration(i)/time.Duration(len(all)), e.Path, e.Every, e.Check)
	}
}
