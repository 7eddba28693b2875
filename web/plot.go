package web

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
)

// Plot is lines over time as SVG. What SVG writes is one element that stands
// in a page as it is, and a file of its own that any browser opens: it carries
// its own styles, for light and dark, and no script.
type Plot struct {
	Title string
	// Unit says how values are told; empty: as plain numbers.
	Unit Unit
	// Width and Height are in pixels; 0: 720 and 240. A page that gives the
	// width that it has keeps the text at its size on a phone.
	Width, Height int
	// Log draws powers of ten at equal distances; values of 0 and less are left out.
	Log    bool
	Series []Series
	Marks  []Mark
	// From and To are the ends of the time axis; zero: of what there is.
	From, To time.Time
}

// Unit is what a value counts.
type Unit string

// The units. Bytes are told in Ki, Mi and so on, seconds in ns to s.
const (
	Number  Unit = ""
	Bytes   Unit = "bytes"
	Seconds Unit = "seconds"
	Percent Unit = "percent"
)

// Series is one line. Points are in order of time; a value that is no number
// (NaN) is a gap, and so is one beyond 1e100.
type Series struct {
	Name   string
	Points []Point
	// Faint is for what the other lines are measured by, such as a limit.
	Faint bool
}

// Point is a value at a time.
type Point struct {
	At    time.Time
	Value float64
}

// Mark is something that happened, an error above all.
type Mark struct {
	At   time.Time
	Text string
}

// margins of the drawing, in pixels: room for the axes' texts.
const (
	marginLeft, marginRight, marginTop, marginBottom = 64, 12, 32, 24
	shownMarks                                       = 200 // of more, the latest
	shownNames                                       = 12  // in the legend
)

// canvas is a plot with its scales.
type canvas struct {
	Plot
	b        strings.Builder
	from, to time.Time
	low, top float64
}

// SVG writes the drawing.
func (p Plot) SVG(w io.Writer) error {
	c := canvas{Plot: p}
	if c.Width <= 0 {
		c.Width = 720
	}
	if c.Height <= 0 {
		c.Height = 240
	}
	c.Width, c.Height = min(max(c.Width, 160), 8192), min(max(c.Height, 100), 8192)
	c.times()
	c.values()
	c.open()
	c.axes()
	for i, s := range c.Series {
		c.line(i, s)
	}
	c.marks()
	c.legend()
	c.b.WriteString("</svg>\n")
	_, err := io.WriteString(w, c.b.String())
	return err
}

const style = `<style>.pl{--i:#1c1c1a;--q:#6b6b64;--l:#d9d9d2;--bad:#b3261e;font:12px system-ui,sans-serif}` +
	`.pl text{fill:var(--q)}.pl .t{fill:var(--i);font-size:13px;font-weight:600}.pl .g{stroke:var(--l)}` +
	`.pl .s{fill:none;stroke-width:1.75;stroke-linejoin:round}.pl .f{stroke-dasharray:5 4;opacity:.7}` +
	`.pl .m{stroke:var(--bad);fill:var(--bad)}.pl .d{stroke:none}` +
	`@media(prefers-color-scheme:dark){.pl{--i:#ececea;--q:#a3a39b;--l:#3a3a36;--bad:#f28b82}}</style>`

func (c *canvas) open() {
	fmt.Fprintf(&c.b, `<svg xmlns="http://www.w3.org/2000/svg" class="pl" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`,
		c.Width, c.Height, c.Width, c.Height, escape(c.describe()))
	c.b.WriteString(style)
	fmt.Fprintf(&c.b, `<text class="t" x="4" y="15">%s</text>`, escape(c.Title))
}

// describe is the plot for who cannot see it.
func (c *canvas) describe() string {
	words := []string{c.Title}
	for _, s := range c.Series {
		if n := len(s.Points); n > 0 && math.Abs(s.Points[n-1].Value) <= huge {
			words = append(words, s.Name+" "+c.Unit.Text(s.Points[n-1].Value))
		}
	}
	if len(c.Marks) > 0 {
		words = append(words, fmt.Sprintf("%d marks", len(c.Marks)))
	}
	return strings.Join(words, ", ")
}

// times finds the ends of the time axis.
func (c *canvas) times() {
	first, last := time.Time{}, time.Time{}
	see := func(t time.Time) {
		if first.IsZero() || t.Before(first) {
			first = t
		}
		if last.IsZero() || t.After(last) {
			last = t
		}
	}
	for _, s := range c.Series {
		for _, p := range s.Points {
			see(p.At)
		}
	}
	for _, m := range c.Marks {
		see(m.At)
	}
	c.from, c.to = first, last
	if !c.From.IsZero() {
		c.from = c.From
	}
	if !c.To.IsZero() {
		c.to = c.To
	}
	if !c.to.After(c.from) {
		c.to = c.from.Add(time.Second)
	}
}

