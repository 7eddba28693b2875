package content

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func TestReader(t *testing.T) {
	for _, size := range []int64{0, 1, 511, 512, 513, 4096, 200_001} {
		want := make([]byte, size)
		Fill(want, now, 0)
		if err := iotest.TestReader(NewReader(now, size), want); err != nil { // Read, Seek and ReadAt
			t.Errorf("%d bytes: %v", size, err)
		}
		var out bytes.Buffer
		r := NewReader(now, size)
		r.Seek(size/3, io.SeekStart)
		if n, err := r.WriteTo(&out); err != nil || n != size-size/3 || !bytes.Equal(out.Bytes(), want[size/3:]) {
			t.Errorf("%d bytes: WriteTo gave %d, %v", size, n, err)
		}
		if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("%d bytes: after WriteTo Read gave %d, %v", size, n, err)
		}
		if r.Size() != size || r.Tag() != now {
			t.Errorf("%d bytes: says %d of %s", size, r.Size(), r.Tag())
		}
	}
}

func TestReaderRefuses(t *testing.T) {
	r := NewReader(now, 100)
	if _, err := r.Seek(7, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	for _, s := range []struct {
		offset int64
		whence int
	}{{-1, io.SeekStart}, {-8, io.SeekCurrent}, {-101, io.SeekEnd}, {1<<63 - 1, io.SeekEnd}, {0, 3}} {
		if _, err := r.Seek(s.offset, s.whence); err == nil {
			t.Errorf("seek to %d from %d", s.offset, s.whence)
		}
	}
	if at, err := r.Seek(0, io.SeekCurrent); at != 7 || err != nil {
		t.Errorf("a refused seek moved to %d, %v", at, err)
	}
	if _, err := r.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("read at -1")
	}
}

// full takes room bytes and then fails, with an error or by taking less.
type full struct {
	room int
	err  error
}

func (f *full) Write(p []byte) (int, error) {
	n := min(len(p), f.room)
	f.room -= n
	if n < len(p) {
		return n, f.err
	}
	return n, nil
}

func TestReaderWriteToTellsHowFarItCame(t *testing.T) {
	cause := errors.New("full")
	for _, c := range []struct{ gives, want error }{{cause, cause}, {nil, io.ErrShortWrite}} {
		r := NewReader(now, 200_000)
		n, err := r.WriteTo(&full{room: 150_000, err: c.gives})
		at, _ := r.Seek(0, io.SeekCurrent)
		if n != 150_000 || at != n || !errors.Is(err, c.want) {
			t.Errorf("wrote %d, stands at %d, %v", n, at, err)
		}
	}
}
