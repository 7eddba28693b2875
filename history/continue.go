package history

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Continue goes on with the history in dir after its writer was closed, killed
// or lost with its machine. It reads all of it, ends it where reading ended,
// and begins a new segment; operation numbers go on above the highest. It never
// writes behind the last record of the old segment: what a crash left there
// stays to be looked at.
//
// An error is a *DamageError where reading gives one (nothing is changed then),
// wraps ErrInUse while a writer lives, and fs.ErrNotExist if there is no
// history in dir.
func Continue(dir string, o Options) (*Writer, error) {
	if _, err := os.Stat(dir); err != nil { // open would make it
		return nil, fmt.Errorf("history: continue: %w", err)
	}
	w, err := open(dir, o)
	if err != nil {
		return nil, fmt.Errorf("history: continue %s: %w", dir, err)
	}
	if err := w.resume(); err != nil {
		return nil, fmt.Errorf("history: continue %s: %w", dir, errors.Join(err, w.lock.Close()))
	}
	return w, nil
}

func (w *Writer) resume() error {
	last, err := w.readAll()
	if err != nil {
		return err
	}
	if w.o.Writer != 0 && w.o.Writer != last.writer {
		return fmt.Errorf("it is the history of writer %d, not %d", last.writer, w.o.Writer)
	}
	w.o.Writer = last.writer
	file, err := os.OpenFile(filepath.Join(w.dir, segmentName(last.seq)), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	// Of a killed writer the last pages may still be on their way to the disk.
	if err := datasync(file); err != nil {
		return errors.Join(err, file.Close())
	}
	w.before = last.records + last.count
	s, err := w.allocate(header{seq: last.seq + 1, first: last.first, records: w.before,
		prev: last.nonce, prevEnd: uint64(last.pos)}, 0)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	if _, err := s.finish(w.dir); err != nil {
		// Named or not, it holds no record: whoever continues next goes on
		// behind it or makes it anew.
		return errors.Join(err, s.release(), file.Close())
	}
	w.seg = s
	b := slot{kind: passedSlot, covered: last.pos, records: last.count}.encode(last.nonce, endSlot)
	_, err = file.WriteAt(b[:], endSlot)
	if err = errors.Join(err, file.Close()); err != nil {
		return errors.Join(err, s.release())
	}
	return nil
}

// readAll reads the history to its end and returns its last segment, with the
// highest operation number noted in w.
func (w *Writer) readAll() (*reading, error) {
	c := readDirectory(w.dir)
	defer c.close()
	for {
		r, err := c.read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if r.Writer == c.cur.writer {
			w.op = max(w.op, r.Op)
		}
	}
	w.op = max(w.op, c.cur.op)
	return c.cur, nil
}

// newNonce is never 0, so that a field of zeros names no segment.
func newNonce() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it does not return without success
	return max(1, binary.LittleEndian.Uint64(b[:]))
}
