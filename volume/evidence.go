package volume

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/flakey/recording"
	"github.com/seed-1b600011/assay/flakey/soft"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/scenario"
	"golang.org/x/sys/unix"
)

// Of a disk that can be broken every round is recorded from what it began with,
// so that a round with a finding can be looked at again without the rounds
// before. A recording goes when the round after it has ended, unless it is
// evidence.

// rerecorder is a disk whose recording begins anew with a power cut.
type rerecorder interface{ RecordNext(path string) }

// replayer is a driver that makes a disk as it was at a moment of a recording.
type replayer interface {
	OpenFrom(ctx context.Context, o flakey.Options, from soft.From) (*soft.Disk, error)
}

// recordings are the files of one volume.
type recordings struct {
	now    string // that is being written; empty: none
	last   string // of the round that the last power cut ended
	ended  int    // that round
	wanted string // as evidence
}

// unwanted are the recordings of rounds after the one that is evidence: they
// are evidence of nothing.
func (r *recordings) unwanted() []string {
	if r.wanted == "" {
		return nil
	}
	return slices.DeleteFunc([]string{r.last, r.now}, func(path string) bool { return path == "" || path == r.wanted })
}

// recorded is whether the disk of a volume is recorded.
func (v *Volume) recorded() bool {
	if v.spec.Record != nil {
		return *v.spec.Record
	}
	return slices.ContainsFunc(v.env.Plan.Faults, func(f scenario.FaultUse) bool { return needsDisk(f.Fault.Name) })
}

func (v *Volume) recordingOf(round int) string {
	return filepath.Join(v.env.Dir, fmt.Sprintf("%s-round-%d.recording", slug(v.Name()), round+1))
}

// recordNext makes the power cut that ends this round begin the recording of
// the next one.
func (v *Volume) recordNext() (next string) {
	d, ok := v.disk.(rerecorder)
	if !ok || v.recording.now == "" {
		return ""
	}
	next = v.recordingOf(v.env.Round() + 1)
	d.RecordNext(next)
	return next
}

// cutAt says that a power cut has ended the recording of this round.
func (v *Volume) cutAt(next string) error {
	if next == "" {
		return nil
	}
	old := v.recording.last
	v.recording.last, v.recording.now, v.recording.ended = v.recording.now, next, v.env.Round()
	if old == "" || old == v.recording.wanted {
		return nil
	}
	return os.Remove(old)
}

// kept is what Evidence tells of a volume.
type kept struct {
	Recording string                `json:"recording,omitempty"` // file beside; empty: none, and the round cannot be looked at again
	Mark      string                `json:"mark,omitempty"`      // up to which; empty: all of it
	Image     string                `json:"image,omitempty"`     // file beside: the disk after it was judged, sparse
	Promises  string                `json:"promises,omitempty"`  // file beside: what commands have promised
	Length    int64                 `json:"promises_bytes,omitempty"`
	Lines     int64                 `json:"promises_lines,omitempty"`
	Last      string                `json:"promises_last,omitempty"`
	At        time.Time             `json:"promises_last_at,omitzero"`
	Rounds    []promisedRound       `json:"rounds,omitempty"` // of the promises
	Opens     []string              `json:"opens,omitempty"`  // the readers that were seen to open a sound database
	Lied      map[flakey.Kind]int64 `json:"lied,omitempty"`   // requests that faults have touched under which a disk breaks its word
}

// Evidence keeps the recording of the round and an image of the disk.
func (v *Volume) Evidence(ctx context.Context, dir string) (any, error) {
	k := kept{Opens: v.opening(), Rounds: v.promised.rounds(), Lied: v.faults.lied}
	switch {
	case v.recording.now == "":
	case v.recording.last != "" && v.recording.ended == v.env.Round():
		v.recording.wanted = v.recording.last
		k.Recording = filepath.Base(v.recording.last)
	default:
		v.recording.wanted = v.recording.now
		k.Recording, k.Mark = filepath.Base(v.recording.now), fmt.Sprintf("round %d was judged", v.env.Round()+1)
		if err := v.disk.Mark(ctx, k.Mark); err != nil {
			return nil, err
		}
	}
	path, err := v.promised.all()
	if err != nil {
		return nil, err
	}
	if path != "" {
		k.Promises = filepath.Base(path)
		k.Length, k.Lines, k.Last, k.At = v.promised.bytes, v.promised.lines, v.promised.last, v.promised.at
	}
	disk, ok := v.disk.(cloner)
	if !ok {
		return k, nil
	}
	k.Image = slug(v.Name()) + ".img"
	device, drop, err := disk.Clone(ctx)
	if err != nil {
		return nil, err
	}
	err = copySparse(ctx, device, filepath.Join(dir, k.Image))
	return k, errors.Join(err, drop(context.WithoutCancel(ctx)))
}

