package content

import (
	"fmt"
	"slices"
)

// DefaultLimit is how many spans a Classifier keeps if it is not told: about
// 90 KiB of them. An object that is one thing throughout is one span, whatever
// its size; only what alternates from sector to sector comes to the limit.
const DefaultLimit = 1024

// Classifier is Classify for a stream: an io.Writer that needs the memory of
// one sector and of the spans. What it finds does not depend on how the stream
// was cut into calls of Write, and is what one Classify of all of it finds. It
// is not safe for concurrent use.
type Classifier struct {
	// Limit is how many spans are kept, the first ones; 0 is DefaultLimit. It
	// must not change after the first Write.
	Limit int

	judge judge
	next  int64            // offset of the next byte to be written
	held  [SectorSize]byte // the beginning of a piece that is not all there
	holds int
}

// NewClassifier classifies what is written to it, from offset off of the object
// on, by what Classify is told of. also is kept, and must not be changed. It
// panics if off is not from 0 to MaxSize.
func NewClassifier(off int64, want Tag, also ...Tag) *Classifier {
	mustHold(off, 0)
	return &Classifier{next: off, judge: judge{want: want, key: keyOf(want.Seed), also: also}}
}

// Write takes the next bytes. It fails, and takes none, only if they would
// reach beyond MaxSize.
func (c *Classifier) Write(p []byte) (n int, err error) {
	if c.next > MaxSize-int64(len(p)) {
		return 0, fmt.Errorf("content: classify %d bytes at offset %d: objects end at %d", len(p), c.next, int64(MaxSize))
	}
	c.judge.limit = c.limit()
	n = len(p)
	for len(p) > 0 {
		missing := SectorSize - int(c.next%SectorSize) // to the next border of sectors
		if c.holds > 0 || len(p) < missing {
			k := copy(c.held[c.holds:], p[:min(len(p), missing)])
			c.holds += k
			c.next += int64(k)
			p = p[k:]
			if k == missing {
				c.judge.run(c.held[:c.holds], c.next-int64(c.holds))
				c.holds = 0
			}
			continue
		}
		k := missing + (len(p)-missing)/SectorSize*SectorSize
		c.judge.run(p[:k], c.next)
		c.next += int64(k)
		p = p[k:]
	}
	return n, nil
}

func (c *Classifier) limit() int {
	if c.Limit > 0 {
		return c.Limit
	}
	return DefaultLimit
}

// ended is what the judge would be if the stream ended here.
func (c *Classifier) ended() judge {
	j := c.judge
	j.limit = c.limit()
	j.spans = slices.Clip(j.spans) // so that it grows elsewhere
	j.run(c.held[:c.holds], c.next-int64(c.holds))
	j.finish()
	return j
}

// Sum is what was written so far, as Classify tells it, up to the limit. More
// may be written after it.
func (c *Classifier) Sum() []Span {
	j := c.ended()
	return j.spans
}

// Dropped is how many spans there are that Sum leaves out.
func (c *Classifier) Dropped() int64 {
	j := c.ended()
	return j.dropped
}

// Bytes is how many bytes of the class were written, those in spans that Sum
// leaves out included.
func (c *Classifier) Bytes(class Class) int64 {
	j := c.ended()
	return j.bytes[class]
}

// Offset is where in the object the next byte written belongs.
func (c *Classifier) Offset() int64 { return c.next }
