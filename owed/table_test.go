package owed

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/seed-1b600011/assay/content"
	"github.com/seed-1b600011/assay/history"
)

// cell judges what was found in a state, for one cell of a table.
type column struct {
	name  string
	judge func(row) string
}

type row struct {
	name   string
	pieces []piece
	absent bool
	err    string
}

func objectColumns(t *testing.T) []column {
	at := func(name string, write func(h *tape)) column {
		h := bucketTape()
		write(h)
		s := h.fold(t).Object("b", "k")
		return column{name, func(r row) string {
			if r.absent || r.err != "" {
				return kinds(s.Judge(Seen{Err: r.err}))
			}
			v := s.Newest()
			return kinds(s.Judge(look(s.ID(), makeBytes(s.ID(), r.pieces...), v.Generation, s.Generations()...)))
		}}
	}
	put := func(h *tape, g uint32) { h.do("put", "k", 0, 1024, g) }
	return []column{
		at("never named", func(h *tape) {}),
		at("deleted", func(h *tape) { put(h, 1); h.do("delete", "k", 0, 0, 0) }),
		at("2 owed", func(h *tape) { put(h, 1); put(h, 2) }),
		at("2 or 3", func(h *tape) { put(h, 1); put(h, 2); h.begin("put", "k", 0, 1024, 3) }),
		at("2 or absent", func(h *tape) { put(h, 1); put(h, 2); h.begin("delete", "k", 0, 0, 0) }),
	}
}

func rangeColumns(t *testing.T) []column {
	at := func(name string, write func(h *tape)) column {
		h := volumeTape()
		h.do("create", "f", 0, 0, 0)
		h.do("truncate", "f", 0, 1024, 0)
		write(h)
		id := FileID(0, 1)
		f, ok := h.fold(t).File("v", id)
		if !ok {
			t.Fatal("no file")
		}
		return column{name, func(r row) string {
			if r.err != "" {
				return kinds(f.Judge(Seen{Err: r.err}))
			}
			return kinds(f.Judge(look(id, makeBytes(id, r.pieces...), 2, 3)))
		}}
	}
	write := func(h *tape, g uint32) { h.do("write", "f", 0, 1024, g) }
	return []column{
		at("a hole", func(h *tape) { h.sync("fsync", "f") }),
		at("2 owed", func(h *tape) { write(h, 1); write(h, 2); h.sync("fsync", "f"); h.round("power-cut") }),
		at("2 or 3", func(h *tape) {
			write(h, 1)
			write(h, 2)
			h.sync("fsync", "f")
			write(h, 3)
			h.round("power-cut")
		}),
		at("2 or a hole", func(h *tape) { h.sync("fsync", "f"); write(h, 2); h.round("power-cut") }),
	}
}

func objectRows() []row {
	return []row{
		{name: "absent", absent: true},
		{name: "generation 2", pieces: []piece{{"gen", 2, 1024}}},
		{name: "generation 1", pieces: []piece{{"gen", 1, 1024}}},
		{name: "generation 3", pieces: []piece{{"gen", 3, 1024}}},
		{name: "1, then 2", pieces: []piece{{"gen", 1, 512}, {"gen", 2, 512}}},
		{name: "2, then 3", pieces: []piece{{"gen", 2, 512}, {"gen", 3, 512}}},
		{name: "2, then zeros", pieces: []piece{{"gen", 2, 512}, {"zero", 0, 512}}},
		{name: "another's bytes", pieces: []piece{{"other", 1, 1024}}},
		{name: "2, a bit wrong", pieces: []piece{{"flip", 2, 1024}}},
		{name: "foreign bytes", pieces: []piece{{"foreign", 0, 1024}}},
		{name: "2, cut short", pieces: []piece{{"gen", 2, 512}}},
		{name: "2, then more of 1", pieces: []piece{{"gen", 2, 1024}, {"gen", 1, 512}}},
		{name: "2, then more of 2", pieces: []piece{{"gen", 2, 1536}}},
		{name: "2, then more zeros", pieces: []piece{{"gen", 2, 1024}, {"zero", 0, 512}}},
		{name: "a read error", err: "input/output error"},
	}
}

func rangeRows() []row {
	rows := []row{{name: "zeros", pieces: []piece{{"zero", 0, 1024}}}}
	for _, r := range objectRows() {
		if !r.absent {
			rows = append(rows, r)
		}
	}
	return rows
}

