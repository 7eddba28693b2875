package soft

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/flakey"
)

// TestFaults does the same to a disk under each fault: 'a' is written to the
// first MiB and flushed; then, with the fault on, 'b' is written to its first
// 64 KiB and flushed. What each step gives is the table.
func TestFaults(t *testing.T) {
	l := newLab(t)
	d := l.open(t, flakey.Options{Name: l.name("faulty")})
	const n = 64 << 10
	a, b := pattern(n, 'a'), pattern(n, 'b')
	near := func(got, want []byte) bool { // differs in one byte
		diff := 0
		for i := range got {
			if got[i] != want[i] {
				diff++
			}
		}
		return diff == 1
	}
	torn := func(got []byte) bool {
		i := 0
		for i < n && got[i] == 'b' {
			i++
		}
		return i < n && i%512 == 0 && bytes.Equal(got[i:], a[i:])
	}
	type seen struct {
		writeErr, flushErr, readErr error
		with                        []byte // read with the fault on, if readErr is nil
		after                       []byte // read without it
		cut                         []byte // read after it was taken away and the power was cut, keeping none
	}
	is := bytes.Equal
	for _, c := range []struct {
		fault flakey.Fault
		ok    func(s seen) bool
	}{
		{flakey.Fault{}, func(s seen) bool { return is(s.with, b) && is(s.after, b) && is(s.cut, b) }},
		{flakey.Fault{Kind: flakey.DropWrites}, func(s seen) bool {
			return s.writeErr == nil && s.flushErr == nil && is(s.with, a) && is(s.after, a) && is(s.cut, a)
		}},
		{flakey.Fault{Kind: flakey.DropFlushes}, func(s seen) bool {
			return s.flushErr == nil && is(s.with, b) && is(s.after, b) && is(s.cut, a)
		}},
		{flakey.Fault{Kind: flakey.ErrorWrites}, func(s seen) bool { return isEIO(s.writeErr) && is(s.after, a) && is(s.cut, a) }},
		{flakey.Fault{Kind: flakey.ErrorReads}, func(s seen) bool { return s.writeErr == nil && isEIO(s.readErr) && is(s.after, b) && is(s.cut, b) }},
		{flakey.Fault{Kind: flakey.ErrorFlushes}, func(s seen) bool { return isEIO(s.flushErr) && is(s.after, b) && is(s.cut, a) }},
		{flakey.Fault{Kind: flakey.CorruptReads, Nth: 100, Value: '!'}, func(s seen) bool {
			return near(s.with, b) && s.with[99] == '!' && is(s.after, b) && is(s.cut, b)
		}},
		{flakey.Fault{Kind: flakey.CorruptWrites}, func(s seen) bool { return near(s.with, b) && is(s.with, s.after) && is(s.cut, s.after) }},
		{flakey.Fault{Kind: flakey.TearWrites}, func(s seen) bool { return s.writeErr == nil && torn(s.after) && is(s.cut, s.after) }},
		{flakey.Fault{Kind: flakey.MisdirectWrites, Where: flakey.Selector{ToSector: 2048}}, func(s seen) bool {
			return s.writeErr == nil && !is(s.after, b) && is(s.cut, s.after)
		}},
		// The flush in between makes 'b' what a stale read gives; that it is
		// stale is seen by the write without one below.
		{flakey.Fault{Kind: flakey.StaleReads}, func(s seen) bool { return is(s.after, b) && is(s.cut, b) }},
		{flakey.Fault{Kind: flakey.Delay, Delay: time.Millisecond}, func(s seen) bool { return is(s.with, b) && is(s.cut, b) }},
	} {
		t.Run(string(c.fault.Kind)+"/", func(t *testing.T) {
			dev := device(t, d.Path())
			dev.put(t, 0, pattern(mib, 'a'))
			dev.flush(t)
			if c.fault.Kind != "" {
				if err := d.Set(t.Context(), c.fault); err != nil {
					t.Fatal(err)
				}
			}
			before, err := d.Stats(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			s := seen{with: aligned(n)}
			_, s.writeErr = dev.WriteAt(b, 0)
			s.flushErr = dev.Sync()
			_, s.readErr = dev.ReadAt(s.with, 0)
			after, err := d.Stats(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := d.Set(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.after = dev.get(t, 0, n)
			if _, err := d.PowerCut(t.Context(), flakey.Keep{}); err != nil {
				t.Fatal(err)
			}
			if _, err := dev.ReadAt(aligned(512), 0); !isEIO(err) {
				t.Errorf("the dead disk reads: %v", err)
			}
			dev.Close()
			s.cut = device(t, d.Path()).get(t, 0, n)
			if !c.ok(s) {
				t.Errorf("write %v, flush %v, read %v; with %q after %q cut %q", s.writeErr, s.flushErr, s.readErr, s.with[:128], s.after[:128], s.cut[:128])
			}
			for _, k := range flakey.Kinds() {
				touched := after.Touched[k] > before.Touched[k]
				if touched != (k == c.fault.Kind) && k != flakey.StaleReads {
					t.Errorf("%s touched: %v", k, touched)
				}
			}
		})
	}
}

func TestStaleReads(t *testing.T) {
	l := newLab(t)
	d := l.open(t, flakey.Options{})
	dev := device(t, d.Path())
	dev.put(t, 0, pattern(4096, 'a'))
	dev.flush(t)
	dev.put(t, 0, pattern(4096, 'b'))
	if err := d.Set(t.Context(), flakey.Fault{Kind: flakey.StaleReads}); err != nil {
		t.Fatal(err)
	}
	if got := dev.get(t, 0, 4096); got[0] != 'a' {
		t.Errorf("reads %q, want what was there at the last flush", got[0])
	}
	if err := d.Set(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := dev.get(t, 0, 4096); got[0] != 'b' {
		t.Errorf("reads %q after the fault", got[0])
	}
}

// TestHangIsLifted: what hangs goes on when the fault is taken away.
func TestHangIsLifted(t *testing.T) {
	l := newLab(t)
	d := l.open(t, flakey.Options{})
	dev := device(t, d.Path())
	if err := d.Set(t.Context(), flakey.Fault{Kind: flakey.Hang}); err != nil {
		t.Fatal(err)
	}
	wrote := make(chan error, 1)
	go func() {
		_, err := dev.WriteAt(pattern(4096, 'h'), 0)
		wrote <- err
	}()
	eventually(t, "the write to hang", func() bool {
		st, err := d.Stats(t.Context())
		return err == nil && st.Touched[flakey.Hang] > 0
	})
	select {
	case err := <-wrote:
		t.Errorf("a write came through a disk that hangs: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := d.Set(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	if got := dev.get(t, 0, 4096); got[0] != 'h' {
		t.Errorf("reads %q", got[0])
	}
}

func TestCutCountsAndClone(t *testing.T) {
	l := newLab(t)
	d := l.open(t, flakey.Options{BlockSize: 4096})
	dev := device(t, d.Path())
	dev.put(t, 0, pattern(8<<12, 'a'))
	dev.flush(t)
	dev.put(t, 0, pattern(8<<12, 'b'))
	clone, drop, err := d.Clone(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := device(t, clone)
	if got := c.get(t, 0, 4096); got[0] != 'b' {
		t.Errorf("the clone reads %q", got[0])
	}
	c.put(t, 0, pattern(4096, 'c'))
	c.Close()
	if got := dev.get(t, 0, 4096); got[0] != 'b' {
		t.Errorf("a write to the clone reached the disk: %q", got[0])
	}
	if err := drop(t.Context()); err != nil {
		t.Error(err)
	}
	if err := drop(t.Context()); !IsRefused(err) {
		t.Errorf("a second drop gave %v", err)
	}
	cut, err := d.PowerCut(t.Context(), flakey.Keep{})
	if err != nil || cut.AtStake != 8 || cut.Lost != 8 || cut.Kept != 0 || cut.Path != d.Path() {
		t.Errorf("%+v, %v", cut, err)
	}
	if got := device(t, d.Path()).get(t, 7<<12, 4096); got[0] != 'a' {
		t.Errorf("after the cut: %q", got[0])
	}
}

func TestRefusals(t *testing.T) {
	l := newLab(t)
	d := l.open(t, flakey.Options{Name: l.name("taken")})
	for name, o := range map[string]flakey.Options{
		"a name in use":         {Name: l.name("taken"), Size: mib},
		"a path for a name":     {Name: "../x", Size: mib},
		"no size":               {Name: "x"},
		"a size of no page":     {Name: "x", Size: mib + 512},
		"more than fits":        {Name: "x", Size: 1 << 50},
		"more memory than fits": {Name: "x", Size: mib, Memory: 1 << 50},
		"blocks of 1024":        {Name: "x", Size: mib, BlockSize: 1024},
		"a recording in use":    {Name: "x", Size: mib, Record: "soft_test.go"},
		"a recording nowhere":   {Name: "x", Size: mib, Record: "/nonexistent/rec"},
	} {
		o.Ledger = l.ledger
		entries := len(l.ledger.Left())
		if _, err := l.driver.Create(t.Context(), o); !IsRefused(err) {
			t.Errorf("%s: %v", name, err)
		}
		if len(l.ledger.Left()) != entries {
			t.Errorf("%s changed something", name)
		}
	}
	for name, f := range map[string]flakey.Fault{
		"an unknown kind": {Kind: "rust"},
		"flags":           {Kind: flakey.CorruptReads, Flags: 1},
		"a probability":   {Kind: flakey.DropWrites, Where: flakey.Selector{Probability: 2}},
	} {
		if err := d.Set(t.Context(), f); !IsRefused(err) {
			t.Errorf("fault with %s: %v", name, err)
		}
	}
	if _, err := d.PowerCut(t.Context(), flakey.Keep{Mode: "some"}); !IsRefused(err) {
		t.Errorf("an unknown mode: %v", err)
	}
	if err := d.Mount(context.Background(), Mount{Dir: "/mnt", FS: "ext4"}); !IsRefused(err) {
		t.Errorf("mount by the daemon of another's disk: %v", err)
	}
}
