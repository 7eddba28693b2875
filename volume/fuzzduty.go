package volume

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-1b600011/assay/content"
	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/flakey/recording"
	"github.com/seed-1b600011/assay/scenario"
	"github.com/seed-1b600011/assay/scenario/fuzz"
	"github.com/seed-1b600011/assay/verdict"
)

// What a lie of the disk has hit is read from the disk's recording: each sector
// of a file says whose it is. A sector that was owed and that the disk does not
// hold at the place where the file system wrote it last must be found.

// cell is one sector of a file's content.
type cell struct {
	object uint64
	sector int64 // of the file
}

// copyOf is one sector of the disk, with the generation of the cell in it.
type copyOf struct {
	cell
	generation uint32
	wrong      bool // altered, or not where it should be
}

// recorded is what a recorded disk holds of files.
type recorded struct {
	kind    flakey.Kind      // of the lie
	holds   map[int64]copyOf // by sector of the disk
	pending []update         // not flushed
	newest  map[uint64]uint32
	lies    int  // requests that the lie has touched
	clean   bool // all that it touched were writes of nothing but files' content
	odd     string
}

// update is what one request does to one sector.
type update struct {
	at   int64
	copy copyOf
	none bool // nothing of a file is there any more
}

// dutyOfLie is that of a run with one lie about writes or flushes.
func dutyOfLie(out *scenario.Outcome) (fuzz.Duty, error) {
	kind, ok := theLie(out.Plan)
	switch {
	case !ok || len(out.Plan.Required.Volumes) != 1 || kindOf(out.Plan.Required.Volumes[0]) != "soft":
		return fuzz.Duty{Why: "there is not one lie on one volume"}, nil
	case out.Err != nil:
		return fuzz.Duty{Why: "the run broke"}, nil
	}
	v := out.Plan.Required.Volumes[0]
	r, err := recording.Open(filepath.Join(out.Dir, slug(v.Name)+"-round-1.recording"))
	if r == nil {
		return fuzz.Duty{}, err
	}
	defer r.Close()
	d := &recorded{kind: kind, holds: map[int64]copyOf{}, newest: map[uint64]uint32{}, clean: true}
	if err := d.replay(r, uint64(out.Plan.Draw("content"))); err != nil {
		return fuzz.Duty{}, err
	}
	t, err := tell(out)
	if err != nil {
		return fuzz.Duty{}, err
	}
	return d.duty(out.Plan, t, (&Volume{spec: v}).filesystem()), nil
}

// theLie is the one fault under which the disk breaks its word.
func theLie(p *scenario.Plan) (kind flakey.Kind, ok bool) {
	n := 0
	for _, f := range p.Faults {
		if k := flakey.Kind(f.Fault.Name); slices.Contains(flakey.Kinds(), k) && lies(k) {
			kind = k
			n++
		}
	}
	ok = n == 1 && slices.Contains([]flakey.Kind{flakey.CorruptWrites, flakey.DropWrites, flakey.TearWrites, flakey.MisdirectWrites, flakey.DropFlushes}, kind)
	return kind, ok
}

func (d *recorded) duty(p *scenario.Plan, t *told, fs string) fuzz.Duty {
	if d.lies == 0 {
		return fuzz.Duty{Must: fuzz.NotFail, Why: "the lie touched nothing"}
	}
	if d.odd != "" {
		return fuzz.Duty{Why: d.odd}
	}
	if why := t.firm(p); why != "" {
		return fuzz.Duty{Why: why}
	}
	if strings.Contains(p.Required.Volumes[0].Mount, "compress") {
		return fuzz.Duty{Why: "what is compressed does not say whose it is"}
	}
	hit := d.missing(int64(p.Files.Count), int64(p.Files.Size.Max)/content.SectorSize)
	switch {
	case hit > 0:
		return fuzz.Duty{Must: fuzz.Find, Kinds: d.kinds(fs), Why: fmt.Sprintf("%d sectors of synced files are not on the disk where they were written (%s)", hit, d.kind)}
	case d.clean && (d.kind == flakey.CorruptWrites || d.kind == flakey.DropWrites):
		return fuzz.Duty{Must: fuzz.NotFail, Why: "all that the lie touched was written again"}
	}
	return fuzz.Duty{Why: "nothing of a file was hit, but something else may have been"}
}

