package pressure

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestCPUUses wants what this process has used to grow by what was asked for:
// not less than is left by others, and not more.
func TestCPUUses(t *testing.T) {
	var c CPU
	defer c.Close()
	before, threads := procTime(t), threadCount(t)
	began := time.Now()
	if err := c.Set(Load{Cores: 1, Percent: 50}); err != nil {
		t.Fatal(err)
	}
	// On a busy machine it takes as long as it takes until there is something.
	eventually(t, "it uses the processor", func() bool { return procTime(t)-before >= 200*time.Millisecond })
	// In whole: another pace, another number of threads.
	if err := c.Set(Load{Cores: 1, Percent: 25}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if s := c.Current(); s.Asked != 0.25 || s.Limit <= 0 {
		t.Errorf("%+v", s)
	}
	if err := c.Release(); err != nil {
		t.Fatal(err)
	}
	spent, wall := procTime(t)-before, time.Since(began)
	if most := wall/2 + owedMost; spent > most || spent < 100*time.Millisecond {
		t.Errorf("in %v %v of CPU time were used", wall, spent)
	}
	s := c.Current()
	if d := s.Seconds - spent.Seconds(); d > 0.1 || d < -0.5 {
		t.Errorf("it says %v s, the process has used %v", s.Seconds, spent)
	}
	if s.Asked != 0 {
		t.Errorf("released: %+v", s)
	}
	eventually(t, "its threads are gone", func() bool { return threadCount(t) <= threads+4 }) // Go's own come and go
	used := procTime(t)
	time.Sleep(300 * time.Millisecond)
	if more := procTime(t) - used; more > 200*time.Millisecond {
		t.Errorf("after the release %v more were used", more)
	}
}

// procTime is the CPU time of this process from /proc.
func procTime(t *testing.T) time.Duration {
	t.Helper()
	b, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	var user, system int64
	if _, err := fmt.Sscan(f[11]+" "+f[12], &user, &system); err != nil {
		t.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

func threadCount(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestCPULoads(t *testing.T) {
	n := float64(runtime.NumCPU())
	for _, c := range []struct {
		l    Load
		want float64 // below 0: refused
	}{
		{Load{Cores: 1}, 1}, {Load{Cores: 1.5, Percent: 50}, 0.75}, {Load{Percent: 10, Cores: n}, n / 10},
		{Load{Cores: -1}, -1}, {Load{Percent: 101}, -1}, {Load{Percent: -1}, -1}, {Load{Percent: math.NaN()}, -1}, {Load{Cores: math.Inf(1)}, math.Inf(1)}, {Load{For: -1}, -1},
	} {
		got, err := c.l.Total()
		if (err != nil) != (c.want < 0) || err == nil && got != c.want {
			t.Errorf("%+v: %v %v, want %v", c.l, got, err, c.want)
		}
	}
	var c CPU
	defer c.Close()
	for _, cores := range []float64{n + 0.1, 1e9, math.Inf(1)} {
		var over *OverloadError
		if err := c.Set(Load{Cores: cores}); !errors.As(err, &over) || over.Limit != n {
			t.Errorf("%v cores: %v", cores, err)
		}
	}
}

func TestCPUEndsByItself(t *testing.T) {
	var c CPU
	defer c.Close()
	if err := c.Set(Load{Cores: 0.1, For: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if s := c.Current(); s.Until == nil || s.Asked != 0.1 {
		t.Errorf("%+v", s)
	}
	if err := c.Set(Load{Cores: 0.1, For: 100 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it ends", func() bool { return c.Current().Asked == 0 })
	if s := c.Current(); s.Until != nil {
		t.Errorf("%+v", s)
	}
	// The end of one load is not that of the next.
	if err := c.Set(Load{Cores: 0.1, For: 50 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if err := c.Set(Load{Cores: 0.2}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	if s := c.Current(); s.Asked != 0.2 {
		t.Errorf("the timer of an older load has ended this one: %+v", s)
	}
	older, err := c.set(Load{Cores: 0.1, For: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Set(Load{Cores: 0.2, For: time.Hour}); err != nil {
		t.Fatal(err)
	}
	c.over(older) // as its timer would that had gone off already
	if s := c.Current(); s.Asked != 0.2 {
		t.Errorf("the end of an older load has ended this one: %+v", s)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Set(Load{Cores: 0.1}); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed one works: %v", err)
	}
}

func TestFactoring(t *testing.T) {
	for n, want := range map[int64]string{0: "[]", 1: "[]", 2: "[2]", 4: "[2 2]", 360: "[2 2 2 3 3 5]", 1_000_003: "[1000003]", 999_983 * 1009: "[1009 999983]", 49: "[7 7]"} {
		f := newFactoring(big.NewInt(n))
		for i := 0; f.some(); i++ {
			if i > 1e6 {
				t.Fatalf("%d has no end", n)
			}
		}
		if got := fmt.Sprint(f.factors); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