// opening are the readers that were seen to open a sound database.
func (v *Volume) opening() (all []string) {
	for _, reader := range slices.Sorted(maps.Keys(v.readers)) {
		if v.readers[reader].opens {
			all = append(all, reader)
		}
	}
	return all
}

// copySparse copies a device to a new file in which zeros are holes.
func copySparse(ctx context.Context, device, path string) (err error) {
	in, err := os.Open(device)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, out.Close()); err != nil {
			err = errors.Join(err, os.Remove(path)) // a part of a disk is no evidence, and takes room
		}
	}()
	b, zeros := make([]byte, 64<<10), make([]byte, 64<<10)
	for at := int64(0); ; {
		n, reading := io.ReadFull(in, b)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if n > 0 && string(b[:n]) != string(zeros[:n]) {
			if _, err := out.WriteAt(b[:n], at); err != nil {
				return err
			}
		}
		at += int64(n)
		if errors.Is(reading, io.EOF) || errors.Is(reading, io.ErrUnexpectedEOF) {
			return unix.Ftruncate(int(out.Fd()), at)
		}
		if reading != nil {
			return reading
		}
	}
}

// again makes the volumes of a plan as they were when they were judged.
func (w world) again(ctx context.Context, e *scenario.Env, dir string, all map[string]json.RawMessage) (lives []scenario.Live, err error) {
	defer func() { lives, err = undone(ctx, lives, err) }()
	var siblings []*Volume
	for _, spec := range e.Plan.Required.Volumes {
		v := newVolume(spec, e)
		siblings = append(siblings, v)
		v.all = siblings
		lives = append(lives, v)
		var k kept
		if err := json.Unmarshal(all[spec.Name], &k); err != nil {
			return lives, fmt.Errorf("what was kept of volume %s: %w", spec.Name, err)
		}
		if err := w.remake(ctx, v, dir, k); err != nil {
			return lives, fmt.Errorf("volume %s: %w", spec.Name, err)
		}
	}
	for _, v := range siblings {
		v.all = siblings
	}
	return lives, nil
}

// moment is the number of the record at which a recording is to be looked at: at
// the mark, or at its end. A recording that a power cut has ended was closed, so
// one without its end has been cut short, and shows another disk.
func moment(path, mark string) (at int, err error) {
	r, err := recording.Open(path)
	if r == nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	if mark != "" {
		return r.FindMark(mark)
	}
	if err == nil && !r.Closed() {
		err = fmt.Errorf("the recording %s ends after %d records without having been closed: it was cut short", path, r.Len())
	}
	return r.Len(), err
}

func (w world) remake(ctx context.Context, v *Volume, dir string, k kept) error {
	d, ok := w.driver(kindOf(v.spec)).(replayer)
	if k.Recording == "" || !ok {
		return scenario.Misconfigured("--again "+dir, "volume %s was not recorded", v.Name())
	}
	path := filepath.Join(dir, k.Recording)
	from := soft.From{Recording: path, At: -1, Keep: flakey.Keep{Mode: flakey.KeepAll}}
	at, err := moment(path, k.Mark)
	if err != nil {
		return scenario.Misconfigured("--again "+dir, "%v", err)
	}
	v.faults.lied = k.Lied
	for _, reader := range k.Opens {
		v.readers[reader] = &judged{opens: true}
	}
	from.At = at
	disk, err := d.OpenFrom(ctx, flakey.Options{Name: "v" + machine.Token()[:12], Ledger: v.env.Ledger}, from)
	if err != nil {
		return err
	}
	v.disk = disk
	if err := v.mountPoint(); err != nil {
		return err
	}
	if k.Promises != "" {
		if err := v.promised.restore(filepath.Join(dir, k.Promises), k, v.env.Dir, v.Name()); err != nil {
			return err
		}
	}
	if err := v.mount(ctx); err != nil || !v.mountable() {
		return err
	}
	return v.begin(ctx)
}