// kinds are those of which one must be found.
func (d *recorded) kinds(fs string) []verdict.Kind {
	switch {
	case !d.clean || d.kind == flakey.DropFlushes || d.kind == flakey.MisdirectWrites: // metadata may be hit too
		return verdict.Kinds()
	case fs == "btrfs": // its checksums do not fit
		return []verdict.Kind{verdict.Unreadable}
	case d.kind == flakey.CorruptWrites:
		return []verdict.Kind{verdict.Corrupt}
	}
	return []verdict.Kind{verdict.Stale, verdict.Lost, verdict.Misdirected} // what was there before
}

// missing counts the sectors of files that are nowhere as they should be, also
// of files of which the disk has not got one.
func (d *recorded) missing(files, sectors int64) (n int64) {
	n = (files - int64(len(d.newest))) * sectors
	there := map[cell]bool{}
	for _, c := range d.holds {
		if !c.wrong && c.generation == d.newest[c.object] {
			there[c.cell] = true
		}
	}
	for object := range d.newest {
		for s := range sectors {
			if !there[cell{object, s}] {
				n++
			}
		}
	}
	return n
}

// replay does what the recording says, up to a power cut that keeps nothing.
func (d *recorded) replay(r *recording.Reader, seed uint64) error {
	var data []byte
	for i := range r.Len() {
		rec, err := r.Record(i)
		if err != nil {
			return err
		}
		if rec.Flags != 0 {
			d.lies++
		}
		switch rec.Kind {
		case recording.Write:
			if data, err = r.Data(i, data); err != nil {
				return err
			}
			d.write(rec, data, seed)
		case recording.Discard, recording.Zero:
			if rec.Flags != 0 {
				d.clean = false
				continue
			}
			for at := rec.Offset; at < rec.Offset+rec.Length; at += content.SectorSize {
				d.pending = append(d.pending, update{at: at / content.SectorSize, none: true})
			}
		case recording.Flush:
			if rec.Flags == 0 {
				d.commit()
			} else {
				d.clean = false
			}
		case recording.Evict:
			d.odd = "the disk's cache was full"
		case recording.CutPower:
			c, err := r.Cut(i)
			if err == nil && c.Keep.Mode != flakey.KeepNone {
				d.odd = "the power cut kept something"
			}
			return err
		}
	}
	d.commit() // without a cut a reader sees it all
	return nil
}

func (d *recorded) commit() {
	for _, u := range d.pending {
		if u.none {
			delete(d.holds, u.at)
		} else {
			d.holds[u.at] = u.copy
		}
	}
	d.pending = d.pending[:0]
}

// write does one write. Of an altered one, a sector with flipped bits is wrong,
// and all of it where it went to another place; what is left of a torn one is right.
func (d *recorded) write(rec recording.Record, data []byte, seed uint64) {
	known := 0
	for _, u := range sectors(rec, data, seed) {
		if !u.none {
			known++
			d.newest[u.copy.object] = max(d.newest[u.copy.object], u.copy.generation)
			u.copy.wrong = u.copy.wrong || rec.Flags&recording.Altered != 0 && d.kind == flakey.MisdirectWrites
		}
		if rec.Flags&recording.Dropped == 0 {
			d.pending = append(d.pending, u)
		}
	}
	if rec.Flags != 0 && int64(known)*content.SectorSize != rec.Length {
		d.clean = false
	}
}

// sectors names the content of each sector of a write.
func sectors(rec recording.Record, data []byte, seed uint64) []update {
	all := make([]update, 0, len(data)/content.SectorSize)
	for at := 0; at+content.SectorSize <= len(data); at += content.SectorSize {
		u := update{at: (rec.Offset + int64(at)) / content.SectorSize, none: true}
		spans := content.Classify(nil, data[at:at+content.SectorSize], 0, content.Tag{Seed: seed})
		if len(spans) == 1 && spans[0].Is.Object != 0 && spans[0].IsOff%content.SectorSize == 0 {
			s := spans[0]
			u.none = false
			u.copy = copyOf{cell: cell{s.Is.Object, s.IsOff / content.SectorSize}, generation: s.Is.Generation, wrong: s.Class == content.Corrupt}
		}
		all = append(all, u)
	}
	return all
}
