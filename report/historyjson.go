package report

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	"github.com/seed-1b600011/assay/owed"
)

// Entry is a record of a history in the form in which History.JSON writes it,
// one a line. What ends an operation repeats what that was begun with.
type Entry struct {
	Seconds    float64 `json:"seconds"` // since the first record
	Boottime   int64   `json:"boottime_ns"`
	Operation  uint64  `json:"operation,omitempty"` // 0: of none
	Writer     uint32  `json:"writer,omitempty"`
	Attempt    uint32  `json:"attempt,omitempty"`
	Phase      string  `json:"phase"`
	Verb       string  `json:"verb,omitempty"`
	Target     string  `json:"target,omitempty"`
	Object     string  `json:"object,omitempty"`
	Name       string  `json:"new_name,omitempty"` // of a rename or a link
	From       int64   `json:"from,omitempty"`
	To         int64   `json:"to,omitempty"`
	Generation uint32  `json:"generation,omitempty"`
	Took       float64 `json:"took_seconds,omitempty"`
	Effect     string  `json:"effect,omitempty"` // of a fault or a round: what it allows the target to do
	Detail     string  `json:"detail,omitempty"`
	Seen       *Sight  `json:"seen,omitempty"`
	Round      int     `json:"round,omitempty"`     // that ends, or that cut the operation off; from 1
	UnderWay   bool    `json:"under_way,omitempty"` // it has no end: the record repeats its beginning
	Folded     int     `json:"folded,omitempty"`    // records of a checkpoint
}

// Sight is what a read or a check saw of an object.
type Sight struct {
	Present   bool    `json:"present"`
	Directory bool    `json:"directory,omitempty"`
	Size      int64   `json:"size"`
	Error     string  `json:"error,omitempty"`
	Pieces    []Piece `json:"pieces,omitempty"`
}

// Piece is a run of bytes of one kind; see content.Span.
type Piece struct {
	From       int64  `json:"from"`
	To         int64  `json:"to"`
	Class      string `json:"class"`
	Generation uint32 `json:"generation,omitempty"`
	Object     uint64 `json:"object_id,omitempty,string"`
	Offset     int64  `json:"offset,omitempty"` // in that object
	BitsWrong  int64  `json:"bits_wrong,omitempty"`
}

// JSON writes the records as Text does, each as an Entry in a line of its own.
func (h History) JSON(w io.Writer, which Records) error {
	out := bufio.NewWriter(w)
	e := json.NewEncoder(out)
	err := h.each(which, func(r entry) error { return e.Encode(r.document()) })
	return errors.Join(err, out.Flush())
}

func (e entry) document() Entry {
	d := Entry{Seconds: e.since.Seconds(), Boottime: int64(e.At), Operation: e.Op, Writer: e.Writer, Attempt: e.Attempt,
		Phase: e.Phase.String(), Verb: e.Verb, Target: e.Target, Object: e.Object, Name: e.name, From: e.From, To: e.To,
		Generation: e.Generation, Took: e.took.Seconds(), Round: e.round, UnderWay: e.underWay, Folded: e.folded}
	if e.Effect != 0 {
		d.Effect = e.Effect.String()
	}
	switch {
	case e.seen != nil:
		d.Seen = sight(*e.seen)
	case e.name == "" && utf8.Valid(e.Detail):
		d.Detail = string(e.Detail)
	}
	return d
}

func sight(s owed.Seen) *Sight {
	all := &Sight{Present: s.Present, Directory: s.Dir, Size: s.Size, Error: s.Err}
	for _, p := range s.Spans {
		all.Pieces = append(all.Pieces, Piece{From: p.From, To: p.To, Class: p.Class.String(),
			Generation: p.Is.Generation, Object: p.Is.Object, Offset: p.IsOff, BitsWrong: p.BitsWrong})
	}
	return all
}
