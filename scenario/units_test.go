package scenario

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "0B": 0, "1": 1, "10M": 10 << 20, "10Mi": 10 << 20, "1G": 1 << 30, "1.5K": 1536, "2 Ki": 2048, "8191T": 8191 << 40,
	} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s != want {
			t.Errorf("%q: %d, %v", text, s, err)
		}
	}
	for _, text := range []string{"", "B", "-1", "+1", "1e3", "0x10", "1KB", "10m", "10Q", "9e99", "8388608T", ".5K", "1.K", "0.5", "1 0", "1_000", "Inf", "NaN", "1MM"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q passed for %d", text, s)
		}
	}
}

func TestSizePrintsItselfBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Size(rapid.Int64Min(0).Draw(t, "size"))
		var s Size
		if err := s.UnmarshalText([]byte(want.String())); err != nil || s != want {
			t.Fatalf("%d printed as %v, read as %d, %v", want, want, s, err)
		}
	})
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"5h 30m": 5*time.Hour + 30*time.Minute, "5h30m": 5*time.Hour + 30*time.Minute, "1d": 24 * time.Hour, "500ms": 500 * time.Millisecond,
		"1.5s": 1500 * time.Millisecond, "2us": 2 * time.Microsecond, "1m 1ms": time.Minute + time.Millisecond, "0s": 0, " 3ns ": 3,
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err != nil || time.Duration(d) != want {
			t.Errorf("%q: %v, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "5", "h", "5x", "30m 5h", "5s 5s", "-5s", "5 5s", "1e3s", "5ss", "1000000d", "s5"} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q passed for %v", text, d)
		}
	}
}

func TestDurationPrintsItselfBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Duration(rapid.Int64Range(0, 1<<52).Draw(t, "duration")) // a float64 has it exactly
		var d Duration
		if err := d.UnmarshalText([]byte(want.String())); err != nil || d != want {
			t.Fatalf("%d printed as %v, read as %v, %v", want, want, d, err)
		}
	})
}

func TestNearest(t *testing.T) {
	known := []string{"put", "get", "mixed", "check-content", "check-list"}
	for word, want := range map[string]string{"putt": "put", "check-contnet": "check-content", "mxied": "mixed", "frobnicate": "", "": ""} {
		if got := nearest(word, known); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
