package volume

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// promises are the lines that the commands of a volume have printed, in a file
// of the run's own.
type promises struct {
	mu    sync.Mutex
	file  *os.File
	out   *bufio.Writer
	lines int64
	bytes int64
	past  []promisedRound
	last  string
	at    time.Time // of the last
	err   error     // of the file, the first
}

// promisedRound is what is known of the lines of one round.
type promisedRound struct {
	Round   int   `json:"round"`   // from 0
	From    int64 `json:"from"`    // the number of its first line, from 0
	Flushes int64 `json:"flushes"` // that the disks did, whoever asked for them
	Cut     bool  `json:"cut"`     // a power cut has ended it
}

// Limits of what a command may promise.
const (
	promisesEnding = ".promises"

	lineMax     = 1 << 20 // bytes
	promisesMax = 4 << 30 // bytes of all lines
)

// open begins the file of a volume's promises, in dir, with an ending of its own.
func (p *promises) open(dir, volume, ending string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file != nil {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(dir, slug(volume)+ending), os.O_CREATE|os.O_TRUNC|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	p.file, p.out = f, bufio.NewWriterSize(f, 64<<10)
	return nil
}

// add takes a line without its end.
func (p *promises) add(line []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines++
	p.bytes += int64(len(line)) + 1
	p.last, p.at = string(line[:min(len(line), 200)]), time.Now()
	if _, err := p.out.Write(line); err != nil {
		return p.failed(err)
	}
	return p.failed(p.out.WriteByte('\n'))
}

// failed keeps the first error of the file. The lock is held.
func (p *promises) failed(err error) error {
	if p.err == nil {
		p.err = err
	}
	return err
}

// intact returns the first error of the file.
func (p *promises) intact() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// all is the file with every promise in it.
func (p *promises) all() (path string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		return "", nil
	}
	return p.file.Name(), p.failed(p.out.Flush())
}

// without is a file with every promise but those to be left out, and how many
// they are. The file beside that of all promises is overwritten each time.
func (p *promises) without(leave lineSet) (path string, given int64, err error) {
	if path, err = p.all(); err != nil || path == "" || len(leave) == 0 {
		return path, p.count(), err
	}
	to := path + ".owed"
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return "", 0, err
	}
	w := bufio.NewWriterSize(out, 64<<10)
	err = p.each(path, func(i int64, line []byte) error {
		if leave.has(i) {
			return nil
		}
		given++
		_, err := w.Write(line)
		return err
	})
	return to, given, errors.Join(err, w.Flush(), out.Close())
}

// each gives every line of the file with its end and its number.
func (p *promises) each(path string, do func(i int64, line []byte) error) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	r := bufio.NewReaderSize(in, 64<<10)
	for i := int64(0); ; i++ {
		line, err := wholeLine(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = do(i, append(line, '\n'))
		}
		if err != nil {
			return err
		}
	}
}

// named are the numbers of the lines that say one of these texts, but those to
// be left out. ok: each text is such a line.
func (p *promises) named(texts map[string]bool, leave lineSet) (all lineSet, ok bool, err error) {
	path, err := p.all()
	if err != nil || path == "" {
		return nil, false, err
	}
	found := map[string]bool{}
	var lines []span
	err = p.each(path, func(i int64, line []byte) error {
		text := strings.TrimSpace(string(line))
		if texts[text] && !leave.has(i) {
			found[text] = true
			lines = append(lines, span{i, i + 1})
		}
		return nil
	})
	return lineSet(nil).with(lines...), len(found) == len(texts), err
}

// words are how many there are, for people.
func (p *promises) words() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lines == 0 {
		return ", and had promised nothing"
	}
	return fmt.Sprintf(", and had promised %d lines, the last %q at %s", p.lines, p.last, p.at.Format("15:04:05.000"))
}

func (p *promises) count() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lines
}

// restore begins with the promises that an earlier run has kept.
func (p *promises) restore(from string, k kept, dir, volume string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := p.open(dir, volume, promisesEnding); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes, p.lines, p.past = k.Length, k.Lines, k.Rounds
	if _, err := io.Copy(p.out, io.LimitReader(in, k.Length)); err != nil {
		return err
	}
	p.last, p.at = k.Last, k.At
	return nil
}

// begin begins a round, and reports whether that has not been done before.
func (p *promises) begin(round int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.past); n > 0 && p.past[n-1].Round == round {
		return false
	}
	p.past = append(p.past, promisedRound{Round: round, From: p.lines})
	return true
}

// ended notes how the round has ended; what comes later adds to it, as the
// power of one disk fails after that of another.
func (p *promises) ended(flushes int64, cut bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.past); n > 0 {
		r := &p.past[n-1]
		r.Flushes, r.Cut = max(r.Flushes, flushes), r.Cut || cut
	}
}

// rounds are those in which something may have been promised, the last one last.
func (p *promises) rounds() []promisedRound {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.past)
}

func (p *promises) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		return nil
	}
	err := p.out.Flush()
	if closed := p.file.Close(); err == nil {
		err = closed
	}
	p.file = nil
	return err
}
