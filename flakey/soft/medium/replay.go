package medium

import (
	"errors"
	"fmt"
	"sync"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/flakey/recording"
)

// Replay rebuilds a recorded disk as it was at any record. What it gives are
// copy-on-write views: all of them share the content that they have in common,
// in one memory. Its methods may be called by several goroutines at once.
//
// Going forward costs what the records between cost. To go back it starts from
// one of a few stops on the way, which it keeps as views of its own.
type Replay struct {
	r *recording.Reader
	o Options

	mu     sync.Mutex
	at     int // records that cursor has done
	cursor *Medium
	stops  map[int]*Medium
	every  int // records from one stop to the next
	data   []byte
	closed bool
}

// stopsMax bounds what the stops cost: each may hold content of its own.
const stopsMax = 8

// NewReplay begins with an empty disk. Of the options only Memory matters. The
// caller closes r after the replay.
func NewReplay(r *recording.Reader, o Options) (*Replay, error) {
	h := r.Header()
	p := &Replay{r: r, stops: map[int]*Medium{}, every: r.Len()/stopsMax + 1,
		o: Options{Size: h.Size, BlockSize: h.BlockSize, Memory: o.Memory, Seed: h.Seed}}
	m, err := New(p.o)
	if err != nil {
		return nil, err
	}
	m.exact = true
	p.cursor = m
	return p, p.stop()
}

// stop keeps what the cursor holds now.
func (p *Replay) stop() error {
	t, err := p.cursor.twin()
	if err != nil {
		return err
	}
	t.exact = true
	p.stops[p.at] = t
	return nil
}

// At gives the disk that a power cut after the first upTo records would have
// left; with KeepAll that is what a reader saw at that time. The caller closes
// it. It is like any other medium but has no recording.
func (p *Replay) At(upTo int, k flakey.Keep) (*Medium, flakey.Cut, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, flakey.Cut{}, errors.New("medium: replay: is closed")
	}
	if upTo < 0 || upTo > p.r.Len() {
		return nil, flakey.Cut{}, fmt.Errorf("medium: replay %d records: there are %d", upTo, p.r.Len())
	}
	if err := checkKeep(k); err != nil {
		return nil, flakey.Cut{}, err
	}
	if err := p.seek(upTo); err != nil {
		return nil, flakey.Cut{}, err
	}
	t, err := p.cursor.twin()
	if err != nil {
		return nil, flakey.Cut{}, err
	}
	view, c, err := t.Cut(k)
	if err == nil {
		err = view.Broken()
	}
	if err != nil {
		return nil, flakey.Cut{}, errors.Join(err, view.closeIfAny())
	}
	view.exact = false
	return view, c, nil
}

func (m *Medium) closeIfAny() error {
	if m == nil {
		return nil
	}
	return m.Close()
}

// seek brings the cursor to where upTo records are done.
func (p *Replay) seek(upTo int) error {
	err := p.advance(upTo)
	if !errors.Is(err, errNoMemory) || len(p.stops) == 1 {
		return err
	}
	// The stops hold content that the disk has not any more: do without them.
	for at, m := range p.stops {
		if at == 0 {
			continue
		}
		if err := m.Close(); err != nil {
			return err
		}
		delete(p.stops, at)
	}
	p.every = p.r.Len() + 1
	return p.advance(upTo)
}

func (p *Replay) advance(upTo int) error {
	if upTo < p.at {
		best := 0
		for at := range p.stops {
			if at <= upTo && at > best {
				best = at
			}
		}
		if err := p.back(best); err != nil {
			return err
		}
	}
	for p.at < upTo {
		if err := p.step(); err != nil {
			err = fmt.Errorf("medium: replay record %d: %w", p.at, err)
			return errors.Join(err, p.back(0)) // a part of the record may have been done
		}
		p.at++
		if p.at%p.every == 0 && p.stops[p.at] == nil {
			if err := p.stop(); err != nil {
				return err
			}
		}
	}
	return nil
}

// back puts the cursor to a stop.
func (p *Replay) back(at int) error {
	c, err := p.stops[at].twin()
	if err != nil {
		return err
	}
	c.exact = true
	old := p.cursor
	p.cursor, p.at = c, at
	return old.Close()
}

// step does the record that comes next, as the disk did it.
func (p *Replay) step() error {
	rec, err := p.r.Record(p.at)
	if err != nil || rec.Flags&recording.Dropped != 0 {
		return err
	}
	m, seq := p.cursor, uint64(rec.Number)+1
	c := change{off: rec.Offset, n: rec.Length}
	switch rec.Kind {
	case recording.Write:
		if p.data, err = p.r.Data(p.at, p.data); err != nil {
			return err
		}
		c.data = p.data
		if c.n > 0 {
			_, err = m.put(&c, seq)
		}
	case recording.Discard, recording.Zero:
		_, err = m.put(&c, seq)
	case recording.Flush:
		m.commit(everything)
	case recording.Evict:
		m.commit(uint64(rec.Offset) + 1)
	case recording.CutPower:
		err = p.cut()
	}
	return err
}

func (p *Replay) cut() error {
	want, err := p.r.Cut(p.at)
	if err != nil {
		return err
	}
	after, got, err := p.cursor.Cut(want.Keep)
	if err != nil {
		return err
	}
	p.cursor = after
	if err := after.Broken(); err != nil {
		return err
	}
	got.Path = want.Cut.Path
	if got != want.Cut {
		return fmt.Errorf("the power cut left %+v, and its replay %+v", want.Cut, got)
	}
	return nil
}

// Close forgets the disk. Views that were given go on.
func (p *Replay) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	err := p.cursor.Close()
	for _, m := range p.stops {
		err = errors.Join(err, m.Close())
	}
	return err
}

// Rebuild is a Replay for one view. Whoever wants several uses a Replay, so
// that they share what they have in common.
func Rebuild(r *recording.Reader, upTo int, k flakey.Keep, o Options) (*Medium, flakey.Cut, error) {
	p, err := NewReplay(r, o)
	if err != nil {
		return nil, flakey.Cut{}, err
	}
	m, c, err := p.At(upTo, k)
	return m, c, errors.Join(err, p.Close())
}
