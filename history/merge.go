package history

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
)

// Merge gives the records of several histories in the order of At. Records of
// one writer keep the order in which it appended them, also where At is equal
// or runs back; of different writers with an equal At those of the earlier dir
// come first. Times of different boots, or of different machines, are compared
// by the wall time that each history noted; the time of an opening Checkpoint
// is not looked at, so that what it folds finds its place.
//
// Each history is read as ReadDir reads it. The first error is the last thing
// given; it is an error if two of the histories are by the same writer.
func Merge(dirs ...string) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		m := merger{wall: map[[16]byte]int64{}, dirs: map[uint32]string{}}
		defer m.close()
		for _, dir := range dirs {
			if err := m.add(dir); err != nil {
				yield(Record{}, err)
				return
			}
		}
		for len(m.streams) > 0 {
			i := m.least()
			if !yield(m.streams[i].head, nil) {
				return
			}
			if err := m.advance(i); err != nil {
				yield(Record{}, err)
				return
			}
		}
	}
}

type merger struct {
	streams []*mergeStream
	wall    map[[16]byte]int64 // when each boot was, by the first header that tells
	dirs    map[uint32]string  // by writer
}

type mergeStream struct {
	chain *chain
	head  Record
	key   int64
}

func (m *merger) add(dir string) error {
	s := &mergeStream{chain: readDirectory(dir)}
	m.streams = append(m.streams, s)
	if err := m.advance(len(m.streams) - 1); err != nil {
		return err
	}
	writer := s.chain.cur.writer
	if other, ok := m.dirs[writer]; ok {
		return fmt.Errorf("history: merge: %s and %s are both by writer %d", other, dir, writer)
	}
	m.dirs[writer] = dir
	return nil
}

// advance gets the next record of stream i, or drops it at its end.
func (m *merger) advance(i int) error {
	s := m.streams[i]
	r, err := s.chain.read()
	if errors.Is(err, io.EOF) {
		s.chain.close()
		m.streams = append(m.streams[:i], m.streams[i+1:]...)
		return nil
	}
	if err != nil {
		return err
	}
	s.head, s.key = r, math.MinInt64
	if r.Phase == Checkpoint && r.To == 0 {
		return nil
	}
	h := &s.chain.cur.header
	boot, ok := m.wall[h.boot]
	if !ok {
		// One machine's clock may be set while it runs: all that was written
		// during a boot counts from the same instant.
		boot = h.wall - h.created
		m.wall[h.boot] = boot
	}
	s.key = boot + int64(r.At)
	return nil
}

func (m *merger) least() int {
	least := 0
	for i, s := range m.streams {
		if s.key < m.streams[least].key {
			least = i
		}
	}
	return least
}

func (m *merger) close() {
	for _, s := range m.streams {
		s.chain.close()
	}
}
