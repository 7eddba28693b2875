package history

import (
	"errors"
	"fmt"
	"iter"
)

// Checkpoint replaces everything appended so far by records, which say the
// same in less: a new segment with a Checkpoint record, the records, and a
// Checkpoint record with To 1; once that is durable the older segments are
// removed. Killed or cut off at any instant, it leaves either the old history
// or the new one to be read.
//
// Nothing else is appended between the call and its return: Append and Begin
// wait, and records may therefore read this history (ReadDir) to fold it, but
// must not append to it. Each record keeps its At and its Writer; 0 is filled
// in. At of a record from an earlier boot keeps its number, too, though it
// means another time.
//
// An error before the new segment can be seen (a record refused, a full disk)
// leaves the history as it was and the writer usable. If only the removal of
// an old segment fails, the error says so, and the checkpoint stands.
func (w *Writer) Checkpoint(records iter.Seq[Record]) error {
	w.syncing.Lock()
	defer w.syncing.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.checkpoint(records); err != nil {
		return fmt.Errorf("history: checkpoint %s: %w", w.dir, err)
	}
	return nil
}

func (w *Writer) checkpoint(records iter.Seq[Record]) error {
	if w.failed != nil {
		return w.failed
	}
	h := w.follows(w.seg)
	h.first = h.seq
	s, err := w.allocate(h, 0)
	if err != nil {
		return err
	}
	op, err := w.fold(s, records)
	if err != nil {
		return errors.Join(err, s.abandon())
	}
	if err := w.pass(s); err != nil {
		return err
	}
	w.op = max(w.op, op)
	if err := removeBefore(w.dir, s.seq); err != nil {
		return fmt.Errorf("remove what it replaces: %w", err)
	}
	return nil
}

// fold writes the checkpoint to s, a file that nobody reads yet: an error does
// not concern the history. op is the highest of this writer in it.
func (w *Writer) fold(s *segment, records iter.Seq[Record]) (op uint64, err error) {
	if err := w.add(s, Record{Phase: Checkpoint}); err != nil {
		return 0, err
	}
	for r := range records {
		err := check(&r)
		if err == nil {
			err = w.add(s, r)
		}
		if err != nil {
			return 0, err
		}
		if r.Writer == 0 || r.Writer == w.o.Writer {
			op = max(op, r.Op)
		}
	}
	if err := w.add(s, Record{Phase: Checkpoint, To: 1}); err != nil {
		return 0, err
	}
	// This mark is early: it is true once the segment has its name.
	if err := s.mark(s.pos); err != nil {
		return 0, err
	}
	s.marked = s.pos
	return op, nil
}

// add makes s longer where a record does not fit, which only a segment that is
// not yet part of the history may become.
func (w *Writer) add(s *segment, r Record) error {
	w.complete(&r)
	if need := bodyBound(&r); !s.room(need) {
		if err := s.grow(s.size + uint64(max(w.o.SegmentSize, alignUp(frameHead+int64(need), blockSize)))); err != nil {
			return err
		}
	}
	return s.put(&r)
}
