package volume

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-1b600011/assay/verdict"
	"golang.org/x/sys/unix"
)

// The protocol of readers: what the command of the check exec says of the
// promises is in lines on its standard output, and its exit status agrees.
//
//	KIND: text      with status 1: a promise is broken, of a kind of finding; text may be the promised line
//	kept: N         with status 0: all are kept, and so many lines were looked at
//	opening: NAME   it begins to open a database: if it ends before it has said "opened", the database is unreadable
//	opened
//
// No crash says that: an uncaught exception, set -e and a failed assertion end
// with a status that is not 0 and with nothing on standard output, or with
// nothing of these words. Without a word a status says nothing, but 0. What a
// reader says on standard error is for people.

// answer is what a reader has said.
type answer struct {
	status  int
	said    []said
	opening string // the database that it was opening when it ended; empty: none
	opened  bool   // it has opened all that it began to open, one at least
	looked  int64  // how many lines it has looked at; -1: it did not say
	given   int64  // how many it got; -1: not known
	stdout  string
	stderr  string
}

// said is one finding of a reader's.
type said struct {
	kind verdict.Kind
	text string // what follows the kind
	all  string // the line, and those after it that are no words of the protocol
}

// hear reads what a reader has printed on its standard output.
func hear(stdout []byte) answer {
	a := answer{looked: -1, given: -1, stdout: string(stdout)}
	last := -1 // the finding that the lines belong to
	for line := range bytes.Lines(stdout) {
		text := strings.TrimRight(string(line), "\r\n")
		word, rest, colon := strings.Cut(text, ":")
		rest = strings.TrimSpace(rest)
		switch kind := verdict.Kind(word); {
		case slices.Contains(verdict.Kinds(), kind):
			a.said, last = append(a.said, said{kind, rest, text}), len(a.said)
			continue
		case word == "opening" && colon:
			a.opening = rest
			if rest == "" {
				a.opening = "a database"
			}
		case text == "opened" || word == "opened" && colon:
			a.opened, a.opening = a.opened || a.opening != "", ""
		case word == "kept" && colon:
			if n, err := strconv.ParseInt(rest, 10, 64); err == nil && n >= 0 {
				a.looked = n
			}
		default:
			if last >= 0 {
				a.said[last].all += "\n" + text
			}
			continue
		}
		last = -1
	}
	a.opened = a.opened && a.opening == ""
	return a
}

// broken is what the reader found broken; none: all is kept. opens says that the
// reader was seen to open a sound database. The error says why it is no answer.
func (a answer) broken(opens bool) ([]said, error) {
	switch {
	case a.status == 0 && len(a.said) > 0:
		return nil, fmt.Errorf("ended with status 0 and said %q, which is no answer%s", excerpt(a.said[0].all), a.printed())
	case a.status == 0 && a.looked >= 0 && a.given >= 0 && a.looked != a.given:
		return nil, fmt.Errorf("got %d lines and looked at %d, which is no answer%s", a.given, a.looked, a.printed())
	case a.status == 0:
		return nil, nil
	case a.status == 1 && len(a.said) > 0:
		return a.said, nil
	case a.opening != "" && opens && !killed(a.status):
		how := fmt.Sprintf("the reader ended with %s while it opened %s, as it did not before the first fault", statusName(a.status), a.opening)
		return []said{{verdict.Unreadable, how, how}}, nil
	case a.opening != "":
		return nil, fmt.Errorf("ended with %s while it opened %s, which is no answer%s", statusName(a.status), a.opening, a.printed())
	case a.status == 1:
		return nil, fmt.Errorf("ended with status 1 and named no kind of finding (as \"lost: …\" does) on its standard output, which is no answer%s", a.printed())
	}
	return nil, fmt.Errorf("ended with %s, which is no answer%s", statusName(a.status), a.printed())
}

// printed is what the reader has printed, for people.
func (a answer) printed() string {
	s := ""
	if out := strings.TrimSpace(a.stdout); out != "" {
		s += "; it printed: " + excerpt(out)
	}
	if a.stderr != "" {
		s += "; on standard error: " + excerpt(a.stderr)
	}
	return s
}

// killed reports whether a status is that of a command that somebody else has
// ended, or that was not to be run: it says nothing of what the command did.
func killed(status int) bool {
	switch status {
	case notRunnable, notStarted:
		return true
	}
	switch unix.Signal(status - signaled) {
	case unix.SIGKILL, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGPIPE, unix.SIGALRM, unix.SIGXCPU:
		return true
	}
	return false
}

// statusName is an exit status with the signal that a shell means by it.
func statusName(status int) string {
	if name := unix.SignalName(unix.Signal(status - signaled)); status > signaled && name != "" {
		return fmt.Sprintf("status %d (%s)", status, name)
	}
	return fmt.Sprintf("status %d", status)
}
