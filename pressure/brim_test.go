package pressure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// brim fills and releases, and prints what was held each time, what the cgroup
// has then, and what bounds it. It is the child of TestBrim, and enters its
// cgroup itself, before it has taken anything.
func brim() int {
	fail := func(err error) int { fmt.Println(err); return 1 }
	dir := os.Getenv("BRIM_CGROUP")
	if err := enter(dir); err != nil {
		return fail(err)
	}
	times, err := strconv.Atoi(os.Getenv("BRIM_TIMES"))
	if err != nil {
		return fail(err)
	}
	m, err := NewMemory(MemoryOptions{Stalled: -1})
	if err != nil {
		return fail(err)
	}
	for range times {
		if err := m.Fill(context.Background(), false); err != nil {
			return fail(err)
		}
		s := m.Current()
		if s.Asked != s.Held {
			return fail(fmt.Errorf("%+v", s))
		}
		full, err := usage(dir)
		if err != nil {
			return fail(err)
		}
		if err := m.Release(); err != nil {
			return fail(err)
		}
		after, err := usage(dir)
		if err != nil {
			return fail(err)
		}
		fmt.Println("held", s.Held, full, after, s.Bound)
	}
	return 0
}

// usage is how many bytes are on the account of a memory cgroup.
func usage(dir string) (int64, error) {
	b, err := os.ReadFile(filepath.Join(dir, "memory.current"))
	if errors.Is(err, os.ErrNotExist) {
		b, err = os.ReadFile(filepath.Join(dir, "memory.usage_in_bytes"))
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
}

// oomKills is how often the OOM killer has come to a nest of cgroups. v1 counts
// that where the victim was, whosever limit was reached, and v2 there and in all
// above.
func oomKills(t testing.TB, dirs []string) (kills int64) {
	t.Helper()
	counted := false
	for _, dir := range dirs {
		for _, file := range []string{"memory.oom_control", "memory.events"} {
			b, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				continue
			}
			for line := range strings.Lines(string(b)) {
				if number, ok := strings.CutPrefix(line, "oom_kill "); ok {
					n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
					if err != nil {
						t.Fatal(err)
					}
					kills, counted = max(kills, n), true
				}
			}
		}
	}
	if !counted {
		t.Skip("needs a kernel that counts OOM kills of cgroups")
	}
	return kills
}

// TestBrim tells a process in a cgroup of 256 MiB to take all there is, many
// times: it takes most of it, gives all back and is never killed. The limit is
// its own or that of a cgroup above, and in v2 also the one from which on the
// kernel slows it down.
func TestBrim(t *testing.T) {
	h := cgroups(t, "memory")
	const less, more = "268435456", "536870912"
	times := 10
	if os.Getenv("ASSAY_FULL") != "" {
		times = 100
	}
	shapes := []struct {
		name   string
		levels []settings
		bound  int // the level with the smallest limit
	}{
		{"its own", []settings{{"memory.max": less}}, 0},
		{"of the cgroup above", []settings{{"memory.max": less}, {"memory.max": more}}, 0},
		{"below a larger one", []settings{{"memory.max": more}, {"memory.max": less}}, 1},
	}
	if h.v2 {
		shapes = append(shapes, shapes[0], shapes[1])
		high := shapes[3:]
		high[0].name, high[0].levels = "memory.high", []settings{{"memory.high": less}}
		high[1].name, high[1].levels = "memory.high above", []settings{{"memory.high": less}, {"memory.max": more}}
	}
	for i, s := range shapes {
		n := times
		if i > 0 {
			n /= 5 // a guest is slow
		}
		t.Run(s.name, func(t *testing.T) {
			dirs := h.nest(t, s.levels...)
			fillToTheBrim(t, dirs, dirs[s.bound], n)
		})
	}
}

// fillToTheBrim has a child in the innermost of some cgroups fill what the one
// of them that bounds it has, of 256 MiB.
func fillToTheBrim(t *testing.T, dirs []string, bound string, times int) {
	t.Helper()
	const limit = 256 * mib
	c, err := childProcess("brim", "BRIM_CGROUP="+dirs[len(dirs)-1], "BRIM_TIMES="+strconv.Itoa(times))
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Errorf("it ended with %v:\n%s", err, out)
	}
	if kills := oomKills(t, dirs); kills != 0 {
		t.Errorf("the OOM killer came %d times", kills)
	}
	n, least, most, left := 0, int64(limit), int64(0), int64(0)
	for line := range strings.Lines(string(out)) {
		var held, full, after int64
		var by string
		if _, err := fmt.Sscanf(line, "held %d %d %d %s", &held, &full, &after, &by); err != nil || by != bound+"," {
			t.Fatalf("%q, want the bound %s", line, bound)
		}
		if held > full || full > limit {
			t.Errorf("%d bytes are held, and the cgroup has %d", held, full)
		}
		n, least, most, left = n+1, min(least, held), max(most, full), max(left, after)
	}
	if n != times {
		t.Errorf("filled %d times, want %d:\n%s", n, times, out)
	}
	if least < limit*3/4 {
		t.Errorf("only %d of %d bytes were held", least, limit)
	}
	if left > limit/4 {
		t.Errorf("when all is released the cgroup has %d bytes", left)
	}
	t.Logf("filled %d times, with %d MiB at least; of 256 MiB the cgroup had %d at most, and %d when all was released", n, least/mib, most/mib, left/mib)
}
