package pathcheck

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

var csvHeader = []string{"time", "path", "errno", "delay_seconds", "late_seconds"}

// CSV writes each check as a line of comma-separated values (RFC 4180): when it
// began, as RFC 3339 with nanoseconds, the path, the errno, how long it took and
// how late it began, in seconds. An interval without a check is a line with errno
// 115 (EINPROGRESS), the time that it was due, and how long the check before has
// taken so far. A file that hangs holds nothing up: lines that cannot be written
// are dropped.
type CSV struct{ out *writer }

// NewCSV begins with the header.
func NewCSV(w io.Writer) *CSV {
	c := &CSV{newWriter(w, true)}
	c.put(csvHeader...)
	return c
}

func (c *CSV) put(fields ...string) {
	var b strings.Builder
	w := csv.NewWriter(&b)
	_ = w.Write(fields) // to memory
	w.Flush()
	c.out.put(b.String())
}

// Event takes note of an event.
func (c *CSV) Event(e Event) {
	seconds := func(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 6, 64) }
	switch e.Kind {
	case Checked:
		c.put(e.Began.UTC().Format(time.RFC3339Nano), e.Path, strconv.Itoa(int(e.Err)), seconds(e.Delay), seconds(max(0, e.Began.Sub(e.Due))))
	case Missed:
		c.put(e.Due.UTC().Format(time.RFC3339Nano), e.Path, strconv.Itoa(int(unix.EINPROGRESS)), seconds(e.Delay), "0.000000")
	}
}

// Close waits a little for what is to be written.
func (c *CSV) Close() error { return c.out.flush(unreadFor) }

// Line is a line of a CSV.
type Line struct {
	At    time.Time
	Path  string
	Err   syscall.Errno
	Delay time.Duration
}

// ReadCSV reads what CSV has written. A last line that is cut off is left out.
func ReadCSV(r io.Reader) ([]Line, error) {
	in := csv.NewReader(r)
	in.FieldsPerRecord = -1
	var all []Line
	for n := 1; ; n++ {
		f, err := in.Read()
		if err == io.EOF {
			return all, nil
		}
		if err == nil && len(f) != len(csvHeader) {
			if _, next := in.Read(); next == io.EOF && n > 1 {
				return all, nil
			}
			err = fmt.Errorf("%d fields, want %d", len(f), len(csvHeader))
		}
		if err == nil && n == 1 {
			if f[0] != csvHeader[0] {
				return nil, fmt.Errorf("pathcheck: not a file of assay pathcheck: it begins with %.40q", f[0])
			}
			continue
		}
		var l Line
		if err == nil {
			l, err = parseLine(f)
		}
		if err != nil {
			return nil, fmt.Errorf("pathcheck: line %d: %w", n, err)
		}
		all = append(all, l)
	}
}

func parseLine(f []string) (Line, error) {
	at, err := time.Parse(time.RFC3339Nano, f[0])
	if err != nil {
		return Line{}, err
	}
	errno, err := strconv.ParseUint(f[2], 10, 16)
	if err != nil {
		return Line{}, err
	}
	seconds, err := strconv.ParseFloat(f[3], 64)
	if err != nil {
		return Line{}, err
	}
	return Line{At: at, Path: f[1], Err: syscall.Errno(errno), Delay: time.Duration(seconds * float64(time.Second))}, nil
}
