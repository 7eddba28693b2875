package soft

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/seed-1b600011/assay/flakey"
)

func FuzzRequest(f *testing.F) {
	for _, r := range []request{
		{Version: protocol, Op: opPing},
		{Version: protocol, Op: opSet, Faults: []flakey.Fault{{Kind: flakey.DropWrites, Where: flakey.Selector{Count: 3}}}},
		{Version: protocol, Op: opMount, Mount: &Mount{Dir: "/a b\n", FS: "ext4"}},
	} {
		b, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRequest(b)
		if err != nil {
			if !IsRefused(err) {
				t.Errorf("%v is no refusal", err)
			}
			return
		}
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := parseRequest(again); err != nil {
			t.Errorf("%s: %v", again, err)
		} else if b, _ := json.Marshal(second); !bytes.Equal(b, again) {
			t.Errorf("%s became %s", again, b)
		}
	})
}

func TestReadLineIsBounded(t *testing.T) {
	long := bytes.Repeat([]byte("x"), lineMax+1)
	if _, err := readLine(bufio.NewReaderSize(bytes.NewReader(long), lineMax)); !errors.Is(err, errLong) {
		t.Errorf("a long line gave %v", err)
	}
	if line, err := readLine(bufio.NewReaderSize(bytes.NewReader([]byte("ok\n")), lineMax)); string(line) != "ok" || err != nil {
		t.Errorf("%q, %v", line, err)
	}
	if _, err := readLine(bufio.NewReaderSize(bytes.NewReader([]byte("half")), lineMax)); err == nil {
		t.Error("half a line passed")
	}
}
