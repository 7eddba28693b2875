package refstore

import (
	"testing"
	"time"
)

// Each script runs from a key that does not exist. An operation is put:ETAG,
// get, head, delete; what it gave is its ETag, "ok" or the code of the refusal.
func TestModel(t *testing.T) {
	for name, script := range map[string][][2]string{
		"absent":        {{"get", "NoSuchKey"}, {"head", "NoSuchKey"}, {"delete", "ok"}, {"get", "NoSuchKey"}},
		"put":           {{"put:a", "a"}, {"get", "a"}, {"head", "a"}, {"get", "a"}},
		"overwrite":     {{"put:a", "a"}, {"put:b", "b"}, {"get", "b"}, {"head", "b"}},
		"delete":        {{"put:a", "a"}, {"delete", "ok"}, {"get", "NoSuchKey"}, {"delete", "ok"}, {"put:b", "b"}, {"get", "b"}},
		"unknown verbs": {{"put:a", "a"}, {"copy", "NotImplemented"}, {"get", "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			var key Key
			for i, step := range script {
				now := time.Unix(int64(i), 0)
				op := map[string]Op{
					"get": {Verb: Get}, "head": {Verb: Head}, "delete": {Verb: Delete}, "copy": {Verb: Delete + 1},
					"put:a": {Verb: Put, Version: Version{ETag: "a", Size: 1}},
					"put:b": {Verb: Put, Version: Version{ETag: "b", Size: 2}},
				}[step[0]]
				before := key
				next, answer := key.Step(now, op)
				got := answer.Version.ETag
				if answer.Err != nil {
					got = answer.Err.Code
				} else if got == "" {
					got = "ok"
				}
				if got != step[1] {
					t.Fatalf("step %d: %s gave %s, want %s", i, step[0], got, step[1])
				}
				if op.Verb == Put && !next.Version.Modified.Equal(now) {
					t.Errorf("step %d: put at %v, modified %v", i, now, next.Version.Modified)
				}
				if op.Verb != Put && op.Verb != Delete && (next.Present != before.Present || next.Version.ETag != before.Version.ETag) {
					t.Errorf("step %d: %s changed the state", i, step[0])
				}
				if next.Listed() != next.Present {
					t.Errorf("step %d: listed %v, present %v", i, next.Listed(), next.Present)
				}
				key = next
			}
		})
	}
}

func TestRange(t *testing.T) {
	for _, c := range []struct {
		header   string
		size     int64
		from, to int64
		want     string
	}{
		{"", 10, 0, 10, ""}, {"", 0, 0, 0, ""},
		{"bytes=0-", 10, 0, 10, ""}, {"bytes=3-5", 10, 3, 6, ""}, {"bytes=3-3", 10, 3, 4, ""}, {"bytes=9-99", 10, 9, 10, ""},
		{"bytes=-4", 10, 6, 10, ""}, {"bytes=-40", 10, 0, 10, ""}, {"Bytes=1-2", 10, 1, 3, ""}, {"bytes= 1-2 ", 10, 1, 3, ""},
		{"bytes=9223372036854775807-", 10, 0, 0, "InvalidRange"}, {"bytes=99999999999999999999-", 10, 0, 0, "InvalidRange"},
		{"bytes=10-", 10, 0, 0, "InvalidRange"}, {"bytes=-0", 10, 0, 0, "InvalidRange"}, {"bytes=0-0", 0, 0, 0, "InvalidRange"},
		{"bytes=-", 10, 0, 0, "InvalidRange"}, {"bytes=4-3", 10, 0, 0, "InvalidRange"}, {"bytes=+4-5", 10, 0, 0, "InvalidRange"},
		{"bytes=--5", 10, 0, 0, "InvalidRange"}, {"bytes=1-2-3", 10, 0, 0, "InvalidRange"}, {"bytes", 10, 0, 0, "InvalidRange"},
		{"bytes=1-2,4-5", 10, 0, 0, "NotImplemented"}, {"items=1-2", 10, 0, 0, "NotImplemented"},
	} {
		r, err := ParseRange(c.header)
		var from, to int64
		if err == nil {
			from, to, err = r.Of(c.size)
		}
		got := ""
		if err != nil {
			got = err.Code
		}
		if from != c.from || to != c.to || got != c.want {
			t.Errorf("%q of %d bytes: [%d,%d) %q, want [%d,%d) %q", c.header, c.size, from, to, got, c.from, c.to, c.want)
		}
	}
}
