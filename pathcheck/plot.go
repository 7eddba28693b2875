package pathcheck

import (
	"cmp"
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/seed-1b600011/assay/web"
	"golang.org/x/sys/unix"
)

const (
	mostLinesDrawn = 8   // more than can be told apart
	mostMarks      = 200 // more than can be read
)

// Plot draws latency over time: a line for each path, of the worst if there are
// too many, and a mark for each error and each time at which a path began not to
// answer.
func Plot(lines []Line) web.Plot {
	byPath := map[string][]Line{}
	for _, l := range lines {
		byPath[l.Path] = append(byPath[l.Path], l)
	}
	paths := make([]string, 0, len(byPath))
	for path, of := range byPath {
		slices.SortStableFunc(of, func(a, b Line) int { return a.At.Compare(b.At) })
		paths = append(paths, path)
	}
	slices.SortFunc(paths, func(a, b string) int {
		return cmp.Or(cmp.Compare(worst(byPath[b]), worst(byPath[a])), cmp.Compare(a, b))
	})
	title := fmt.Sprintf("Latency of %d paths", len(paths))
	if len(paths) == 1 {
		title = "Latency of " + paths[0]
	}
	if len(paths) > mostLinesDrawn {
		title += fmt.Sprintf(", the %d worst", mostLinesDrawn)
		paths = paths[:mostLinesDrawn]
	}
	p := web.Plot{Title: title, Unit: web.Seconds, Width: 960, Height: 420, Log: true}
	for _, path := range paths {
		series := web.Series{Name: path}
		before := syscall.Errno(0)
		for _, l := range byPath[path] {
			if l.Err == 0 {
				series.Points = append(series.Points, web.Point{At: l.At, Value: l.Delay.Seconds()})
			} else if l.Err != before && len(p.Marks) < mostMarks {
				p.Marks = append(p.Marks, web.Mark{At: l.At, Text: path + ": " + errorText(l.Err)})
			}
			before = l.Err
		}
		p.Series = append(p.Series, series)
	}
	return p
}

// worst is what a path's place in the drawing goes by: errors weigh as the
// longest delay.
func worst(lines []Line) (d time.Duration) {
	for _, l := range lines {
		if l.Err != 0 {
			return 1 << 62
		}
		d = max(d, l.Delay)
	}
	return d
}

func errorText(e syscall.Errno) string {
	if e == unix.EINPROGRESS {
		return "no answer"
	}
	return e.Error()
}

// WriteHTML writes the drawing as a page of its own.
func WriteHTML(w io.Writer, p web.Plot) error {
	var b strings.Builder
	fmt.Fprintf(&b, "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"color-scheme\" content=\"light dark\"><title>%s</title>\n", html.EscapeString(p.Title))
	if err := p.SVG(&b); err != nil {
		return err
	}
	_, err := io.WriteString(w, b.String()+"\n")
	return err
}
