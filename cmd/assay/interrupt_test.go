package main

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestInterruption: the first signal ends the context, the second the process,
// and so does time where a run must end. The clock is the bubble's.
func TestInterruption(t *testing.T) {
	for _, c := range []struct {
		name    string
		within  time.Duration
		signals int
		exit    int // -1: the process goes on
		says    string
	}{
		{"one signal", 0, 1, -1, "interrupted"},
		{"two signals", 0, 2, exitInconclusive, "interrupted"},
		{"one signal and nothing ends", endWithin, 1, exitInconclusive, "not done 10s after"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				exit, said := -1, ""
				ctx, cancel := context.WithCancelCause(context.Background())
				i := interruption{signals: make(chan os.Signal, 2), cancel: cancel, within: c.within,
					exit: func(code int) { exit = code }, tell: func(s string) { said += s }}
				go i.await()
				for range c.signals {
					i.signals <- syscall.SIGTERM
				}
				time.Sleep(time.Minute)
				if ctx.Err() == nil || exit != c.exit || !strings.Contains(said, c.says) {
					t.Errorf("%v, exit %d, said %q", ctx.Err(), exit, said)
				}
				close(i.signals)
			})
		})
	}
}
