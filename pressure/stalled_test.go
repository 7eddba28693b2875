package pressure

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/machine"
	"golang.org/x/sys/unix"
)

// thrash reads a file for ever that is larger than its cgroup, so that it
// waits for memory all the time. It is the child of TestStalled.
func thrash() int {
	fail := func(err error) int { fmt.Println(err); return 1 }
	if err := enter(os.Getenv("THRASH_CGROUP")); err != nil {
		return fail(err)
	}
	f, err := os.Open(os.Getenv("THRASH_FILE"))
	if err != nil {
		return fail(err)
	}
	const size = 96 * mib
	b, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return fail(err)
	}
	_ = unix.Madvise(b, unix.MADV_RANDOM)
	sum := byte(0)
	for {
		for i := 0; i < size; i += 4096 {
			sum += b[i]
		}
		if sum == 0 && len(b) == 0 {
			return 0
		}
	}
}

// writeUncached makes a file of which nothing is in the page cache: there it
// would be on this process's account.
func writeUncached(t *testing.T, path string, size int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(make([]byte, size))
	err = errors.Join(err, f.Sync(), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED), f.Close())
	if err != nil {
		t.Fatal(err)
	}
}

// TestStalled has another process wait for memory: no more is taken then, and
// what is held is given back.
func TestStalled(t *testing.T) {
	bounds := machine.FindMemoryBounds()
	if _, ok := bounds.Stalled(); !ok {
		t.Skip("needs a kernel with PSI")
	}
	dir := memcg(t, 48*mib)
	file := filepath.Join(t.TempDir(), "file")
	writeUncached(t, file, 96*mib)
	c, err := childProcess("thrash", "THRASH_CGROUP="+dir, "THRASH_FILE="+file)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Process.Kill(); _ = c.Wait() }()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if p, _ := bounds.Stalled(); p > 0.4 {
			break
		}
		if time.Now().After(deadline) {
			t.Skip("needs a machine on which a process waits for memory that reads twice of what its cgroup holds")
		}
	}

	m := newMemory(t, MemoryOptions{Stalled: 0.05})
	var short *ShortError
	if err := m.Set(t.Context(), 20*mib); !errors.As(err, &short) || !strings.Contains(short.Reason, "PSI") || short.Held != 0 {
		t.Errorf("while tasks wait for memory: %v", err)
	}
	m.turn.work.Lock() // as if it had been taken before
	err = m.take(20 * mib)
	m.turn.work.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is given back", func() bool { return m.Current().Held < 20*mib })
	if s := m.Current(); !strings.Contains(s.Reason, "PSI") || !strings.Contains(s.Reason, "gave back") {
		t.Errorf("%+v", s)
	}
}
