package pressure

import (
	"bytes"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unsafe"
)

const mib = 1 << 20

func newMemory(t testing.TB, o MemoryOptions) *Memory {
	t.Helper()
	if o.Stalled == 0 {
		o.Stalled = -1 // what else this machine does is no matter of the test
	}
	m, err := NewMemory(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// resident is how many bytes of the arena the kernel says are in memory, and
// how many of them in huge pages and locked (proc_pid_smaps(5)).
func resident(t testing.TB, a *arena) (rss, huge, locked int64) {
	t.Helper()
	b, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	from, to := uint64(uintptr(a.all)), uint64(uintptr(a.all)+a.size)
	inside := false
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		if low, _, ok := strings.Cut(strings.Fields(line)[0], "-"); ok && !strings.HasSuffix(strings.Fields(line)[0], ":") {
			start, err := strconv.ParseUint(low, 16, 64)
			inside = err == nil && start >= from && start < to
			continue
		}
		kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch {
		case !inside:
		case name == "Rss":
			rss += kib << 10
		case name == "AnonHugePages":
			huge += kib << 10
		case name == "Locked":
			locked += kib << 10
		}
	}
	return rss, huge, locked
}

// TestMemoryIsExact grows and shrinks and wants the kernel to see the same to a page.
func TestMemoryIsExact(t *testing.T) {
	m := newMemory(t, MemoryOptions{})
	page := pageSize()
	for _, n := range []int64{0, 1, page, page + 1, 3*mib + 5, 64 * mib, 64*mib - 1, 63*mib + 7*page, 63*mib + 8*page, 2*mib - 1, 40 * mib, 2 * mib, 130*mib + page, 17, 0} {
		if err := m.Set(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		want := up(n, page)
		rss, _, _ := resident(t, m.arena)
		if s := m.Current(); rss != want || s.Held != want || s.Asked != n || s.Reason != "" || s.Working {
			t.Errorf("asked for %d: the kernel sees %d, want %d; %+v", n, rss, want, s)
		}
	}
}

// TestTailIsNotHuge wants the part of a huge page at the end to be advised
// against: where the kernel gives such pages to all, it would take a whole one.
func TestTailIsNotHuge(t *testing.T) {
	m := newMemory(t, MemoryOptions{})
	for _, n := range []int64{3 * mib, 5*mib + 4096, mib, 7 * mib} {
		if err := m.Set(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile("/proc/self/smaps")
		if err != nil {
			t.Fatal(err)
		}
		last := fmt.Sprintf("-%x ", uintptr(unsafe.Add(m.arena.base, m.arena.end)))
		_, rest, ok := strings.Cut(string(b), last)
		flags := regexp.MustCompile(`VmFlags: (.*)`).FindStringSubmatch(rest)
		if !ok || flags == nil {
			t.Fatalf("the kernel does not show a mapping that ends at %s", last)
		}
		if !strings.Contains(flags[1], "nh") {
			t.Errorf("%d bytes: the tail has the flags %s", n, flags[1])
		}
	}
}

// TestTurn wants a later request to end the one that is at work.
func TestTurn(t *testing.T) {
	var turn turn
	first, done, err := turn.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	second := make(chan error)
	go func() {
		_, done, err := turn.take(t.Context())
		if err == nil {
			done()
		}
		second <- err
	}()
	<-first.Done()
	if !errors.Is(context.Cause(first), ErrSuperseded) || !turn.busy() {
		t.Errorf("the first was ended by %v", context.Cause(first))
	}
	done()
	if err := <-second; err != nil || turn.busy() {
		t.Errorf("the second: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	third, done, err := turn.take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if _, _, err := turn.take(cancelled); !errors.Is(err, context.Canceled) || third.Err() != nil {
		t.Errorf("one that was told to stop has ended another: %v", err)
	}
}

// TestMemoryIsHuge wants huge pages wherever a whole one was asked for.
func TestMemoryIsHuge(t *testing.T) {
	b, err := os.ReadFile("/sys/kernel/mm/transparent_hugepage/enabled")
	if err != nil || strings.Contains(string(b), "[never]") {
		t.Skip("needs a kernel that gives huge pages")
	}
	m := newMemory(t, MemoryOptions{})
	if err := m.Set(t.Context(), 65*mib+3); err != nil {
		t.Fatal(err)
	}
	if rss, huge, _ := resident(t, m.arena); huge < rss/2 { // a fragmented machine gives fewer
		t.Errorf("%d of %d bytes are in huge pages", huge, rss)
	}
}

// TestMemoryIsIncompressible tries what zram and KSM do: compress every page,
// and look for two that are alike.
func TestMemoryIsIncompressible(t *testing.T) {
	m := newMemory(t, MemoryOptions{})
	if err := m.Set(t.Context(), 2*mib); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	var out bytes.Buffer
	for at := int64(0); at < 2*mib; at += pageSize() {
		page := m.arena.bytes(at, at+pageSize())
		if seen[string(page)] {
			t.Fatalf("the page at %d is there twice", at)
		}
		seen[string(page)] = true
		out.Reset()
		w, err := flate.NewWriter(&out, flate.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(page); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if out.Len() < len(page) {
			t.Fatalf("the page at %d compresses to %d bytes", at, out.Len())
		}
	}
	if !bytes.Equal(m.Sample(100), m.arena.bytes(0, 100)) {
		t.Error("the sample is not what is held")
	}
}

func TestMemoryIsLocked(t *testing.T) {
	m := newMemory(t, MemoryOptions{})
	if err := m.SetLocked(t.Context(), 3*mib, true); err != nil {
		t.Skipf("needs the right to lock 3 MiB: %v", err)
	}
	if _, _, locked := resident(t, m.arena); locked != 3*mib {
		t.Errorf("%d bytes are locked", locked)
	}
	if err := m.SetLocked(t.Context(), 5*mib, true); err != nil {
		t.Fatal(err)
	}
	if _, _, locked := resident(t, m.arena); locked != 5*mib {
		t.Errorf("%d bytes are locked after it grew", locked)
	}
	if err := m.SetLocked(t.Context(), 4*mib, false); err != nil {
		t.Fatal(err)
	}
	if rss, _, locked := resident(t, m.arena); locked != 0 || rss != 4*mib {
		t.Errorf("%d of %d bytes are locked, want none", locked, rss)
	}
}

func TestMemoryOverTheLimit(t *testing.T) {
	m := newMemory(t, MemoryOptions{Limit: 10 * mib})
	if err := m.Set(t.Context(), 4*mib); err != nil {
		t.Fatal(err)
	}
	for _, n := range []int64{10*mib + 1, 1 << 40, 1<<63 - 1} {
		var over *LimitError
		if err := m.Set(t.Context(), n); !errors.As(err, &over) || over.Limit != 10*mib || over.Asked != n {
			t.Errorf("%d bytes: %v", n, err)
		}
		if s := m.Current(); s.Held != 4*mib || s.Asked != 4*mib {
			t.Errorf("a refusal has changed something: %+v", s)
		}
	}
	if err := m.Set(t.Context(), -1); err == nil {
		t.Error("less than nothing is taken")
	}
	if err := m.Fill(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if s := m.Current(); s.Held != 10*mib {
		t.Errorf("filled: %+v", s)
	}
	unbounded := newMemory(t, MemoryOptions{})
	if s := unbounded.Current(); s.Limit <= 0 || s.Bound == "" {
		t.Errorf("no limit: %+v", s)
	}
}

// TestTheLastSetCounts sets many sizes at once: all but the last say that they
// were superseded, or had come to their end before.
func TestTheLastSetCounts(t *testing.T) {
	m := newMemory(t, MemoryOptions{Limit: 256 * mib})
	done := make(chan error)
	const n = 20
	for i := range n {
		go func() { done <- m.Set(t.Context(), int64(i%4)*64*mib) }()
	}
	for range n {
		if err := <-done; err != nil && !errors.Is(err, ErrSuperseded) {
			t.Error(err)
		}
	}
	if err := m.Set(t.Context(), 5*mib); err != nil {
		t.Fatal(err)
	}
	if rss, _, _ := resident(t, m.arena); rss != 5*mib {
		t.Errorf("%d bytes are resident", rss)
	}
}

func TestMemoryIsCancelled(t *testing.T) {
	m := newMemory(t, MemoryOptions{})
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	cancel(why)
	if err := m.Set(ctx, 100*mib); !errors.Is(err, why) {
		t.Errorf("a Set that was cancelled: %v", err)
	}
	if err := m.Release(); err != nil {
		t.Fatal(err)
	}
	if rss, _, _ := resident(t, m.arena); rss != 0 {
		t.Errorf("%d bytes are left", rss)
	}
}

func TestClosedMemory(t *testing.T) {
	m, err := NewMemory(MemoryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Set(t.Context(), 10*mib); err != nil {
		t.Fatal(err)
	}
	at := uintptr(m.arena.base)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(b), fmt.Sprintf("%x-", at)) {
		t.Error("the memory is still mapped")
	}
	if err := m.Set(t.Context(), 1); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed one takes memory: %v", err)
	}
}

// TestMemoryIsGivenBack plays others that come near the limit: a margin that
// nobody could leave free.
func TestMemoryIsGivenBack(t *testing.T) {
	m := newMemory(t, MemoryOptions{})
	if err := m.Set(t.Context(), 20*mib); err != nil {
		t.Fatal(err)
	}
	m.giveBack(7*mib, "others need it")
	rss, _, _ := resident(t, m.arena)
	if s := m.Current(); rss != 12*mib || s.Held != 12*mib || !strings.Contains(s.Reason, "gave back 8388608 bytes: others need it") || s.Asked != 20*mib {
		t.Errorf("%d bytes are resident, %+v", rss, s)
	}
	m.giveBack(100*mib, "all of it")
	if s := m.Current(); s.Held != 0 {
		t.Errorf("%+v", s)
	}
}

func TestMarginAndStep(t *testing.T) {
	for size, want := range map[int64]int64{1 << 20: 16 * mib, 256 * mib: 16 * mib, 1 << 30: 64 * mib, 1 << 40: 512 * mib} {
		if got := margin(size); got != want {
			t.Errorf("the margin of %d is %d, want %d", size, got, want)
		}
		if step(0) > margin(size)/2 {
			t.Error("the last step takes more than half a margin")
		}
	}
}

// TestArenaAlignment holds the base to a huge page, which all offsets count on.
func TestArenaAlignment(t *testing.T) {
	a, err := newArena(5 * mib)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	if uintptr(unsafe.Pointer(a.base))%hugePage != 0 || a.room < 5*mib {
		t.Errorf("the base is %p, with room for %d", a.base, a.room)
	}
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}
