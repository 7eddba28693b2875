package history

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
)

// Writer appends to a history. All its methods may be called by any number of
// goroutines at once. A Writer must be closed; a process that ends without
// doing so loses nothing that was appended.
type Writer struct {
	dir  string
	o    Options
	boot [16]byte
	lock *os.File

	syncing sync.Mutex // one Sync, Checkpoint or Close at a time; taken before mu
	mu      sync.Mutex // everything below
	seg     *segment
	before  uint64 // records in the segments before seg
	op      uint64 // the highest of this writer
	failed  error  // the storage of the history itself broke: nothing is promised any more
	missing error  // why the first record that is not in the history is not
}

// Err returns why the history is not what was appended to it: the first error
// by which a record could not be written or made durable, or nil. A record that
// was refused because it exceeds a limit counts too: whatever it was about, the
// history does not have it.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return errors.Join(w.missing, w.failed)
}

// Records returns how many records were appended so far, those included that a
// checkpoint has replaced.
func (w *Writer) Records() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.before + w.seg.count
}

// Create begins a history in dir, which is made if need be. An error wraps
// fs.ErrExist if dir holds a history already (see Continue), ErrInUse if one
// is being written there, and what the system said otherwise: ENOSPC if there
// is no room for a segment.
func Create(dir string, o Options) (*Writer, error) {
	w, err := open(dir, o)
	if err != nil {
		return nil, fmt.Errorf("history: create %s: %w", dir, err)
	}
	if err := w.begin(); err != nil {
		return nil, fmt.Errorf("history: create %s: %w", dir, errors.Join(err, w.lock.Close()))
	}
	return w, nil
}

func open(dir string, o Options) (*Writer, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	w := &Writer{dir: dir, o: o}
	if w.boot, err = bootID(); err != nil {
		return nil, err
	}
	if err := makeDir(dir); err != nil {
		return nil, err
	}
	if w.lock, err = lock(dir); err != nil {
		return nil, err
	}
	if err := removeUnfinished(dir); err != nil {
		return nil, errors.Join(err, w.lock.Close())
	}
	return w, nil
}

func (w *Writer) begin() error {
	seqs, err := segments(w.dir)
	if err != nil {
		return err
	}
	if len(seqs) > 0 {
		return fmt.Errorf("segment %d: %w", seqs[len(seqs)-1], fs.ErrExist)
	}
	s, err := w.allocate(header{seq: 1, first: 1}, 0)
	if err != nil {
		return err
	}
	if _, err := s.finish(w.dir); err != nil {
		return errors.Join(err, s.release())
	}
	w.seg = s
	return nil
}

// allocate makes the next segment, with room for a body of need bytes. The
// caller has said in h which segment it follows.
func (w *Writer) allocate(h header, need int) (*segment, error) {
	h.writer, h.boot = w.o.Writer, w.boot
	h.wall, h.created = w.o.Wall().UnixNano(), int64(w.o.Clock())
	h.op = w.op
	h.nonce = newNonce()
	h.size = uint64(max(w.o.SegmentSize, alignUp(dataStart+frameHead+int64(need), blockSize)))
	return allocate(w.dir, h)
}

// Append writes r. Where At is 0 it is filled in from the clock, where Writer
// is 0 from the options. When Append has returned nil the record is in the
// kernel and outlives this process, whatever becomes of it; only Sync makes it
// outlive the machine. Append keeps nothing of r but its strings.
//
// Phase Checkpoint and what exceeds MaxVerb, MaxName or MaxDetail is refused,
// and a new segment for which the disk is full is an error that wraps ENOSPC:
// in both cases nothing was written, and the next Append may succeed. After an
// error of the history's own storage every call returns that error. After
// Close the error wraps fs.ErrClosed.
func (w *Writer) Append(r Record) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.append(&r); err != nil {
		return fmt.Errorf("history: append %s: %w", r.Phase, err)
	}
	return nil
}

// Begin appends r as Issued under an operation number of its own and returns
// that number: 1 for the first of a history, and one more each time. Errors
// are those of Append; the operation must then not be done.
func (w *Writer) Begin(r Record) (op uint64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	r.Op, r.Phase, r.Writer = w.op+1, Issued, w.o.Writer
	if err := w.append(&r); err != nil {
		return 0, fmt.Errorf("history: begin %s: %w", r.Verb, err)
	}
	return r.Op, nil
}

func (w *Writer) append(r *Record) error {
	err := w.tryAppend(r)
	if err != nil && w.missing == nil && !errors.Is(err, fs.ErrClosed) {
		w.missing = err
	}
	return err
}

func (w *Writer) tryAppend(r *Record) error {
	if w.failed != nil {
		return w.failed
	}
	if err := check(r); err != nil {
		return err
	}
	if need := bodyBound(r); !w.seg.room(need) {
		if err := w.rotate(need); err != nil {
			return err
		}
	}
	return w.put(w.seg, r)
}

// put fills in what r lacks and writes it to s.
func (w *Writer) put(s *segment, r *Record) error {
	w.complete(r)
	if err := s.put(r); err != nil {
		return w.fail(err)
	}
	if r.Writer == w.o.Writer {
		w.op = max(w.op, r.Op)
	}
	return nil
}

