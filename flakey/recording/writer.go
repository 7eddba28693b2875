package recording

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/seed-1b600011/assay/flakey"
)

// bufferSize bounds the memory of a writer: one buffer is filled while the
// other is written. A record fits into one.
const bufferSize = MaxData + headSize

// Writer appends records to a file. Its methods may be called by several
// goroutines at once; records stand in the order in which they were called. A
// caller waits where both buffers are full. The first error of the file ends
// the recording: every method returns it from then on.
type Writer struct {
	mu      sync.Mutex
	changed sync.Cond // anything below has changed
	file    *os.File
	nonce   uint32
	header  Header
	next    int   // number of the next record
	at      int64 // where the next record will stand in the file
	written int64 // up to where the file has been written
	filling []byte
	err     error
	closed  bool
	done    chan struct{} // the goroutine that writes has ended
}

var errClosed = errors.New("recording: is closed")

// Create makes the file at path, which must not exist, readable by its owner
// alone. Size, BlockSize and Seed of the header are the caller's.
func Create(path string, h Header) (_ *Writer, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("recording: create %s: %w", path, err)
		}
	}()
	if err := h.check(); err != nil {
		return nil, err
	}
	if h.BootID, err = bootID(); err != nil {
		return nil, err
	}
	h.Wall, h.Boot = time.Now(), boottime()
	var nonce [4]byte
	rand.Read(nonce[:])
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	w := &Writer{file: f, nonce: binary.LittleEndian.Uint32(nonce[:]), header: h, at: headerSize, written: headerSize, done: make(chan struct{})}
	w.changed.L = &w.mu
	if err := w.begin(); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	go w.drain()
	return w, nil
}

// begin makes the header and the file's name durable: an empty recording is
// then told from a file that was never one.
func (w *Writer) begin() error {
	if _, err := w.file.Write(w.header.encode(w.nonce)); err != nil {
		return err
	}
	if err := w.file.Sync(); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(w.file.Name()))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Header is that of the file.
func (w *Writer) Header() Header { return w.header }

// Path is that of the file.
func (w *Writer) Path() string { return w.file.Name() }

// Write records data written at off and returns the record's number. The
// caller may change data afterwards.
func (w *Writer) Write(off int64, data []byte, f Flags) (int, error) {
	return w.append(Record{Kind: Write, Flags: f, Offset: off, Length: int64(len(data))}, data)
}

// Flush records a flush.
func (w *Writer) Flush(f Flags) (int, error) { return w.append(Record{Kind: Flush, Flags: f}, nil) }

// Discard records that n bytes at off were given up.
func (w *Writer) Discard(off, n int64, f Flags) (int, error) {
	return w.append(Record{Kind: Discard, Flags: f, Offset: off, Length: n}, nil)
}

// Zero records that n bytes at off were made zero.
func (w *Writer) Zero(off, n int64, f Flags) (int, error) {
	return w.append(Record{Kind: Zero, Flags: f, Offset: off, Length: n}, nil)
}

// Faults records which faults are on from here.
func (w *Writer) Faults(faults []flakey.Fault) (int, error) {
	if faults == nil {
		faults = []flakey.Fault{} // an array in JSON too
	}
	return w.appendJSON(Faults, faults)
}

// Mark records a text.
func (w *Writer) Mark(text string) (int, error) { return w.append(Record{Kind: Mark}, []byte(text)) }

// Cut records a power cut.
func (w *Writer) Cut(c Cut) (int, error) { return w.appendJSON(CutPower, c) }

// Evict records that the cache was full. What it made durable, see the package
// comment; upTo is the number of a record.
func (w *Writer) Evict(upTo int) (int, error) {
	return w.append(Record{Kind: Evict, Offset: int64(upTo)}, nil)
}

func (w *Writer) appendJSON(k Kind, v any) (int, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return 0, fmt.Errorf("recording: %s of %s: %w", k, w.file.Name(), err)
	}
	return w.append(Record{Kind: k}, b)
}

func (w *Writer) append(r Record, payload []byte) (int, error) {
	r.Data = len(payload)
	if r.Data > MaxData {
		return 0, fmt.Errorf("recording: a %s of %d bytes: at most %d fit into a record", r.Kind, r.Data, MaxData)
	}
	size := padded(headSize + r.Data)
	sum := crc32.Checksum(payload, castagnoli) // the long part, while others append
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.err == nil && !w.closed && len(w.filling)+size > bufferSize {
		w.changed.Wait()
	}
	switch {
	case w.err != nil:
		return 0, w.err
	case w.closed:
		return 0, errClosed
	}
	r.Number, r.At = w.next, boottime()
	if !r.sane(w.header) {
		return 0, fmt.Errorf("recording: a %s of %d bytes at %d does not fit a disk of %d with blocks of %d",
			r.Kind, r.Length, r.Offset, w.header.Size, w.header.BlockSize)
	}
	w.put(r, payload, sum, size)
	return r.Number, nil
}

// put is called with the lock held.
func (w *Writer) put(r Record, payload []byte, sum uint32, size int) {
	var head [headSize]byte
	encodeHead(head[:], r, sum, w.nonce, w.at)
	w.filling = append(append(w.filling, head[:]...), payload...)
	var zeros [align]byte
	w.filling = append(w.filling, zeros[:size-headSize-len(payload)]...)
	w.next++
	w.at += int64(size)
	w.changed.Broadcast()
}

// drain writes one buffer after the other until the recording ends.
func (w *Writer) drain() {
	defer close(w.done)
	var spare []byte
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.filling) == 0 && !w.closed {
			w.changed.Wait()
		}
		if len(w.filling) == 0 || w.err != nil {
			return
		}
		full := w.filling
		w.filling = spare[:0]
		w.changed.Broadcast()
		w.mu.Unlock()
		_, err := w.file.Write(full)
		w.mu.Lock()
		spare = full
		w.written += int64(len(full))
		if err != nil {
			w.err = fmt.Errorf("recording: write %s: %w", w.file.Name(), err)
		}
		w.changed.Broadcast()
	}
}

// Sync makes everything durable that was appended before it was called.
func (w *Writer) Sync() error {
	w.mu.Lock()
	upTo := w.at
	for w.err == nil && !w.closed && w.written < upTo {
		w.changed.Wait()
	}
	err, closed := w.err, w.closed
	w.mu.Unlock()
	switch {
	case err != nil:
		return err
	case closed:
		return errClosed
	}
	return w.sync()
}

// Err is why the recording has ended, nil as long as it has not. What has been
// appended and not yet written to the file may still fail.
func (w *Writer) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// sync ends the recording where it fails: the next might succeed and mean nothing.
func (w *Writer) sync() error {
	err := w.file.Sync()
	if err == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = fmt.Errorf("recording: sync %s: %w", w.file.Name(), err)
	return w.err
}

// Close writes the end and makes everything durable. A second Close does nothing.
func (w *Writer) Close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return nil
	}
	if w.err == nil {
		w.put(Record{Kind: end, Number: w.next, At: boottime()}, nil, 0, headSize)
	}
	w.closed = true
	w.changed.Broadcast()
	w.mu.Unlock()
	<-w.done
	w.mu.Lock()
	err := w.err
	w.mu.Unlock()
	if err == nil {
		err = w.sync()
	}
	return errors.Join(err, w.file.Close())
}
