package owed

import (
	"iter"
	"testing"

	"github.com/seed-1b600011/assay/content"
	"github.com/seed-1b600011/assay/history"
	"github.com/seed-1b600011/assay/verdict"
)

// TestAnotherObjectWhole: where a whole other object stands, its size is the
// other's too. That is one deviation, and no tail is lost beside it.
func TestAnotherObjectWhole(t *testing.T) {
	var records iter.Seq2[history.Record, error] = func(yield func(history.Record, error) bool) {
		for i, size := range []int64{1000, 2000} {
			op := uint64(i + 1)
			key := string(rune('a' + i))
			if !yield(history.Record{Op: op, Verb: "put", Target: "t", Object: key, To: size, Generation: 1}, nil) ||
				!yield(history.Record{Op: op, Phase: history.Acknowledged}, nil) {
				return
			}
		}
	}
	book, err := Fold(records, func(string) Rule { return Rule{} })
	if err != nil {
		t.Fatal(err)
	}
	tag := func(key string) content.Tag {
		return content.Tag{Seed: 5, Object: content.ObjectID("t/" + key), Generation: 1}
	}
	look := func(key, holds string, size, off int64, part int64) []Deviation {
		got := make([]byte, size)
		content.Fill(got[:part], tag(holds), off)
		content.Fill(got[part:], tag(key), part)
		return book.Object("t", key).Judge(Seen{Present: true, Size: size, Spans: content.Classify(nil, got, 0, tag(key))})
	}
	for _, c := range []struct {
		name, key, holds string
		size, off, part  int64
		kinds            int
	}{
		{"a longer object holds a shorter one", "b", "a", 1000, 0, 1000, 1},
		{"a shorter object holds a longer one", "a", "b", 2000, 0, 2000, 1},
		{"a middle of another, too short", "b", "a", 500, 512, 500, 2},
		{"another in its first sector, too short", "b", "a", 1024, 0, 512, 2},
	} {
		found := look(c.key, c.holds, c.size, c.off, c.part)
		if len(found) != c.kinds || found[0].Kind != verdict.Misdirected {
			t.Errorf("%s: %v", c.name, found)
		}
		if c.kinds == 1 && (found[0].From != 0 || found[0].To != c.size) {
			t.Errorf("%s: told of [%d:%d] instead of all %d bytes", c.name, found[0].From, found[0].To, c.size)
		}
	}
}

// TestMisdirectedIsNamed: a person is told the key whose bytes were found.
func TestMisdirectedIsNamed(t *testing.T) {
	records := func(yield func(history.Record, error) bool) {
		for i, key := range []string{"mine", "the-other"} {
			op := uint64(i + 1)
			if !yield(history.Record{Op: op, Verb: "put", Target: "t", Object: key, To: 600, Generation: 1}, nil) ||
				!yield(history.Record{Op: op, Phase: history.Acknowledged}, nil) {
				return
			}
		}
	}
	book, err := Fold(records, func(string) Rule { return Rule{} })
	if err != nil {
		t.Fatal(err)
	}
	mine := content.Tag{Seed: 5, Object: content.ObjectID("t/mine"), Generation: 1}
	got := make([]byte, 600)
	content.Fill(got, content.Tag{Seed: 5, Object: content.ObjectID("t/the-other"), Generation: 1}, 0)
	found := book.Object("t", "mine").Judge(Seen{Present: true, Size: 600, Spans: content.Classify(nil, got, 0, mine)})
	if len(found) != 1 || found[0].Found != "generation 1 of the-other from offset 0" {
		t.Errorf("%+v", found)
	}
}
