package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A fate is what befalls a child, and what Intact says of it: empty, nothing.
type fate struct {
	name   string
	befall func(t *testing.T, c *Child)
	says   string
}

func signals(all ...syscall.Signal) func(*testing.T, *Child) {
	return func(t *testing.T, c *Child) {
		for _, s := range all {
			if err := syscall.Kill(c.PID(), s); err != nil {
				t.Fatal(err)
			}
			for s != syscall.SIGCONT && !acted(c.PID()) {
				time.Sleep(time.Millisecond)
			}
		}
	}
}

// acted reports whether every thread of a process has met a signal that stops or
// ends it: only then is it stopped, or ended, for those who wait for that.
func acted(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, path := range threads {
		b, err := os.ReadFile(path)
		if _, rest, ok := strings.Cut(string(b), ") "); err == nil && (!ok || !strings.ContainsAny(rest[:1], "TZX")) {
			return false
		}
	}
	return true
}

func then(all ...func(*testing.T, *Child)) func(*testing.T, *Child) {
	return func(t *testing.T, c *Child) {
		for _, f := range all {
			f(t, c)
		}
	}
}

func works(do func(*Child) error) func(*testing.T, *Child) {
	return func(t *testing.T, c *Child) {
		if err := do(c); err != nil {
			t.Fatal(err)
		}
	}
}

// TestIntact: what others do to a child is told from what its parent does, at
// once and for ever.
func TestIntact(t *testing.T) {
	stop := works(func(c *Child) error { return c.Stop(t.Context()) })
	freeze, thaw := works((*Child).Freeze), works((*Child).Thaw)
	for _, f := range []fate{
		{"nothing", func(*testing.T, *Child) {}, ""},
		{"killed by others", signals(syscall.SIGKILL), "was killed (signal 9, killed)"},
		{"killed by others, then ended", then(signals(syscall.SIGKILL), func(_ *testing.T, c *Child) { _ = c.Stop(t.Context()) }), "was killed (signal 9, killed)"},
		{"killed by others, then by us", then(signals(syscall.SIGKILL), func(_ *testing.T, c *Child) { <-c.Done(); _ = c.Kill() }), "was killed (signal 9, killed)"},
		{"stopped by others", signals(syscall.SIGSTOP), "is stopped"},
		{"stopped by others for a time", signals(syscall.SIGSTOP, syscall.SIGCONT), "was stopped (SIGSTOP) for a time"},
		{"ended by itself", func(_ *testing.T, c *Child) { c.Stdin.Close(); <-c.Done() }, "ended with status 0"},
		{"ended", stop, ""},
		{"killed", works((*Child).Kill), ""},
		{"frozen", freeze, ""},
		{"frozen and thawed, twice", then(freeze, thaw, freeze, thaw), ""},
		{"frozen, then killed", then(freeze, works((*Child).Kill)), ""},
		{"thawed, though it was not frozen", thaw, ""},
	} {
		t.Run(f.name, func(t *testing.T) {
			c, err := echo.Start(t.Context(), openLedger(t))
			if err != nil {
				t.Fatal(err)
			}
			f.befall(t, c)
			for range 2 {
				switch err := c.Intact(); {
				case f.says == "" && err != nil:
					t.Errorf("it says %v, and nothing was done by others", err)
				case f.says != "" && (err == nil || !strings.Contains(err.Error(), f.says)):
					t.Errorf("it says %v, want %q", err, f.says)
				}
			}
			if err := c.Kill(); err != nil {
				t.Error(err)
			}
		})
	}
}
