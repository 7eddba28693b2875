package web

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func at(seconds float64) time.Time {
	return time.Unix(1_700_000_000, 0).UTC().Add(time.Duration(seconds * float64(time.Second)))
}

func draw(t testing.TB, p Plot) string {
	t.Helper()
	var b strings.Builder
	if err := p.SVG(&b); err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(strings.NewReader(b.String())); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("no XML: %v\n%s", err, b.String())
		}
	}
	if regexp.MustCompile(`[" ML](NaN|[-+]?Inf)|NaN"|Inf"`).MatchString(b.String()) {
		t.Fatalf("a coordinate is no number:\n%s", b.String())
	}
	return b.String()
}

func paths(svg string) (all []string) {
	for _, m := range regexp.MustCompile(`<path class="s[ f]*"[^>]* d="(M[^"]*)"><title>`).FindAllStringSubmatch(svg, -1) {
		all = append(all, m[1])
	}
	return all
}

func TestPlotPlacesPoints(t *testing.T) {
	p := Plot{Width: 164 + 12, Height: 156, Series: []Series{{Name: "a", Points: []Point{
		{at(0), 0}, {at(5), 4}, {at(6), math.NaN()}, {at(10), 2},
	}}}}
	// 100 pixels are 10 s, from 64 on; 100 are 4, from 132 upward. The gap lifts the pen.
	if got := paths(draw(t, p)); len(got) != 1 || got[0] != "M64.0 132.0L114.0 32.0M164.0 82.0" {
		t.Errorf("drawn %q", got)
	}
	p.Log = true
	p.Series[0].Points = []Point{{at(0), 0.001}, {at(5), 0.01}, {at(10), 0.1}, {at(10), 0}}
	if got := paths(draw(t, p)); len(got) != 1 || got[0] != "M64.0 132.0L114.0 82.0L164.0 32.0" {
		t.Errorf("drawn with powers of ten %q", got)
	}
}

func TestPlotMarksAndNames(t *testing.T) {
	svg := draw(t, Plot{Title: "a <b> & \"c\"", Series: []Series{{Name: "x<y", Points: []Point{{at(0), 1}, {at(9), 3}}}},
		Marks: []Mark{{at(3), "broke & fell"}, {at(99), "too late"}}, To: at(9)})
	for _, want := range []string{"a &lt;b&gt; &amp; &#34;c&#34;", "x&lt;y", "broke &amp; fell", `aria-label="a &lt;b`} {
		if !strings.Contains(svg, want) {
			t.Errorf("%s is not in\n%s", want, svg)
		}
	}
	if strings.Contains(svg, "too late") {
		t.Error("a mark outside the time is drawn")
	}
	if !strings.Contains(svg, `xmlns="http://www.w3.org/2000/svg"`) || !strings.Contains(svg, "<style>") {
		t.Error("it does not stand alone")
	}
}

// TestPlotThins wants few of many points, and the one that stands out among them.
func TestPlotThins(t *testing.T) {
	p := Plot{Width: 400, Unit: Seconds, Series: []Series{{Name: "a"}}}
	for i := range 200_000 {
		v := 1.0
		if i == 77_777 {
			v = 50
		}
		p.Series[0].Points = append(p.Series[0].Points, Point{at(float64(i)), v})
	}
	svg := draw(t, p)
	if len(svg) > 64<<10 {
		t.Errorf("%d bytes of many points", len(svg))
	}
	if got := paths(svg); len(got) != 1 || !strings.Contains(got[0], " 62.7") { // 50 of 60 on 184 pixels below 32
		t.Errorf("the peak is not drawn: %.300s", got)
	}
}

func TestPlotOfNothing(t *testing.T) {
	for _, p := range []Plot{{}, {Log: true}, {Series: []Series{{}}}, {Series: []Series{{Points: []Point{{at(1), math.NaN()}}}}},
		{Series: []Series{{Points: []Point{{at(1), math.Inf(1)}}}}}, {Width: -5, Height: 1 << 30}} {
		draw(t, p)
	}
}

func TestUnits(t *testing.T) {
	for _, c := range []struct {
		u    Unit
		v    float64
		want string
	}{
		{Bytes, 0, "0 B"}, {Bytes, 1536, "1.5 KiB"}, {Bytes, 2 << 30, "2 GiB"}, {Bytes, -4096, "-4 KiB"},
		{Seconds, 0, "0 s"}, {Seconds, 0.0015, "1.5 ms"}, {Seconds, 2.5e-7, "250 ns"}, {Seconds, 90, "90 s"}, {Seconds, 12e-6, "12 µs"},
		{Percent, 12.345, "12.3 %"}, {Number, 1200, "1.2k"}, {Number, 100, "100"}, {Number, 0.5, "0.5"},
	} {
		if got := c.u.Text(c.v); got != c.want {
			t.Errorf("%v %s: %q, want %q", c.v, c.u, got, c.want)
		}
	}
}

func FuzzPlot(f *testing.F) {
	f.Add("title", "name", 1.0, 2.0, int64(1), int64(2), true, 300)
	f.Add("\x00", "\xff", math.Inf(-1), 1e308, int64(-1), int64(1<<40), false, -1)
	f.Add("]]>", "</svg>", -1e308, 1e-308, int64(0), int64(0), true, 99999)
	f.Add("more than a Duration holds", "", 1.0, 2.0, int64(8), int64(1<<40-16), true, 67)
	f.Fuzz(func(t *testing.T, title, name string, a, b float64, x, y int64, log bool, width int) {
		if x < -1<<40 || x > 1<<40 || y < -1<<40 || y > 1<<40 || !utf8.ValidString(title+name) || strings.ContainsAny(title+name, "NI") {
			return // draw looks for NaN and Inf in the text, and a name that is no UTF-8 comes back mended
		}
		draw(t, Plot{Title: title, Width: width, Log: log, Series: []Series{{Name: name, Points: []Point{{time.Unix(x, 0), a}, {time.Unix(y, 0), b}}}}})
	})
}
