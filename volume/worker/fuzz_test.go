package worker

import (
	"reflect"
	"testing"

	"github.com/seed-1b600011/assay/content"
)

// Whatever bytes are parsed, what they are said to mean must come back from
// the bytes that it is written in.

func FuzzParseRequest(f *testing.F) {
	for _, r := range []request{{}, {id: 1, op: opOpen, path: "a", flags: 66}, {id: 1 << 60, op: opWrite, file: 3, to: 1 << 40, block: 65536, tags: []content.Tag{tag(9, 8)}},
		{op: opRename, path: "a", second: string([]byte{0xff, '\n'})}} {
		f.Add(r.append(nil)[headSize:])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRequest(b)
		if err != nil {
			return
		}
		if again, err := parseRequest(r.append(nil)[headSize:]); err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("%+v (%v), want %+v", again, err, r)
		}
	})
}

func FuzzParseAnswer(f *testing.F) {
	f.Add(appendAnswer(nil, 0, Answer{})[headSize:])
	f.Add(appendAnswer(nil, 1<<40, Answer{Index: 7, Errno: 28, Bytes: 1 << 50, Data: []byte{1, 2}})[headSize:])
	f.Fuzz(func(t *testing.T, b []byte) {
		id, a, err := parseAnswer(b)
		if err != nil {
			return
		}
		if id2, again, err := parseAnswer(appendAnswer(nil, id, a)[headSize:]); err != nil || id2 != id || !reflect.DeepEqual(again, a) {
			t.Errorf("%d: %+v (%v), want %d: %+v", id2, again, err, id, a)
		}
	})
}

func FuzzParseEntries(f *testing.F) {
	f.Add([]byte{})
	f.Add(Entry{Path: "d", Dir: true, Inode: 12}.append(Entry{Path: "d/f", Regular: true, Size: 1 << 40, Inode: 1 << 63}.append(nil)))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := parseEntries(b)
		if err != nil {
			return
		}
		var out []byte
		for _, e := range all {
			out = e.append(out)
		}
		if again, err := parseEntries(out); err != nil || !reflect.DeepEqual(again, all) {
			t.Errorf("%+v (%v), want %+v", again, err, all)
		}
	})
}

func FuzzParseSpans(f *testing.F) {
	f.Add(appendSpans(nil, nil))
	f.Add(appendSpans(nil, []content.Span{exact(tag(1, 2), 0, 512), zero(512, 1<<40), {From: 1 << 40, To: 1<<40 + 9, Class: content.Corrupt, BitsWrong: 3, FirstWrong: 1 << 43}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := parseSpans(b)
		if err != nil {
			return
		}
		if again, err := parseSpans(appendSpans(nil, all)); err != nil || !reflect.DeepEqual(again, all) {
			t.Errorf("%+v (%v), want %+v", again, err, all)
		}
	})
}

func FuzzParseRuns(f *testing.F) {
	f.Add([]byte{})
	f.Add(Run{1 << 30, 1 << 40}.append(Run{8, 16}.append(nil)))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := parseRuns(b)
		if err != nil {
			return
		}
		var out []byte
		for _, r := range all {
			out = r.append(out)
		}
		if again, err := parseRuns(out); err != nil || !reflect.DeepEqual(again, all) {
			t.Errorf("%v (%v), want %v", again, err, all)
		}
	})
}
