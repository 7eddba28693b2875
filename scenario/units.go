package scenario

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes, 0 to 8 EiB less one. In a file it is a whole
// number of bytes or a decimal number with one of the units B, K, M, G, T, Ki,
// Mi, Gi and Ti; K and Ki are both 1024, as older files have them.
type Size int64

var sizeUnits = []struct {
	name string
	size int64
}{
	{"Ti", 1 << 40}, {"Gi", 1 << 30}, {"Mi", 1 << 20}, {"Ki", 1 << 10},
	{"T", 1 << 40}, {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"B", 1},
}

const sizeForm = "a size is a number of bytes or a number with one of B K M G T Ki Mi Gi Ti, such as 10M"

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(b []byte) error {
	text := string(b)
	number, factor := text, int64(1)
	for _, u := range sizeUnits {
		if n, ok := strings.CutSuffix(text, u.name); ok {
			number, factor = strings.TrimSuffix(n, " "), u.size
			break
		}
	}
	if !decimal(number) {
		return fmt.Errorf("%q: %s", text, sizeForm)
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil && n <= math.MaxInt64/factor {
		*s = Size(n * factor)
		return nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || f*float64(factor) >= math.MaxInt64 {
		return fmt.Errorf("%q: a size is less than 8 EiB", text)
	}
	if f*float64(factor) != math.Trunc(f*float64(factor)) {
		return fmt.Errorf("%q: a size is a whole number of bytes", text)
	}
	*s = Size(f * float64(factor))
	return nil
}

// decimal says whether s is digits with at most one point between them: no
// sign, no exponent, nothing that strconv would take beyond that.
func decimal(s string) bool {
	whole, part, point := strings.Cut(s, ".")
	digits := func(s string) bool {
		return s != "" && strings.Trim(s, "0123456789") == ""
	}
	return digits(whole) && (!point || digits(part))
}

// String is the size with the largest unit of which it is a whole multiple.
func (s Size) String() string {
	for _, u := range sizeUnits[4:] {
		if s != 0 && int64(s)%u.size == 0 {
			return strconv.FormatInt(int64(s)/u.size, 10) + u.name
		}
	}
	return "0B"
}

// MarshalText is String.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Duration is a length of time. In a file it is numbers with the units ns us
// ms s m h d, the largest first, each at most once: "5h 30m".
type Duration time.Duration

var durationUnits = []struct {
	name string
	unit time.Duration
}{
	{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second},
	{"ms", time.Millisecond}, {"us", time.Microsecond}, {"ns", time.Nanosecond},
}

const durationForm = "a duration is numbers with the units d h m s ms us ns, the largest first, such as 5h 30m or 500ms"

// UnmarshalText reads a duration.
func (d *Duration) UnmarshalText(b []byte) error {
	text := string(b)
	rest, units := strings.TrimSpace(text), durationUnits
	if rest == "" {
		return fmt.Errorf("%q: %s", text, durationForm)
	}
	if decimal(rest) {
		return fmt.Errorf("%q has no unit: %s", text, durationForm)
	}
	var sum float64
	for rest != "" {
		n := len(rest) - len(strings.TrimLeft(rest, "0123456789."))
		number, tail := rest[:n], strings.TrimLeft(rest[n:], " ")
		if !decimal(number) {
			return fmt.Errorf("%q: %s", text, durationForm)
		}
		word := tail[:len(tail)-len(strings.TrimLeft(tail, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZµ"))]
		i := 0
		for i < len(units) && units[i].name != word {
			i++
		}
		if i == len(units) {
			return fmt.Errorf("%q: %s", text, durationForm)
		}
		f, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return fmt.Errorf("%q: %s", text, durationForm)
		}
		sum += f * float64(units[i].unit)
		units = units[i+1:]
		rest = strings.TrimLeft(tail[len(word):], " ")
	}
	if sum >= math.MaxInt64 {
		return fmt.Errorf("%q: a duration is less than 292 years", text)
	}
	*d = Duration(math.Round(sum))
	return nil
}

// String is the duration in whole units, the largest first: "5h 30m".
func (d Duration) String() string {
	if d == 0 {
		return "0s"
	}
	var parts []string
	for _, u := range durationUnits {
		if n := time.Duration(d) / u.unit; n > 0 {
			parts = append(parts, fmt.Sprintf("%d%s", n, u.name))
			d -= Duration(n * u.unit)
		}
	}
	return strings.Join(parts, " ")
}

// MarshalText is String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
