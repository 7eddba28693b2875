package owed

import (
	"testing"

	"github.com/seed-1b600011/assay/content"
	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/verdict"
)

// reads is a file of 1024 bytes, written as generation 1 and then as 2, and what
// gets of it saw.
type reads struct {
	*tape
	t  *testing.T
	id uint64
}

func newReads(t *testing.T) reads {
	h := &tape{target: "v"}
	op := h.do("create", "f", 0, 0, 0)
	h.do("write", "f", 0, 1024, 1)
	h.do("write", "f", 0, 1024, 2)
	return reads{h, t, FileID(0, op)}
}

func (r reads) of(generation uint32) Seen {
	return Seen{Present: true, Size: 1024, Spans: []content.Span{{To: 1024, Is: content.Tag{Seed: testSeed, Object: r.id, Generation: generation}}}}
}

// saw ends a get.
func (r reads) saw(op uint64, s Seen) {
	rec := s.Record(r.id)
	rec.Op, rec.Verb, rec.Object = op, "get", "f"
	r.add(rec)
	r.end(op, history.Acknowledged)
}

func (r reads) wants(kinds ...verdict.Kind) {
	r.t.Helper()
	got := r.fold(r.t).Observations()
	if len(got) != len(kinds) {
		r.t.Fatalf("%+v, want %v", got, kinds)
	}
	for i, d := range got {
		if d.Kind != kinds[i] || d.Object != "f" || d.Target != "v" {
			r.t.Errorf("%+v, want %v", d, kinds[i])
		}
	}
}

// TestReadsOfAFile: what a get of a file that nobody changes saw is judged.
func TestReadsOfAFile(t *testing.T) {
	r := newReads(t)
	r.saw(r.begin("get", "f", 0, 0, 0), r.of(2))
	r.wants()
	r.saw(r.begin("get", "f", 0, 0, 0), r.of(1))
	r.wants(verdict.Stale)
	damaged := r.of(2)
	damaged.Spans[0].Class, damaged.Spans[0].BitsWrong = content.Corrupt, 1
	r.saw(r.begin("get", "f", 0, 0, 0), damaged)
	r.wants(verdict.Stale, verdict.Corrupt)
	r.saw(r.begin("get", "f", 0, 0, 0), Seen{Present: true, Err: "input/output error"})
	r.wants(verdict.Stale, verdict.Corrupt)
}

// TestReadsBesideWrites: what a get saw of a file that changes meanwhile proves
// nothing, whenever the change began and ended; what it saw afterwards does.
func TestReadsBesideWrites(t *testing.T) {
	for _, change := range []struct {
		verb     string
		from, to int64
		g        uint32
	}{{"write", 0, 10, 3}, {"truncate", 0, 2000, 0}, {"punch", 0, 10, 0}} {
		for name, story := range map[string]func(r reads, begin func() uint64){
			"over before it saw": func(r reads, begin func() uint64) {
				get := r.begin("get", "f", 0, 0, 0)
				r.end(begin(), history.Acknowledged)
				r.saw(get, r.of(1))
			},
			"under way when it began": func(r reads, begin func() uint64) {
				w := begin()
				get := r.begin("get", "f", 0, 0, 0)
				r.end(w, history.Acknowledged)
				r.saw(get, r.of(1))
			},
			"never over": func(r reads, begin func() uint64) {
				begin()
				r.saw(r.begin("get", "f", 0, 0, 0), r.of(1))
			},
			"synced meanwhile": func(r reads, begin func() uint64) {
				get := r.begin("get", "f", 0, 0, 0)
				r.end(begin(), history.Acknowledged)
				r.sync("fsync", "f")
				r.saw(get, r.of(1))
			},
		} {
			t.Run(change.verb+" "+name, func(t *testing.T) {
				r := newReads(t)
				story(r, func() uint64 { return r.begin(change.verb, "f", change.from, change.to, change.g) })
				r.wants()
			})
		}
	}
	r := newReads(t)
	get := r.begin("get", "f", 0, 0, 0)
	r.do("write", "f", 0, 10, 3)
	r.saw(get, r.of(1))
	r.saw(r.begin("get", "f", 0, 0, 0), r.of(1))
	if n := len(r.fold(t).Observations()); n == 0 {
		t.Error("a stale read with nothing under way is let pass")
	}
}

// TestReadsAcrossARound: a get that a power cut has ended says nothing more.
func TestReadsAcrossARound(t *testing.T) {
	r := newReads(t)
	r.sync("fsync", "f")
	r.sync("syncdir", "")
	r.begin("get", "f", 0, 0, 0)
	r.round("power-cut")
	r.wants()
	r.saw(r.begin("get", "f", 0, 0, 0), r.of(1))
	r.wants(verdict.Stale)
}
