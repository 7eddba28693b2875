package verdict

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestOf(t *testing.T) {
	lost := []Finding{{Kind: Lost}}
	full := Stakes{}
	for name, c := range map[string]struct {
		findings []Finding
		stakes   Stakes
		want     Verdict
	}{
		"all is well":                 {nil, full, Pass},
		"a finding":                   {lost, full, Fail},
		"it proves nothing":           {nil, Stakes{Vacuous: []string{"x", "y"}}, Inconclusive},
		"something broke":             {nil, Stakes{Broken: errors.New("x")}, Inconclusive},
		"a finding outranks all that": {lost, Stakes{Vacuous: []string{"x"}, Broken: errors.New("x")}, Fail},
	} {
		if got := Of(c.findings, c.stakes); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
		if (c.stakes.Why() == "") != (c.stakes.Vacuous == nil && c.stakes.Broken == nil) {
			t.Errorf("%s: why: %q", name, c.stakes.Why())
		}
	}
}

func TestVerdictInJSON(t *testing.T) {
	for _, v := range []Verdict{Pass, Inconclusive, Fail} {
		b, err := json.Marshal(v)
		var back Verdict
		if err != nil || json.Unmarshal(b, &back) != nil || back != v {
			t.Errorf("%v: %s, %v", v, b, err)
		}
	}
	var v Verdict
	if json.Unmarshal([]byte(`"perhaps"`), &v) == nil {
		t.Error("perhaps is no verdict")
	}
}

// TestHistogram holds the quantiles to those of the sorted durations.
func TestHistogram(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		us := rapid.SliceOfN(rapid.Int64Range(0, 1<<34), 1, 200).Draw(t, "microseconds")
		cut := rapid.IntRange(0, len(us)).Draw(t, "cut")
		var h, other Histogram
		for i, u := range us {
			if i < cut {
				h.Add(time.Duration(u) * time.Microsecond)
			} else {
				other.Add(time.Duration(u) * time.Microsecond)
			}
		}
		h.Merge(&other)
		slices.Sort(us)
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		rank := min(int(q*float64(len(us))), len(us)-1)
		want := time.Duration(us[rank]) * time.Microsecond
		got := h.Quantile(q)
		if got < want && got != h.Max || float64(got) > float64(want)*1.126+float64(time.Microsecond) {
			t.Fatalf("quantile %v of %v: %v, want %v to an eighth more", q, us, got, want)
		}
		if h.Max != time.Duration(us[len(us)-1])*time.Microsecond || h.Count != int64(len(us)) {
			t.Fatalf("max %v, count %d", h.Max, h.Count)
		}
	})
	var empty Histogram
	if empty.Quantile(0.5) != 0 {
		t.Error("nothing has no median")
	}
}
