package medium

import (
	"errors"
	"fmt"

	"github.com/seed-1b600011/assay/flakey/recording"
)

// Recorder is that of Options, or the last that Record was given; nil: none.
func (m *Medium) Recorder() *recording.Writer { return m.o.Recorder }

// Record begins a recording anew: with the content as writes and a flush, then
// all that is done from now on, in place of the recording so far, which the
// caller closes. It is for a medium that nobody uses yet, as Cut gives it; one
// with writes that no flush has covered is refused.
func (m *Medium) Record(w *recording.Writer) error {
	m.gate.Lock()
	defer m.gate.Unlock()
	switch {
	case m.dead.Load():
		return errors.New("medium: record: the disk is gone")
	case m.dirtyBytes.Load() > 0:
		return errors.New("medium: record: there are writes that no flush has covered, and a recording begins with what is durable")
	case w.Header().Size != m.o.Size || w.Header().BlockSize != m.o.BlockSize:
		return fmt.Errorf("medium: record: the recording is of a disk of %d bytes with blocks of %d", w.Header().Size, w.Header().BlockSize)
	}
	for l := range m.tree.all(0, m.leaves) {
		for slot := 0; slot < leafPages; slot++ {
			from := slot
			for slot < leafPages && l.durable[slot] != 0 && (slot == from || l.durable[slot] == l.durable[slot-1]+1) {
				slot++ // pages that lie together are one write
			}
			if slot == from {
				continue
			}
			p := m.arena.mem[int(l.durable[from])*pageSize : int(l.durable[from])*pageSize+(slot-from)*pageSize]
			if _, err := w.Write(l.number*leafSize+int64(from)*pageSize, p, 0); err != nil {
				return err
			}
			slot-- // the loop goes past it
		}
	}
	if _, err := w.Flush(0); err != nil {
		return err
	}
	m.o.Recorder = w
	return nil
}
