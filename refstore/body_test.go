package refstore

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/seed-1b600011/assay/seed"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func putString(t rapid.TB, s *Store, bucket, key, content string) Version {
	t.Helper()
	body, err := s.bodies.Read(strings.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatalf("put %s/%s: %v", bucket, key, err)
	}
	defer body.Release()
	answer := s.Do(bucket, key, Op{Verb: Put, Version: Version{Body: body, Size: body.Size(), ETag: etagOf(content)}})
	if answer.Err != nil {
		t.Fatalf("put %s/%s: %v", bucket, key, answer.Err)
	}
	return answer.Version
}

func getString(t rapid.TB, s *Store, bucket, key string) (string, bool) {
	t.Helper()
	answer := s.Do(bucket, key, Op{Verb: Get})
	if answer.Err == ErrNoSuchKey {
		return "", false
	}
	if answer.Err != nil {
		t.Fatalf("get %s/%s: %v", bucket, key, answer.Err)
	}
	defer answer.Version.Body.Release()
	return contentOf(t, answer.Version), true
}

func contentOf(t rapid.TB, v Version) string {
	t.Helper()
	b, err := io.ReadAll(io.NewSectionReader(&v, 0, v.Size))
	if err != nil {
		t.Fatalf("read a body: %v", err)
	}
	return string(b)
}

func etagOf(content string) string {
	sum := md5.Sum([]byte(content))
	return hex.EncodeToString(sum[:])
}

// noise is n bytes that repeat nowhere.
func noise(s seed.Seed, n int) []byte {
	b := make([]byte, 0, n+8)
	for i := uint64(0); len(b) < n; i++ {
		v := s.At(i)
		for range 8 {
			b = append(b, byte(v))
			v >>= 8
		}
	}
	return b[:n]
}

func spillUse(t *testing.T, b *Bodies) (space int64) {
	t.Helper()
	var st unix.Stat_t
	if f := b.spill.file(); f == nil {
		return 0
	} else if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}

func TestBodies(t *testing.T) {
	b := NewBodies(t.TempDir(), 4096, 10_000)
	defer b.Close()
	var held []*Body
	var want [][]byte
	for i, size := range []int{0, 1, 4095, 4096, 4097, 1 << 20, 3<<20 + 1, 3000, 3000, 3000} {
		content := noise(seed.Seed(i), size)
		body, err := b.Read(iotest.HalfReader(bytes.NewReader(content)), int64(size))
		if err != nil {
			t.Fatal(err)
		}
		held, want = append(held, body), append(want, content)
	}
	for i, body := range held {
		if size := int64(len(want[i])); body.Size() != size {
			t.Errorf("body %d has %d bytes, want %d", i, body.Size(), size)
		}
		got, err := io.ReadAll(io.NewSectionReader(body, 0, body.Size()+5))
		if err != nil || !bytes.Equal(got, want[i]) {
			t.Errorf("body %d: %d bytes differ, error %v", i, len(got), err)
		}
	}
	if got := b.memory.Load(); got > 10_000 || got < 8192 {
		t.Errorf("%d bytes in memory: the limit is 10,000", got)
	}
	for _, body := range held {
		body.Release()
	}
	if b.memory.Load() != 0 || b.bytes.Load() != 0 || b.spill.used.Load() != 0 {
		t.Errorf("after all: %d in memory, %d in all, %d spilled", b.memory.Load(), b.bytes.Load(), b.spill.used.Load())
	}
}

func TestSpillIsUsedAgain(t *testing.T) {
	b := NewBodies(t.TempDir(), -1, 0)
	defer b.Close()
	var end int64
	for round := range 20 {
		content := noise(seed.Seed(round), 1<<20)
		body, err := b.Read(bytes.NewReader(content), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(io.NewSectionReader(body, 0, body.Size()))
		if err != nil || !bytes.Equal(got, content) {
			t.Fatalf("round %d: the body differs, error %v", round, err)
		}
		body.Release()
		if end = b.spill.end; end != 1<<20 {
			t.Fatalf("round %d: the file reaches to %d", round, end)
		}
	}
	if space := spillUse(t, b); space > 64<<10 {
		t.Errorf("the empty file takes %d bytes", space)
	}
}

func TestBodyThatEndsEarly(t *testing.T) {
	b := NewBodies(t.TempDir(), 100, 0)
	defer b.Close()
	broken := errors.New("broken")
	for _, size := range []int64{50, 500, 1 << 20} {
		if _, err := b.Read(strings.NewReader("short"), size); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes from 5: %v", size, err)
		}
		if _, err := b.Read(strings.NewReader(""), size); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes from none: %v", size, err)
		}
		if _, err := b.Read(iotest.ErrReader(broken), size); !errors.Is(err, broken) {
			t.Errorf("%d bytes from a broken reader: %v", size, err)
		}
	}
	if b.memory.Load() != 0 || b.bytes.Load() != 0 || b.spill.used.Load() != 0 {
		t.Errorf("left: %d in memory, %d in all, %d spilled", b.memory.Load(), b.bytes.Load(), b.spill.used.Load())
	}
	gone := NewBodies(t.TempDir()+"/not/there", -1, 0)
	var spill *ErrSpill
	if _, err := gone.Read(strings.NewReader("x"), 1); !errors.As(err, &spill) {
		t.Errorf("no directory: %v", err)
	}
}

// A body that is being read stays whole when its key is overwritten, deleted,
// and its space wanted by others.
func TestStreamedBodyStays(t *testing.T) {
	store := newTestStore(t)
	if err := store.CreateBucket("bucket", ""); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{100, 100_000} {
		content := string(noise(seed.Seed(size), size))
		putString(t, store, "bucket", "k", content)
		answer := store.Do("bucket", "k", Op{Verb: Get})
		putString(t, store, "bucket", "k", string(noise(1, size)))
		store.Do("bucket", "k", Op{Verb: Delete})
		for i := range 5 {
			putString(t, store, "bucket", string(rune('a'+i)), string(noise(seed.Seed(i), size)))
		}
		if got := contentOf(t, answer.Version); got != content {
			t.Errorf("%d bytes: the old body changed while it was held", size)
		}
		answer.Version.Body.Release()
	}
}
