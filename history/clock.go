package history

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// bootClock reads CLOCK_BOOTTIME for the price of a monotonic clock: the two
// differ by the time that the machine was suspended, and that difference is
// fetched again (a system call) once it is a millisecond old. A record appended
// within that millisecond after a resume is early by the suspended time.
type bootClock struct {
	start   time.Time     // carries the monotonic reading that all others are relative to
	ahead   time.Duration // CLOCK_BOOTTIME at start, as last seen
	fetched time.Duration // since start
	last    time.Duration // given out: fetching twice jitters by some ns, time does not run back
}

const clockAge = time.Millisecond

func newBootClock() *bootClock {
	c := &bootClock{start: time.Now()}
	c.fetch()
	return c
}

func (c *bootClock) fetch() time.Duration {
	var ts unix.Timespec
	// It fails for unknown clocks and bad addresses only; this is neither.
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	since := time.Since(c.start)
	c.ahead, c.fetched = time.Duration(ts.Nano())-since, since
	return since
}

func (c *bootClock) now() time.Duration {
	since := time.Since(c.start)
	if since-c.fetched > clockAge {
		since = c.fetch()
	}
	c.last = max(c.last, c.ahead+since)
	return c.last
}

// bootID is the kernel's name for this boot of this machine: see random(4).
func bootID() (id [16]byte, err error) {
	const file = "/proc/sys/kernel/random/boot_id"
	b, err := os.ReadFile(file)
	if err != nil {
		return id, fmt.Errorf("read the boot id: %w", err)
	}
	text := strings.ReplaceAll(strings.TrimSpace(string(b)), "-", "")
	if n, err := hex.Decode(id[:], []byte(text)); err != nil || n != len(id) {
		return id, fmt.Errorf("read the boot id: %s holds %q", file, b)
	}
	return id, nil
}
