package refstore

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/machine"
)

// TestIntact: a store whose process somebody else has killed or stopped says so;
// one that is at work, or was closed, does not.
func TestIntact(t *testing.T) {
	ledger, err := machine.OpenLedger(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for signal, wants := range map[syscall.Signal]string{syscall.SIGKILL: "was killed (signal 9", syscall.SIGSTOP: "is stopped", 0: ""} {
		s, err := Start(t.Context(), ledger, Config{})
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(s.child.PID(), signal); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			err := s.Intact()
			if (err == nil) == (wants == "") && (err == nil || strings.Contains(err.Error(), wants)) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("after the signal %d it says %v", signal, err)
			}
		}
		_ = s.child.Kill()
		if err := s.Intact(); (err == nil) != (signal != syscall.SIGKILL) {
			t.Errorf("ended by its parent after the signal %d it says %v", signal, err)
		}
		_ = s.Close(context.Background())
	}
	if err := ledger.Close(); err != nil {
		t.Error(err)
	}
}
