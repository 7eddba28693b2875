package history

import (
	"fmt"
	"time"
)

// Options say how a history is written. The zero value is ready for use.
type Options struct {
	// Writer is the number that Record.Writer will have, unique among the
	// histories that are read together. Continue takes 0 for "as before" and
	// refuses any other number than that of the history.
	Writer uint32

	// SegmentSize is the length in bytes that is allocated for a segment; it
	// is rounded up to whole blocks of 4 KiB. A record that needs more gets
	// more. 0: 32 MiB. Allowed: 12 KiB to 1 GiB.
	SegmentSize int64

	// Clock gives Record.At where that is 0. It is called with the writer's
	// lock held, so never twice at once. nil: CLOCK_BOOTTIME, of which a
	// suspended machine may leave the records of one waking millisecond behind.
	Clock func() time.Duration

	// Wall gives the wall time that is noted in a segment's header; records of
	// different boots are merged by it. nil: time.Now.
	Wall func() time.Time
}

const (
	defaultSegment = 32 << 20
	minSegment     = dataStart + blockSize
	maxSegment     = 1 << 30
)

func (o Options) withDefaults() (Options, error) {
	if o.SegmentSize == 0 {
		o.SegmentSize = defaultSegment
	}
	if o.SegmentSize < minSegment || o.SegmentSize > maxSegment {
		return o, fmt.Errorf("segment size %d: want %d to %d bytes", o.SegmentSize, minSegment, maxSegment)
	}
	o.SegmentSize = alignUp(o.SegmentSize, blockSize)
	if o.Clock == nil {
		o.Clock = newBootClock().now
	}
	if o.Wall == nil {
		o.Wall = time.Now
	}
	return o, nil
}

func alignUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }
