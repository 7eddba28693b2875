package soft

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/flakey/recording"
	"github.com/seed-1b600011/assay/flakey/soft/medium"
)

// From is a moment in the life of a recorded disk (package recording): what a
// power cut after so many records would have left.
type From struct {
	Recording string      `json:"recording"` // the file; it is only read, also while its disk still writes to it
	At        int         `json:"at"`        // how many records are done; below 0: all there are
	Keep      flakey.Keep `json:"keep"`      // what of the writes that no flush had covered is there; KeepAll: what a reader saw
}

// OpenFrom is Open for a disk that holds what a recorded one held. It is a
// copy-on-write view: the recording stays as it is, and View gives other
// moments of it. Size and block size are the recorded disk's (o.Size is 0 or
// agrees), and there is no limit of its cache and no recording of its own,
// which would not hold what it began with. The recording must be whole up to
// the moment that is wanted. It is read twice from end to end, and all that was
// written is held in memory.
func (d Driver) OpenFrom(ctx context.Context, o flakey.Options, from From) (*Disk, error) {
	return d.openFrom(ctx, o, from, false)
}

// CreateFrom is OpenFrom for a disk whose daemon outlives this process, as Create.
func (d Driver) CreateFrom(ctx context.Context, o flakey.Options, from From) (*Disk, error) {
	return d.openFrom(ctx, o, from, true)
}

func (d Driver) openFrom(ctx context.Context, o flakey.Options, from From, detached bool) (*Disk, error) {
	if err := from.resolve(&o); err != nil {
		return nil, fmt.Errorf("soft: disk %q from the recording %s: %w", o.Name, from.Recording, err)
	}
	return d.open(ctx, o, &from, detached)
}

// resolve checks what is asked for against the recording, and fills in what
// that says.
func (f *From) resolve(o *flakey.Options) error {
	if err := checkKeep(f.Keep); err != nil {
		return err
	}
	path, err := filepath.Abs(f.Recording)
	if err != nil {
		return err
	}
	r, err := f.read()
	if err != nil {
		return refusal{err}
	}
	defer r.Close()
	h := r.Header()
	switch {
	case o.Size != 0 && o.Size != h.Size || o.BlockSize != 0 && o.BlockSize != h.BlockSize:
		return refuse("it is of a disk of %d bytes with blocks of %d", h.Size, h.BlockSize)
	case o.Record != "" || o.Cache != 0:
		return refuse("it can have neither a recording nor a limit of its cache")
	}
	f.Recording, o.Size, o.BlockSize = path, h.Size, h.BlockSize
	if f.At < 0 {
		f.At = r.Len()
	}
	return nil
}

// read opens the recording. What is damaged or missing behind the moment that
// is wanted does not matter.
func (f *From) read() (*recording.Reader, error) {
	r, err := recording.Open(f.Recording)
	if r == nil {
		return nil, err
	}
	if f.At > r.Len() {
		return nil, errors.Join(fmt.Errorf("record %d is wanted, and there are %d", f.At, r.Len()), err, r.Close())
	}
	if err != nil && f.At < 0 {
		return nil, errors.Join(fmt.Errorf("%w: the %d records before that can be had by number", err, r.Len()), r.Close())
	}
	return r, nil
}

// readBound is how much longer a daemon may take to serve a recording.
func (f *From) readBound() time.Duration {
	const slowest = 32 << 20 // bytes a second
	st, err := os.Stat(f.Recording)
	if err != nil {
		return 0 // told by whoever opens it
	}
	return time.Duration(st.Size()/slowest) * time.Second
}

// firstMedium makes what the disk holds when it is plugged in; done is for when
// that is closed.
func firstMedium(c config) (first *medium.Medium, r *rebuilt, done func() error, err error) {
	if c.From == nil {
		first, record, err := newMedium(c)
		return first, nil, func() error { return closeRecording(record) }, err
	}
	r, first, err = rebuild(c)
	return first, r, r.close, err
}

// rebuilt is a recording in its daemon.
type rebuilt struct {
	reader *recording.Reader
	replay *medium.Replay
}

// rebuild gives the first medium too.
func rebuild(c config) (*rebuilt, *medium.Medium, error) {
	reader, err := c.From.read()
	if err != nil {
		return nil, nil, err
	}
	replay, err := medium.NewReplay(reader, medium.Options{Memory: c.Memory})
	if err != nil {
		return nil, nil, errors.Join(err, reader.Close())
	}
	r := &rebuilt{reader, replay}
	m, _, err := replay.At(c.From.At, c.From.Keep)
	if err != nil {
		return nil, nil, errors.Join(err, r.close())
	}
	return r, m, nil
}

func (r *rebuilt) close() error { return errors.Join(r.replay.Close(), r.reader.Close()) }

// view plugs in another moment.
func (s *server) view(ctx context.Context, at int, k flakey.Keep) (path string, cut *flakey.Cut, err error) {
	if s.rebuilt == nil {
		return "", nil, refuse("this disk was not made from a recording")
	}
	if have := s.rebuilt.reader.Len(); at > have {
		return "", nil, refuse("record %d is wanted, and there are %d", at, have)
	} else if at < 0 {
		at = have
	}
	if err := checkKeep(k); err != nil {
		return "", nil, err
	}
	path, err = s.plugBeside(ctx, func() (*medium.Medium, error) {
		m, c, err := s.rebuilt.replay.At(at, k)
		cut = &c
		return m, err
	})
	if err != nil {
		return "", nil, err
	}
	cut.Path = path
	return path, cut, nil
}

// View plugs in another moment of the recording that the disk was made from,
// as a device of its own, without faults: what a power cut after so many
// records would have left (see From). All views share what they have in common.
// Forward costs the records between, backward at most an eighth of all. drop
// unplugs it; the end of the disk does too.
func (d *Disk) View(ctx context.Context, at int, k flakey.Keep) (cut flakey.Cut, drop func(context.Context) error, err error) {
	a, err := d.call(ctx, request{Op: opView, At: at, Keep: k})
	if err != nil {
		return flakey.Cut{}, nil, err
	}
	if a.Cut == nil {
		return flakey.Cut{}, nil, fmt.Errorf("soft: disk %q: an answer without a cut", d.name)
	}
	return *a.Cut, d.dropOf(a.Cut.Path), nil
}