func table(title string, columns []column, rows []row) string {
	var b strings.Builder
	line := func(cells []string) {
		text := fmt.Sprintf("%-20s", cells[0])
		for _, c := range cells[1:] {
			text += fmt.Sprintf("%-14s", c)
		}
		b.WriteString("//\t" + strings.TrimRight(text, " ") + "\n")
	}
	cells := []string{title}
	for _, c := range columns {
		cells = append(cells, c.name)
	}
	line(cells)
	for _, r := range rows {
		cells = []string{r.name}
		for _, c := range columns {
			cells = append(cells, c.judge(r))
		}
		line(cells)
	}
	return b.String()
}

// TestTable holds the tables of the package comment against the code, word for
// word: what is printed there is what Judge says.
func TestTable(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		table("an object", objectColumns(t), objectRows()),
		table("a range", rangeColumns(t), rangeRows()),
	} {
		if !strings.Contains(string(doc), want) {
			t.Errorf("doc.go does not have this table:\n%s", want)
		}
	}
}

// TestShortPieces: what content cannot name is never blamed for likeness.
func TestShortPieces(t *testing.T) {
	t.Run("a tail that looks like another generation", func(t *testing.T) {
		found := 0
		for size := int64(513); size < 530; size++ {
			for key := range 400 {
				h := bucketTape()
				name := fmt.Sprint(key)
				h.do("put", name, 0, size, 1)
				h.begin("put", name, 0, size, 2)
				s := h.fold(t).Object("b", name)
				seen := look(s.ID(), makeBytes(s.ID(), piece{"gen", 1, int(size)}), 2, 1)
				if len(seen.Spans) > 1 {
					found++
				}
				if d := s.Judge(seen); len(d) > 0 {
					t.Fatalf("size %d, key %s: %+v", size, name, d)
				}
			}
			if size > 515 {
				break
			}
		}
		if found == 0 {
			t.Fatal("no tail looked like the other generation: the test shows nothing")
		}
	})
	t.Run("a border where one byte fits both sides", func(t *testing.T) {
		for key := range 2000 {
			id := uint64(key)
			got := makeBytes(id, piece{"gen", 1, 100}, piece{"gen", 2, 412})
			s := State{From: 100, To: 512, id: id, top: 2, mayTear: true, Allowed: []Version{{Generation: 2, Op: 1, Verb: "write"}}}
			if d := s.Judge(look(id, got, 1, 2)); len(d) > 0 {
				t.Fatalf("%d: %+v", key, d)
			}
			hole := State{From: 100, To: 512, id: id, top: 2, mayTear: true, Allowed: []Version{{Absent: true}}}
			got = makeBytes(id, piece{"gen", 1, 100}, piece{"zero", 0, 412})
			if d := hole.Judge(look(id, got, 1)); len(d) > 0 {
				t.Fatalf("%d, before zeros: %+v", key, d)
			}
			got = makeBytes(id, piece{"zero", 0, 100}, piece{"gen", 2, 412})
			if d := s.Judge(look(id, got, 2)); len(d) > 0 {
				t.Fatalf("%d, after zeros: %+v", key, d)
			}
		}
	})
	t.Run("too little to tell", func(t *testing.T) {
		different := Seen{Present: true, Size: 10, Spans: []content.Span{{To: 10, Class: content.Different}}}
		one := State{To: 10, mayTear: true, Allowed: []Version{{Generation: 2, Op: 1, Verb: "write"}}}
		if got := kinds(one.Judge(different)); got != "corrupt" {
			t.Errorf("one version allowed: %s", got)
		}
		two := State{To: 10, mayTear: true, Allowed: append([]Version{{Absent: true}}, one.Allowed...)}
		if got := kinds(two.Judge(different)); got != "legal" {
			t.Errorf("a mixture allowed: %s", got)
		}
	})
}

// TestEvidence: what a finding says, a person understands.
func TestEvidence(t *testing.T) {
	h := bucketTape()
	h.do("put", "k", 0, 600, 1)
	h.do("put", "k", 0, 1024, 2)
	h.end(h.begin("put", "k", 0, 1024, 3), history.Unknown)
	d := h.fold(t).Object("b", "k").Judge(Seen{})
	if len(d) != 1 {
		t.Fatalf("%+v", d)
	}
	const want = "generation 3, 1024 bytes (put, operation 3, issued 4.0 s after start, outcome unknown) or " +
		"generation 2, 1024 bytes (put, operation 2, acknowledged 3.0 s after start)"
	if d[0].Promised != want || d[0].Found != "no such object" || fmt.Sprint(d[0].Ops) != "[3 2]" {
		t.Errorf("%+v", d[0])
	}
}
