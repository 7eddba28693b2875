package machine

import (
	"os/exec"
	"testing"
)

// TestChildless: who has a child that lives, or one that nobody has waited for,
// is not childless.
func TestChildless(t *testing.T) {
	l := newLab(t)
	if _, err := lookBelow(1); err != nil {
		t.Skip(err)
	}
	sleeps, _ := l.shepherd(t, `echo begun; exec sleep 300`)
	parent := exec.Command("sh", "-c", `true & exec sleep 300`) // which waits for nothing
	none := exec.Command("sleep", "300")
	for _, c := range []*exec.Cmd{parent, none} {
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	}
	for ctx := boundedContext(t); ctx.Err() == nil; {
		if look, err := lookBelow(parent.Process.Pid); err != nil {
			t.Fatal(err)
		} else if len(look.zombies) == 1 {
			break
		}
	}
	if !childless(none.Process.Pid) {
		t.Skip("this kernel has no lists of children (CONFIG_PROC_CHILDREN)")
	}
	if childless(sleeps.PID()) || childless(parent.Process.Pid) {
		t.Error("somebody with a child is childless")
	}
	if err := sleeps.KillTree(boundedContext(t)); err != nil {
		t.Error(err)
	}
	if childless(sleeps.PID()) {
		t.Error("who is gone is childless")
	}
}
