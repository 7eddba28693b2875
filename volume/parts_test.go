package volume

import (
	"fmt"
	"slices"
	"testing"

	"github.com/seed-1b600011/assay/seed"
	"pgregory.net/rapid"
)

// TestParts: in every order each byte of the range comes once, and only the
// parts that are asked for are made.
func TestParts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := writing{Block: 1}
		from := rapid.Int64Range(0, 1000).Draw(t, "from")
		to := from + rapid.Int64Range(0, 300).Draw(t, "length")
		w.Block = 1 << rapid.IntRange(0, 8).Draw(t, "block")
		draw := seed.Seed(rapid.Uint64().Draw(t, "seed"))
		for _, order := range []string{"sequential", "reverse", "random"} {
			all := slices.Collect(w.blocks(from, to).ordered(order, draw).all)
			slices.SortFunc(all, func(a, b part) int { return int(a.from - b.from) })
			at := from
			for _, p := range all {
				if p.from != at || p.to <= p.from || p.to-p.from > w.block() {
					t.Fatalf("%s: %v", order, all)
				}
				at = p.to
			}
			if at != to {
				t.Fatalf("%s: ends at %d, want %d", order, at, to)
			}
		}
	})
}

// TestOrders: each order is one, and another seed gives another.
func TestOrders(t *testing.T) {
	of := func(order string, s seed.Seed) string {
		return fmt.Sprint(slices.Collect(writing{Block: 1}.blocks(0, 40).ordered(order, s).all))
	}
	orders := []string{of("sequential", 1), of("reverse", 1), of("random", 1), of("random", 2)}
	slices.Sort(orders)
	if len(slices.Compact(orders)) != 4 {
		t.Errorf("%q", orders)
	}
}

// TestRuns: neighbours are joined, up to what is asked for at once.
func TestRuns(t *testing.T) {
	listed := func(all ...part) parts {
		return parts{n: int64(len(all)), at: func(i int64) part { return all[i] }}
	}
	for _, c := range []struct {
		parts parts
		want  string
	}{
		{listed(), "[]"},
		{listed(part{0, 5}, part{5, 9}, part{20, 30}, part{10, 20}), "[{0 9} {20 30} {10 20}]"},
		{writing{Block: 1 << 20}.blocks(0, 5<<20), fmt.Sprint([]part{{0, 2 << 20}, {2 << 20, 4 << 20}, {4 << 20, 5 << 20}})},
		{writing{Block: 3 << 20}.blocks(0, 6<<20), fmt.Sprint([]part{{0, 3 << 20}, {3 << 20, 6 << 20}})},
	} {
		if got := fmt.Sprint(slices.Collect(c.parts.runs)); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
}

// TestPartsOfABillion: a part that is far behind costs what the first does.
func TestPartsOfABillion(t *testing.T) {
	const n = 1_000_000_000
	for _, order := range []string{"sequential", "reverse", "random"} {
		bytes := testing.AllocsPerRun(10, func() {
			p := writing{}.blocks(0, n*defaultBlock).ordered(order, 1)
			if p.n != n || p.at(n-1).to > n*defaultBlock {
				t.Fatalf("%s: %d parts, %v", order, p.n, p.at(n-1))
			}
		})
		if bytes > 20 {
			t.Errorf("%s: %v allocations", order, bytes)
		}
	}
}
