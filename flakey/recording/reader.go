package recording

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"github.com/seed-1b600011/assay/flakey"
)

// Reader gives the records of a recording by number. It holds 8 bytes a record
// in memory; data is read when it is asked for. Its methods may be called by
// several goroutines at once, but Close.
type Reader struct {
	from    io.ReaderAt
	file    *os.File // nil where the caller has it
	size    int64
	header  Header
	nonce   uint32
	starts  []int64
	ignored int64
	closed  bool
}

// DamageError says that a recording is damaged where no crash explains it.
type DamageError struct {
	Offset int64 // of the first record that is not whole, in the file
	Next   int64 // of a whole record there or behind it; 0: there is none
	Reason string
}

// Error says where the damage is.
func (e *DamageError) Error() string {
	return fmt.Sprintf("recording: damaged at offset %d: %s", e.Offset, e.Reason)
}

// Open reads the recording at path once from end to end, to check it. With a
// DamageError there is a reader too, of the records before the damage; with
// any other error there is none.
func Open(path string) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("recording: %w", err), f.Close())
	}
	r, err := NewReader(f, st.Size())
	if r == nil {
		return nil, errors.Join(fmt.Errorf("%w (%s)", err, path), f.Close())
	}
	r.file = f
	return r, err
}

// NewReader is Open for what is not a file of its own: the first size bytes
// of from.
func NewReader(from io.ReaderAt, size int64) (*Reader, error) {
	r := &Reader{from: from, size: size}
	b := make([]byte, min(size, headerSize))
	if err := readFull(from, b, 0); err != nil {
		return nil, fmt.Errorf("recording: read the header: %w", err)
	}
	var err error
	if r.header, r.nonce, err = decodeHeader(b); err != nil {
		return nil, fmt.Errorf("recording: %w", err)
	}
	return r, r.scan()
}

// scan finds the records.
func (r *Reader) scan() error {
	var head [headSize]byte
	var scratch []byte // as long as the longest record
	at := int64(headerSize)
	for {
		rec, next, err := r.whole(at, head[:], &scratch)
		if err != nil {
			return err
		}
		if next == 0 {
			break
		}
		if rec.Number != len(r.starts) {
			r.ignored = r.size - at
			return &DamageError{Offset: at, Next: at, Reason: fmt.Sprintf("record %d stands where %d should", rec.Number, len(r.starts))}
		}
		if rec.Kind == end {
			r.closed, r.ignored = true, r.size-next
			if r.ignored > 0 {
				return &DamageError{Offset: next, Reason: fmt.Sprintf("%d bytes behind the end", r.ignored)}
			}
			return nil
		}
		r.starts = append(r.starts, at)
		at = next
	}
	r.ignored = r.size - at
	return r.behind(at, &scratch)
}

// whole reads the record at offset at and checks it. The offset of the one
// after it is 0 where it is not whole.
func (r *Reader) whole(at int64, head []byte, scratch *[]byte) (rec Record, next int64, err error) {
	if r.size-at < headSize {
		return rec, 0, nil
	}
	if err := readFull(r.from, head, at); err != nil {
		return rec, 0, fmt.Errorf("recording: read at %d: %w", at, err)
	}
	rec, sum, ok := decodeHead(head, r.header, r.nonce, at)
	size := int64(padded(headSize + rec.Data))
	if !ok || r.size-at < size {
		return rec, 0, nil
	}
	rest := int(size - headSize)
	if cap(*scratch) < rest {
		*scratch = make([]byte, 0, rest)
	}
	b := (*scratch)[:rest]
	if err := readFull(r.from, b, at+headSize); err != nil {
		return rec, 0, fmt.Errorf("recording: read at %d: %w", at, err)
	}
	if crc32.Checksum(b[:rec.Data], castagnoli) != sum || len(bytes.Trim(b[rec.Data:], "\x00")) > 0 {
		return rec, 0, nil
	}
	return rec, at + size, nil
}

// behind looks for a whole record behind the first that is not.
func (r *Reader) behind(bad int64, scratch *[]byte) error {
	window := min(1<<20, (r.size-bad)&^(align-1)+align)
	b := make([]byte, window+align)
	head := make([]byte, headSize)
	for from := bad + align; from < r.size; from += window {
		b := b[:min(int64(len(b)), r.size-from)]
		if err := readFull(r.from, b, from); err != nil {
			return fmt.Errorf("recording: read at %d: %w", from, err)
		}
		for i := int64(0); i+align <= int64(len(b)) && i < window; i += align {
			if string(b[i:i+int64(len(recordMagic))]) != recordMagic {
				continue
			}
			rec, next, err := r.whole(from+i, head, scratch)
			if err != nil {
				return err
			}
			if next != 0 {
				return &DamageError{Offset: bad, Next: from + i,
					Reason: fmt.Sprintf("record %d is not whole, but %d is, at %d", len(r.starts), rec.Number, from+i)}
			}
		}
	}
	return nil
}

