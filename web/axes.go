package web

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

func (c *canvas) axes() {
	for _, v := range c.ticks() {
		y := c.y(v)
		fmt.Fprintf(&c.b, `<line class="g" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/><text x="%d" y="%.1f" text-anchor="end">%s</text>`,
			marginLeft, c.Width-marginRight, y, y, marginLeft-6, y+4, c.Unit.Text(v))
	}
	if c.from.IsZero() {
		return
	}
	step := timeStep(c.to.Sub(c.from), max((c.Width-marginLeft-marginRight)/90, 1))
	layout := "15:04:05"
	if step >= time.Minute {
		layout = "15:04"
	}
	if step >= 24*time.Hour {
		layout = "01-02"
	}
	for t := c.from.Truncate(step); !t.After(c.to); t = t.Add(step) {
		if x := c.x(t); x >= marginLeft && x <= float64(c.Width-marginRight-20) {
			fmt.Fprintf(&c.b, `<line class="g" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/><text x="%.1f" y="%d" text-anchor="middle">%s</text>`,
				x, x, c.Height-marginBottom, c.Height-marginBottom+4, x, c.Height-7, t.Format(layout))
		}
	}
}

// ticks are the values that have a line of their own.
func (c *canvas) ticks() (all []float64) {
	if c.Log {
		step := max(1, math.Ceil((c.top-c.low)/6))
		for e := c.low; e <= c.top; e += step {
			all = append(all, math.Pow(10, e))
		}
		return all
	}
	step := c.Unit.step((c.top - c.low) / 4)
	for v := c.low; v <= c.top+step/2; v += step {
		all = append(all, v)
	}
	return all
}

// step is the least round number from at on: 1, 2 or 5 times a power of ten,
// of bytes a power of two.
func (u Unit) step(least float64) float64 {
	if u == Bytes && least > 1 {
		return math.Exp2(math.Ceil(math.Log2(least)))
	}
	power := math.Pow(10, math.Floor(math.Log10(least)))
	for _, m := range [...]float64{1, 2, 5} {
		if m*power >= least*0.999 {
			return m * power
		}
	}
	return 10 * power
}

// timeStep is a round time of which a length has no more than n.
func timeStep(length time.Duration, n int) time.Duration {
	for _, s := range [...]time.Duration{time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second,
		time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute,
		time.Hour, 2 * time.Hour, 3 * time.Hour, 6 * time.Hour, 12 * time.Hour, 24 * time.Hour} {
		if length/s <= time.Duration(n) {
			return s
		}
	}
	const day = 24 * time.Hour
	return day * min(length/day/time.Duration(n)+1, math.MaxInt64/day)
}

// Text is a value for people, three digits or so.
func (u Unit) Text(v float64) string {
	switch u {
	case Bytes:
		return scaled(v, 1024, []string{" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"})
	case Seconds:
		switch a := math.Abs(v); {
		case a == 0:
			return "0 s"
		case a < 1e-6:
			return short(v*1e9) + " ns"
		case a < 1e-3:
			return short(v*1e6) + " µs"
		case a < 1:
			return short(v*1e3) + " ms"
		}
		return short(v) + " s"
	case Percent:
		return short(v) + " %"
	}
	return scaled(v, 1000, []string{"", "k", "M", "G", "T"})
}

func scaled(v, base float64, units []string) string {
	i := 0
	for i < len(units)-1 && math.Abs(v) >= base {
		v /= base
		i++
	}
	return short(v) + units[i]
}

func short(v float64) string {
	if math.Abs(v) >= 1e6 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	digits := 0
	switch a := math.Abs(v); {
	case a < 10:
		digits = 2
	case a < 100:
		digits = 1
	}
	s := strconv.FormatFloat(v, 'f', digits, 64)
	if strings.Contains(s, ".") {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s
}
