package history

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
)

// ReadDir gives the records of the history in dir in the order in which they
// were appended, beginning with its newest checkpoint. After an error, the last
// thing it gives, there is nothing more: a *DamageError if something that was
// durable is missing or altered, one that wraps fs.ErrNotExist if there is no
// history in dir.
//
// A history whose writer is alive, here or in another process, reads as a true
// prefix that holds all that was appended before the call. If it is replaced by
// a checkpoint meanwhile, that checkpoint may follow in the middle: all that
// came before a record of Phase Checkpoint and To 0 is to be forgotten.
func ReadDir(dir string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		c := readDirectory(dir)
		defer c.close()
		c.all(yield)
	}
}

// Read gives the records of one history whose segments, in their order, are
// rs; each is read whole into memory before its records are given. They are as
// ReadDir gives them, and what is missing behind the last reader is not known
// to be missing unless that segment says so. A segment that is being written
// is for ReadDir: a stream cannot be looked at twice.
func Read(rs ...io.Reader) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		left := rs
		c := &chain{following: func() (*reading, error) {
			if len(left) == 0 {
				return nil, nil
			}
			name := fmt.Sprintf("segment %d of %d", len(rs)-len(left)+1, len(rs))
			b, err := io.ReadAll(left[0])
			left = left[1:]
			if err != nil {
				return nil, fmt.Errorf("history: read %s: %w", name, err)
			}
			return newReading(name, stream{bytes.NewReader(b)})
		}}
		defer c.close()
		c.all(yield)
	}
}

func (c *chain) all(yield func(Record, error) bool) {
	for {
		r, err := c.read()
		if errors.Is(err, io.EOF) || !yield(r, err) || err != nil {
			return
		}
	}
}

type stream struct{ *bytes.Reader }

func (s stream) size() (int64, error) { return s.Size(), nil }
func (s stream) Close() error         { return nil }

type file struct{ *os.File }

func (f file) size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// directory finds one segment after the other while a writer may be adding
// some and replacing others.
type directory struct {
	path string
	seq  uint64 // of the segment given last; 0: none yet
}

func readDirectory(path string) *chain {
	d := &directory{path: path}
	return &chain{following: d.following}
}

func (d *directory) open(seq uint64) (*reading, error) {
	name := filepath.Join(d.path, segmentName(seq))
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return newReading(name, file{f})
}

// newest is the newest segment; nil if there is none.
func (d *directory) newest() (*reading, error) {
	for gone := uint64(0); ; {
		seqs, err := segments(d.path)
		if err != nil || len(seqs) == 0 {
			return nil, err
		}
		seq := seqs[len(seqs)-1]
		s, err := d.open(seq)
		if !errors.Is(err, fs.ErrNotExist) || seq == gone {
			return s, err
		}
		gone = seq // removed since it was listed, so a newer one is there: look again
	}
}

func (d *directory) following() (*reading, error) {
	s, err := d.find()
	if err != nil {
		var damage *DamageError
		if !errors.As(err, &damage) {
			err = fmt.Errorf("history: read %s: %w", d.path, err)
		}
		return nil, err
	}
	if s != nil {
		d.seq = s.seq
	}
	return s, nil
}

func (d *directory) find() (*reading, error) {
	var missing uint64
	for {
		if d.seq > 0 {
			s, err := d.open(d.seq + 1)
			if !errors.Is(err, fs.ErrNotExist) {
				return d.named(s, d.seq+1, err)
			}
		}
		newest, err := d.newest()
		if err != nil {
			return nil, err
		}
		if newest == nil && d.seq == 0 {
			return nil, fs.ErrNotExist
		}
		if newest == nil || newest.seq <= d.seq {
			return nil, d.done(newest)
		}
		first := newest.first
		if err := newest.close(); err != nil {
			return nil, err
		}
		want := d.seq + 1
		if d.seq == 0 || first > d.seq {
			s, err := d.open(first)
			if !errors.Is(err, fs.ErrNotExist) {
				return d.named(s, first, err)
			}
			want = first
		}
		// It may have come, or have been replaced, while the directory was
		// being listed; then the next look shows something else.
		if want == missing {
			return nil, &DamageError{File: filepath.Join(d.path, segmentName(want)), Reason: "it is missing"}
		}
		missing = want
	}
}

// named holds a segment to the number that its file name says.
func (d *directory) named(s *reading, seq uint64, err error) (*reading, error) {
	if err == nil && s.seq != seq {
		return nil, errors.Join(s.damage(0, "it says that it is segment %d", s.seq), s.close())
	}
	return s, err
}

func (d *directory) done(s *reading) error {
	if s == nil {
		return nil
	}
	return s.close()
}
