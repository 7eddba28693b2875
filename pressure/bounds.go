package pressure

import (
	"fmt"

	"github.com/seed-1b600011/assay/machine"
)

// margin is what is left of a bound: a sixteenth, within 16 and 512 MiB. It
// pays for page tables, for the counters of a cgroup, which lag by what its
// processors have batched, and for this process itself.
func margin(size int64) int64 { return min(max(size/16, 16<<20), 512<<20) }

// room is how much more memory may be taken, and what bounds it. It is below
// zero where others have taken of the margin.
func room(m machine.MemoryBounds, override int64) (more int64, bound string, err error) {
	all, err := m.Read()
	if err != nil {
		return 0, "", err
	}
	for i, b := range all {
		keep := margin(b.Size)
		if override > 0 {
			keep = override
		}
		if left := b.Left - keep; i == 0 || left < more {
			more, bound = left, fmt.Sprintf("%s, less a margin of %d bytes", b.Name, keep)
		}
	}
	return more, bound, nil
}
