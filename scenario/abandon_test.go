package scenario_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/verdict"
)

// TestEndsWhateverIsUnderWay: a timeout and an interruption end a run within ten
// seconds, also while something is under way that heeds no context; what can be
// closed is closed. The clock is the bubble's.
func TestEndsWhateverIsUnderWay(t *testing.T) {
	for _, stuck := range []string{"prepare", "work", "heal", "judge", "close"} {
		for _, how := range []string{"timeout", "interrupt"} {
			t.Run(stuck+" "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					release := make(chan struct{})
					s := shelf{stuck: stuck, release: release}
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					extra := ""
					if how == "timeout" {
						extra = "  timeout: 5s\n"
					} else {
						time.AfterFunc(5*time.Second, func() { cancel(scenario.ErrInterrupted) })
					}
					began := time.Now()
					out, err := s.run(t, ctx, extra)
					took := time.Since(began)
					close(release)
					synctest.Wait()
					if err != nil {
						t.Fatal(err)
					}
					if took < 5*time.Second || took >= 15*time.Second {
						t.Errorf("it took %v", took)
					}
					if out.Verdict != verdict.Inconclusive || !strings.Contains(out.Why, "left to itself") {
						t.Errorf("%v: %s", out.Verdict, out.Why)
					}
					if log := s.log; log[len(log)-1] != "close" {
						t.Errorf("not closed: %v", log)
					}
				})
			})
		}
	}
}

// TestLateFindingsAreNone: what a step that was left to itself finds is no part
// of the outcome, whenever it comes.
func TestLateFindingsAreNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s := shelf{stuck: "judge", release: release, findings: []verdict.Finding{{Kind: verdict.Lost, Object: "a"}}}
		out, err := s.run(t, t.Context(), "  timeout: 5s\n")
		if err != nil {
			t.Fatal(err)
		}
		close(release)
		synctest.Wait()
		if len(out.Findings) != 0 || out.Verdict != verdict.Inconclusive {
			t.Errorf("%v: %v", out.Verdict, out.Findings)
		}
	})
}
