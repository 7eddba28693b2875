package medium

import (
	"syscall"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/flakey"
)

// TestDelayAndHang: a request waits until the fault is taken away, for ever if
// it is not, and not if it is elsewhere.
func TestDelayAndHang(t *testing.T) {
	for _, f := range []flakey.Fault{{Kind: flakey.Hang}, {Kind: flakey.Delay, Delay: time.Hour}} {
		f.Where = flakey.Selector{FromSector: 8, ToSector: 16}
		ops := map[string]func(m *Medium) syscall.Errno{
			"read":    func(m *Medium) syscall.Errno { return m.ReadAt(make([]byte, 512), 8*sector) },
			"write":   func(m *Medium) syscall.Errno { return m.WriteAt(make([]byte, 512), 8*sector) },
			"discard": func(m *Medium) syscall.Errno { return m.Discard(8*sector, 512) },
			"zero":    func(m *Medium) syscall.Errno { return m.Zero(8*sector, 512) },
			"flush":   func(m *Medium) syscall.Errno { return m.Flush() },
		}
		for end, want := range map[string]syscall.Errno{"taken away": 0, "closed": syscall.EIO, "cut": syscall.EIO} {
			t.Run(string(f.Kind)+" "+end, func(t *testing.T) {
				m := striped(t, 512)
				set(t, m, f)
				answers := make(chan syscall.Errno)
				for _, op := range ops {
					go func() { answers <- op(m) }()
				}
				for m.Stats().Touched[f.Kind] < int64(len(ops)) {
					time.Sleep(time.Millisecond)
				}
				errno(t, "read beside", m.ReadAt(make([]byte, 512), 0), 0)
				set(t, m, f, flakey.Fault{Kind: flakey.ErrorReads, Where: flakey.Selector{FromSector: 100}})
				select {
				case e := <-answers:
					t.Fatalf("%v: it did not wait, although the fault stayed on", e)
				case <-time.After(20 * time.Millisecond):
				}
				switch end {
				case "taken away":
					set(t, m)
				case "closed":
					m.Close()
				case "cut":
					after, _, err := m.Cut(flakey.Keep{})
					if err != nil {
						t.Fatal(err)
					}
					defer after.Close()
				}
				for range ops {
					select {
					case e := <-answers:
						errno(t, "answer", e, want)
					case <-time.After(5 * time.Minute):
						t.Fatal("still waiting")
					}
				}
				if n := m.Stats().Touched[f.Kind]; n != int64(len(ops)) {
					t.Errorf("%d were touched", n)
				}
			})
		}
	}
}

// TestAfterAHang: a request that hung goes on under the faults that are on then.
func TestAfterAHang(t *testing.T) {
	m := striped(t, 512)
	set(t, m, flakey.Fault{Kind: flakey.Hang})
	answer := make(chan syscall.Errno)
	go func() { answer <- m.ReadAt(make([]byte, 512), 0) }()
	for m.Stats().Touched[flakey.Hang] == 0 {
		time.Sleep(time.Millisecond)
	}
	set(t, m, flakey.Fault{Kind: flakey.ErrorReads})
	errno(t, "answer", <-answer, syscall.EIO)
	if m.Stats().Touched[flakey.ErrorReads] != 1 {
		t.Error(m.Stats().Touched)
	}
}

// TestHangsCountOnce: a request that one hang lets by and another holds up is
// counted once by the first, however often it is looked at.
func TestHangsCountOnce(t *testing.T) {
	m := striped(t, 512)
	fifth := flakey.Fault{Kind: flakey.Hang, Where: flakey.Selector{Only: flakey.Writes, Skip: 4}}
	second := flakey.Fault{Kind: flakey.Hang, Where: flakey.Selector{Only: flakey.Writes, Skip: 1}}
	set(t, m, fifth, second)
	done := make(chan int, 10)
	go func() {
		for i := range 5 {
			m.WriteAt(make([]byte, 512), 0)
			done <- i + 1
		}
	}()
	await := func(held int64, want int) {
		t.Helper()
		for m.Stats().Touched[flakey.Hang] < held {
			time.Sleep(time.Millisecond)
		}
		if len(done) != want {
			t.Fatalf("%d writes were let by, want %d", len(done), want)
		}
	}
	await(1, 1)
	set(t, m, fifth)
	await(2, 4)
	set(t, m)
	for range 5 {
		<-done
	}
}
