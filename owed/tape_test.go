package owed

import (
	"iter"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/content"
	"github.com/seed-1b600011/assay/history"
)

const testSeed = 7

// tape is a history under construction; each record is a second after the last.
type tape struct {
	records []history.Record
	target  string
	ops     uint64
}

func (h *tape) add(r history.Record) {
	r.At = time.Duration(len(h.records)+1) * time.Second
	if r.Target == "" {
		r.Target = h.target
	}
	h.records = append(h.records, r)
}

// begin issues an operation. A name of the form "write" takes From and To;
// put and truncate take their size as to.
func (h *tape) begin(verb, object string, from, to int64, generation uint32) uint64 {
	h.ops++
	h.add(history.Record{Op: h.ops, Phase: history.Issued, Verb: verb, Object: object, From: from, To: to, Generation: generation})
	return h.ops
}

func (h *tape) beginTo(verb, object, to string) uint64 {
	h.ops++
	h.add(history.Record{Op: h.ops, Phase: history.Issued, Verb: verb, Object: object, Detail: []byte(to)})
	return h.ops
}

func (h *tape) end(op uint64, p history.Phase) { h.add(history.Record{Op: op, Phase: p}) }

func (h *tape) do(verb, object string, from, to int64, generation uint32) uint64 {
	op := h.begin(verb, object, from, to, generation)
	h.end(op, history.Acknowledged)
	return op
}

func (h *tape) doTo(verb, object, to string) uint64 {
	op := h.beginTo(verb, object, to)
	h.end(op, history.Acknowledged)
	return op
}

func (h *tape) sync(verb, object string) {
	h.end(h.begin(verb, object, 0, 0, 0), history.Synced)
}

func (h *tape) round(verb string) {
	effect := history.Ends
	if verb == "power-cut" {
		effect |= history.Forgets
	}
	h.add(history.Record{Phase: history.Round, Verb: verb, Effect: effect})
}

// failing begins and ends a fault under which requests fail.
func (h *tape) failing(p history.Phase) {
	h.add(history.Record{Phase: p, Verb: "any", Effect: history.Drops})
}

func (h *tape) check(object string, id uint64, s Seen) {
	r := s.Record(id)
	r.Verb, r.Object = "check", object
	h.add(r)
}

func (h *tape) all() iter.Seq2[history.Record, error] { return stream(h.records) }

func stream(records []history.Record) iter.Seq2[history.Record, error] {
	return func(yield func(history.Record, error) bool) {
		for _, r := range records {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func bucketRule(string) Rule { return Rule{} }
func volumeRule(string) Rule { return Rule{NeedsSync: true, MayTear: true} }

func (h *tape) fold(t testing.TB) *Book {
	t.Helper()
	rule := bucketRule
	if h.target == "v" {
		rule = volumeRule
	}
	b, err := Fold(h.all(), rule)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func bucketTape() *tape { return &tape{target: "b"} }
func volumeTape() *tape { return &tape{target: "v"} }

// piece is n bytes of something.
type piece struct {
	what       string // gen, other, zero, flip, foreign
	generation uint32
	n          int
}

// make is the pieces one after the other, as bytes of object id.
func makeBytes(id uint64, pieces ...piece) []byte {
	var out []byte
	for _, p := range pieces {
		b := make([]byte, p.n)
		tag := content.Tag{Seed: testSeed, Object: id, Generation: p.generation}
		switch p.what {
		case "gen":
			content.Fill(b, tag, int64(len(out)))
		case "flip":
			content.Fill(b, tag, int64(len(out)))
			b[len(b)/2] ^= 4
		case "other":
			tag.Object++
			content.Fill(b, tag, int64(len(out)))
		case "foreign":
			for i := range b {
				b[i] = byte(i*i*7 + 13*i + 1)
			}
		}
		out = append(out, b...)
	}
	return out
}

// look is what a check would see of the bytes, asking for want.
func look(id uint64, got []byte, want uint32, also ...uint32) Seen {
	tags := make([]content.Tag, 0, len(also))
	for _, g := range also {
		tags = append(tags, content.Tag{Seed: testSeed, Object: id, Generation: g})
	}
	spans := content.Classify(nil, got, 0, content.Tag{Seed: testSeed, Object: id, Generation: want}, tags...)
	return Seen{Present: true, Size: int64(len(got)), Spans: spans}
}

func kinds(list []Deviation) string {
	text := ""
	for i, d := range list {
		if i > 0 {
			text += "+"
		}
		text += string(d.Kind)
	}
	if text == "" {
		return "legal"
	}
	return text
}