// Header says which disk was recorded.
func (r *Reader) Header() Header { return r.header }

// Len is the number of records.
func (r *Reader) Len() int { return len(r.starts) }

// Ignored is how many bytes stand behind the last record that could be read.
// It is 0 where the recording was closed, and where it was killed between two
// records.
func (r *Reader) Ignored() int64 { return r.ignored }

// Closed says whether the writer was closed, so that nothing can be missing.
func (r *Reader) Closed() bool { return r.closed }

// Record gives record i, from 0 to Len()-1; others are an error.
func (r *Reader) Record(i int) (Record, error) {
	rec, _, err := r.head(i)
	return rec, err
}

func (r *Reader) head(i int) (rec Record, sum uint32, err error) {
	if i < 0 || i >= len(r.starts) {
		return rec, 0, fmt.Errorf("recording: record %d: there are %d", i, len(r.starts))
	}
	var b [headSize]byte
	if err := readFull(r.from, b[:], r.starts[i]); err != nil {
		return rec, 0, fmt.Errorf("recording: record %d: %w", i, err)
	}
	rec, sum, ok := decodeHead(b[:], r.header, r.nonce, r.starts[i])
	if !ok || rec.Number != i {
		return rec, 0, r.changedError(i)
	}
	return rec, sum, nil
}

func (r *Reader) changedError(i int) error {
	return &DamageError{Offset: r.starts[i], Reason: fmt.Sprintf("record %d has changed since it was opened", i)}
}

// Data gives the payload of record i, in buf where it is long enough.
func (r *Reader) Data(i int, buf []byte) ([]byte, error) {
	rec, sum, err := r.head(i)
	if err != nil {
		return nil, err
	}
	if cap(buf) < rec.Data {
		buf = make([]byte, rec.Data)
	}
	buf = buf[:rec.Data]
	if err := readFull(r.from, buf, r.starts[i]+headSize); err != nil {
		return nil, fmt.Errorf("recording: data of record %d: %w", i, err)
	}
	if crc32.Checksum(buf, castagnoli) != sum {
		return nil, r.changedError(i)
	}
	return buf, nil
}

// Faults gives what a record of kind Faults holds.
func (r *Reader) Faults(i int) ([]flakey.Fault, error) {
	var faults []flakey.Fault
	err := r.json(i, Faults, &faults)
	return faults, err
}

// Cut gives what a record of kind CutPower holds.
func (r *Reader) Cut(i int) (Cut, error) {
	var c Cut
	err := r.json(i, CutPower, &c)
	return c, err
}

func (r *Reader) json(i int, want Kind, v any) error {
	rec, err := r.Record(i)
	if err != nil {
		return err
	}
	if rec.Kind != want {
		return fmt.Errorf("recording: record %d is a %s, not a %s", i, rec.Kind, want)
	}
	b, err := r.Data(i, nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("recording: record %d: %s: %w", i, want, err)
	}
	return nil
}

// Mark gives the text of a record of kind Mark.
func (r *Reader) Mark(i int) (string, error) {
	rec, err := r.Record(i)
	if err != nil {
		return "", err
	}
	if rec.Kind != Mark {
		return "", fmt.Errorf("recording: record %d is a %s, not a mark", i, rec.Kind)
	}
	b, err := r.Data(i, nil)
	return string(b), err
}

// FindMark gives the number of the one mark with that text. That there is none
// or more than one is an error.
func (r *Reader) FindMark(text string) (int, error) {
	found := -1
	for i := range r.starts {
		rec, err := r.Record(i)
		if err != nil {
			return 0, err
		}
		if rec.Kind != Mark || rec.Data != len(text) {
			continue
		}
		switch at, err := r.Mark(i); {
		case err != nil:
			return 0, err
		case at != text:
		case found >= 0:
			return 0, fmt.Errorf("recording: the marks %d and %d are both %q", found, i, text)
		default:
			found = i
		}
	}
	if found < 0 {
		return 0, fmt.Errorf("recording: no mark is %q", text)
	}
	return found, nil
}

// Close closes the file that Open has opened.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

func readFull(from io.ReaderAt, b []byte, at int64) error {
	n, err := from.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	return err
}