// values finds the ends of the value axis: from 0 to a round number, or between
// powers of ten.
func (c *canvas) values() {
	low, top := math.Inf(1), math.Inf(-1)
	for _, s := range c.Series {
		for _, p := range s.Points {
			if c.shows(p) {
				low, top = min(low, p.Value), max(top, p.Value)
			}
		}
	}
	if low > top {
		low, top = 0, 1
		if c.Log {
			low = 0.1
		}
	}
	if c.Log {
		const inexact = 1e-9 // the logarithm of 0.1 is no whole number
		c.low, c.top = math.Floor(math.Log10(low)+inexact), math.Ceil(math.Log10(top)-inexact)
		if c.top <= c.low {
			c.top = c.low + 1
		}
		return
	}
	c.low, c.top = min(low, 0), max(top, 0)
	if c.top-c.low < tiny {
		c.top = c.low + 1
	}
	step := c.Unit.step((c.top - c.low) / 4)
	c.low, c.top = math.Floor(c.low/step)*step, math.Ceil(c.top/step)*step
}

// Beyond these, numbers have no use on an axis, and sums of them no value.
const huge, tiny = 1e100, 1e-100

func (c *canvas) shows(p Point) bool {
	return math.Abs(p.Value) <= huge && (!c.Log || p.Value > tiny) && !p.At.Before(c.from) && !p.At.After(c.to)
}

func (c *canvas) x(t time.Time) float64 {
	part := float64(t.Sub(c.from)) / float64(c.to.Sub(c.from))
	return marginLeft + part*float64(c.Width-marginLeft-marginRight)
}

func (c *canvas) y(v float64) float64 {
	if c.Log {
		v = math.Log10(v)
	}
	part := (v - c.low) / (c.top - c.low)
	return float64(c.Height-marginBottom) - part*float64(c.Height-marginBottom-marginTop)
}

// line draws one series. Of many points only the first, the least, the
// greatest and the last of each column of pixels are drawn: more cannot be seen.
func (c *canvas) line(i int, s Series) {
	var path strings.Builder
	pen := "M"
	for _, p := range c.thin(s.Points) {
		if !c.shows(p) {
			pen = "M"
			continue
		}
		fmt.Fprintf(&path, "%s%.1f %.1f", pen, c.x(p.At), c.y(p.Value))
		pen = "L"
	}
	if path.Len() == 0 {
		return
	}
	class := "s"
	if s.Faint {
		class = "s f"
	}
	fmt.Fprintf(&c.b, `<path class="%s" stroke="%s" stroke-linecap="round" d="%s"><title>%s</title></path>`, class, colour(i), path.String(), escape(s.Name))
}

func (c *canvas) thin(all []Point) []Point {
	if len(all) <= 4*c.Width {
		return all
	}
	var out []Point
	for i := 0; i < len(all); {
		column, least, most, j := int(c.x(all[i].At)), i, i, i
		gap := false
		for ; j < len(all) && int(c.x(all[j].At)) == column; j++ {
			switch v := all[j].Value; {
			case math.IsNaN(v):
				gap = true
			case v < all[least].Value || math.IsNaN(all[least].Value):
				least = j
			case v > all[most].Value || math.IsNaN(all[most].Value):
				most = j
			}
		}
		keep := []int{i, least, most, j - 1}
		slices.Sort(keep)
		for _, k := range slices.Compact(keep) {
			out = append(out, all[k])
		}
		if gap {
			out = append(out, Point{all[j-1].At, math.NaN()})
		}
		i = j
	}
	return out
}

// colour is that of the i-th series: eight that the colour-blind tell apart
// and that stand out from light and dark alike (after Okabe and Ito, 2008).
func colour(i int) string {
	return [...]string{"#0a84c6", "#d9730d", "#0a9d76", "#b65c9a", "#8a7a00", "#5aa9d6", "#c4523b", "#808080"}[i%8]
}

func (c *canvas) marks() {
	for _, m := range c.Marks[max(0, len(c.Marks)-shownMarks):] {
		if m.At.Before(c.from) || m.At.After(c.to) {
			continue
		}
		x := c.x(m.At)
		fmt.Fprintf(&c.b, `<g class="m"><title>%s</title><line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke-dasharray="2 3"/><path class="d" d="M%.1f %dl4 -7h-8z"/></g>`,
			escape(m.Text), x, x, marginTop, c.Height-marginBottom, x, marginTop+7)
	}
}

// legend names the lines, right to left beside the title, as far as there is room.
func (c *canvas) legend() {
	x := float64(c.Width - marginRight)
	left := 16 + 7.5*float64(len([]rune(c.Title)))
	shown := c.Series[:min(len(c.Series), shownNames)]
	for i, s := range slices.Backward(shown) {
		name := s.Name
		if runes := []rune(name); len(runes) > 24 {
			name = "…" + string(runes[len(runes)-23:])
		}
		width := 22 + 6.6*float64(len([]rune(name)))
		if x-width < left {
			return
		}
		x -= width
		fmt.Fprintf(&c.b, `<path class="s%s" stroke="%s" d="M%.1f 11h12"/><text x="%.1f" y="15">%s</text>`,
			map[bool]string{true: " f"}[s.Faint], colour(i), x, x+16, escape(name))
	}
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder takes everything
	return b.String()
}
