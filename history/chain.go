package history

import (
	"errors"
	"io"
)

// chain reads the segments of one history, one after the other, and holds each
// to what the next says of it.
type chain struct {
	// following opens the segment that comes after the one it gave last; nil
	// if there is none. It is asked again after nil where the segment at hand
	// turns out to have been passed.
	following func() (*reading, error)
	cur, next *reading
	ended     bool
}

// read is the next record; io.EOF at the end of the history.
func (c *chain) read() (Record, error) {
	for {
		if c.cur == nil || c.ended {
			if done, err := c.step(); done || err != nil {
				return Record{}, err
			}
		}
		r, err := c.cur.next()
		if !errors.Is(err, io.EOF) {
			return r, err
		}
		c.ended = true
	}
}

// step goes from a segment that has ended to the next. The last one stays, for
// those who want to know where the history ended.
func (c *chain) step() (done bool, err error) {
	if c.cur != nil && c.next == nil && c.cur.passed {
		if c.next, err = c.following(); err != nil {
			return true, err
		}
		if c.next == nil {
			return true, c.cur.damage(endSlot, "segment %d was begun, and is missing", c.cur.seq+1)
		}
	}
	if c.cur == nil {
		if c.next, err = c.following(); err != nil {
			return true, err
		}
	}
	if c.next == nil {
		return true, io.EOF
	}
	if err := c.join(); err != nil {
		return true, err
	}
	c.cur, c.next, c.ended = c.next, nil, false
	if c.next, err = c.following(); err != nil {
		return true, err
	}
	if c.next != nil && c.next.seq == c.cur.seq+1 {
		// The next one exists, so this one is complete by now; what was read of
		// it along with its header may be older than that.
		c.cur.forget()
		c.cur.end = int64(min(c.next.prevEnd, 1<<62))
	}
	return false, nil
}

// join checks that next continues cur.
func (c *chain) join() error {
	was, is := c.cur, c.next
	switch {
	case was == nil && is.first != is.seq:
		return is.damage(0, "reading begins with segment %d, this is segment %d", is.first, is.seq)
	case was == nil:
		return nil
	case is.seq != was.seq+1 && is.first == is.seq && is.seq > was.seq:
		// A checkpoint that replaced what was just being read.
	case is.seq != was.seq+1:
		return is.damage(0, "segment %d follows segment %d", is.seq, was.seq)
	case is.prev != was.nonce || is.writer != was.writer:
		return is.damage(0, "the segment before it is of another history")
	case int64(is.prevEnd) != was.pos || is.records != was.records+was.count:
		return is.damage(0, "it begins after %d records, and there are %d", is.records, was.records+was.count)
	}
	return was.close()
}

func (c *chain) close() {
	for _, s := range []*reading{c.cur, c.next} {
		if s != nil {
			_ = s.close() // it was only read
		}
	}
}
