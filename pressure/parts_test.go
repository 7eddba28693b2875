package pressure

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestSplit(t *testing.T) {
	for _, c := range []struct {
		bytes uint64
		want  [5]uint64
	}{
		{0, [5]uint64{}},
		{1, [5]uint64{1}},
		{256000, [5]uint64{1}}, // these two are in the old documents
		{1777333555, [5]uint64{20, 20, 20, 20, 20}},
		{262144, [5]uint64{1}},
		{20 * 262144, [5]uint64{20}},
		{20*262144 + 1, [5]uint64{17, 1}},
		{21 * 262144, [5]uint64{17, 1}},
		{24 * 262144, [5]uint64{20, 1}},
		{1 << 40, [5]uint64{20, 20, 20, 18, 16378}},
	} {
		if got := memoryParts().split(c.bytes); got != c.want {
			t.Errorf("%d: %v, want %v", c.bytes, got, c.want)
		}
	}
}

// TestSplitProperties holds the rule for sizes of all magnitudes up to 2^63.
func TestSplitProperties(t *testing.T) {
	for name, p := range map[string]partSizes{"memory": memoryParts(), "disk": diskParts()} {
		t.Run(name, func(t *testing.T) {
			checked := 0
			check := func(t *rapid.T) {
				bytes := rapid.Uint64Range(0, 1<<63).Draw(t, "bytes") >> rapid.IntRange(0, 63).Draw(t, "shift")
				if rapid.Bool().Draw(t, "round") { // where the rule has its borders
					size := p.sizes[rapid.IntRange(0, 4).Draw(t, "size")]
					bytes = bytes / size * size
				}
				counts := p.split(bytes)
				sum, ok := p.sum(counts)
				if !ok || sum < bytes {
					t.Fatalf("%v are %d bytes", counts, sum)
				}
				largest := 0
				for i, n := range counts {
					if n > p.most && i < 4 {
						t.Fatalf("%v has too many of %d", counts, p.sizes[i])
					}
					if n > 0 {
						largest = i
					}
				}
				if over := sum - bytes; over >= p.sizes[largest] || over >= max(p.sizes[0], bytes/3) {
					t.Fatalf("%v are %d bytes too many", counts, over)
				}
				tight := p.tight(bytes)
				if least, ok := p.sum(tight); !ok || least < bytes || least-bytes >= p.sizes[0] || slices.Max(tight[:4]) > p.most {
					t.Fatalf("tightly %v are %d", tight, least)
				}
				if got := p.within(sum, counts); got != counts {
					t.Fatalf("all of %v are %v", counts, got)
				}
				if sum > 0 {
					if less, _ := p.sum(p.within(sum-1, counts)); less >= sum || less+p.sizes[largest] < sum {
						t.Fatalf("without a byte, %v are %d of %d", counts, less, sum)
					}
				}
				checked++
			}
			for checked < 5000 {
				rapid.Check(t, check)
			}
		})
	}
}

// TestMoreBytesAreNoFewerParts wants a larger size to keep the parts of a smaller one
// where both have all that they may.
func TestMoreBytesAreNoFewerParts(t *testing.T) {
	p := memoryParts()
	var before uint64
	for bytes := uint64(0); bytes < 200<<20; bytes += 70_001 {
		sum, _ := p.sum(p.split(bytes))
		if sum < before {
			t.Fatalf("%d bytes are %d, less than fewer were", bytes, sum)
		}
		before = sum
	}
}