func (w *Writer) complete(r *Record) {
	if r.At == 0 {
		r.At = w.o.Clock()
	}
	if r.Writer == 0 {
		r.Writer = w.o.Writer
	}
}

// fail ends the writer: what its storage holds is no longer known, so a later
// success would promise what nobody can keep.
func (w *Writer) fail(err error) error {
	if w.failed == nil {
		w.failed = err
	}
	return w.failed
}

// rotate goes on in a new segment with room for a body of need bytes. The old
// one is durable before the new one can be seen.
func (w *Writer) rotate(need int) error {
	old := w.seg
	s, err := w.allocate(w.follows(old), need)
	if err != nil {
		return err
	}
	if err := old.sync(); err != nil {
		return w.fail(errors.Join(err, s.abandon()))
	}
	return w.pass(s)
}

// follows is the header of a segment that comes after old, but for what
// allocate fills in.
func (w *Writer) follows(old *segment) header {
	return header{seq: old.seq + 1, first: old.first, records: w.before + old.count,
		prev: old.nonce, prevEnd: uint64(old.pos)}
}

// pass finishes s and puts it in the place of the segment before it.
func (w *Writer) pass(s *segment) error {
	old := w.seg
	if named, err := s.finish(w.dir); named && err != nil {
		// Readers may take the old segment for ended: appending to it would
		// write what nobody reads.
		return w.fail(errors.Join(err, s.release()))
	} else if err != nil {
		return errors.Join(err, s.abandon())
	}
	w.before += old.count
	w.seg = s
	// From here on a reader that misses the new segment knows that it does.
	err := old.note(endSlot, slot{kind: passedSlot, covered: old.pos, records: old.count})
	if err = errors.Join(err, old.release()); err != nil {
		return w.fail(err)
	}
	return nil
}

// Sync makes durable whatever was appended before it was called, and then a
// mark that says so: damage before the mark is an error for every later reader.
// Calls at the same time share the work. An error is the end of the writer:
// after a failed sync nobody knows what the disk holds.
func (w *Writer) Sync() error {
	w.mu.Lock()
	s, pos, err := w.seg, w.seg.pos, w.failed
	w.mu.Unlock()
	if err == nil {
		err = w.sync(s, pos)
	}
	if err != nil {
		return fmt.Errorf("history: sync: %w", err)
	}
	return nil
}

// sync returns when the first pos bytes of s are durable and marked. It lets
// appends go on while the disk works.
func (w *Writer) sync(s *segment, pos int64) error {
	w.syncing.Lock()
	defer w.syncing.Unlock()
	covered, done, err := w.unmarked(s, pos)
	if done || err != nil {
		return err
	}
	if err := s.sync(); err != nil {
		return w.syncFailed(s, err)
	}
	end, done, err := w.mark(s, covered)
	if done || err != nil {
		return err
	}
	if err := s.sync(); err != nil {
		return w.syncFailed(s, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s.marked = covered
	if end == s.pos && covered == s.pos-slotSize {
		s.marked = end
	}
	return nil
}

// unmarked is how far s has come, or that its first pos bytes need nothing. A
// segment that has been passed was durable first.
func (w *Writer) unmarked(s *segment, pos int64) (covered int64, done bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seg != s || s.marked >= pos {
		return 0, true, nil
	}
	return s.pos, false, w.failed
}

func (w *Writer) mark(s *segment, covered int64) (end int64, done bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.seg != s:
		return 0, true, nil
	case w.failed != nil:
		return 0, false, w.failed
	}
	if err := s.mark(covered); err != nil {
		return 0, false, w.fail(err)
	}
	return s.pos, false, nil
}

func (w *Writer) syncFailed(s *segment, err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seg != s && errors.Is(err, fs.ErrClosed) {
		return nil // passed meanwhile, and synced for that
	}
	return w.fail(err)
}

// Close ends the history: everything is made durable, the end is noted, and
// the room that was not needed is given back. A second Close returns an error
// that wraps fs.ErrClosed.
func (w *Writer) Close() error {
	w.syncing.Lock()
	defer w.syncing.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if errors.Is(w.failed, fs.ErrClosed) {
		return fmt.Errorf("history: close %s: %w", w.dir, w.failed)
	}
	err := w.failed
	if err == nil {
		err = w.seg.close()
	} else {
		err = errors.Join(err, w.seg.release())
	}
	w.failed = fs.ErrClosed
	if err := errors.Join(err, w.lock.Close()); err != nil {
		return fmt.Errorf("history: close %s: %w", w.dir, err)
	}
	return nil
}

// close syncs, notes the end, syncs that, and only then cuts the file.
func (s *segment) close() error {
	err := s.sync()
	if err == nil {
		err = s.note(endSlot, slot{kind: closedSlot, covered: s.pos, records: s.count})
	}
	if err == nil {
		err = s.sync()
	}
	if err = errors.Join(err, s.unmap()); err == nil {
		err = s.file.Truncate(s.pos)
	}
	if err == nil {
		err = s.file.Sync()
	}
	return errors.Join(err, s.file.Close())
}
