package recording

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/seed"
)

// TestConcurrent has several goroutines append more than fits into memory.
func TestConcurrent(t *testing.T) {
	const size = 64 << 20
	w := create(t, Header{Size: size, BlockSize: 512})
	writers, n := 4, 40
	if os.Getenv("ASSAY_FULL") == "1" {
		n = 2000
	}
	var wg sync.WaitGroup
	for g := range writers {
		wg.Go(func() {
			last := -1
			for i := range n {
				length := 512 * (1 + int(seed.Seed(g).Below(uint64(i), 1000)))
				number, err := w.Write(int64(g)<<20, bytes.Repeat([]byte{byte(g), byte(i)}, length/2), 0)
				if err != nil || number <= last {
					t.Errorf("record %d after %d: %v", number, last, err)
				}
				last = number
				w.mu.Lock()
				if c := cap(w.filling); c > 2*bufferSize {
					t.Errorf("a buffer of %d bytes", c)
				}
				w.mu.Unlock()
				if i%10 == 0 {
					if err := w.Sync(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Open(w.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	next := make([]int, writers)
	var buf []byte
	for i := range r.Len() {
		if buf, err = r.Data(i, buf); err != nil {
			t.Fatal(err)
		}
		g := int(buf[0])
		if want := bytes.Repeat([]byte{byte(g), byte(next[g])}, len(buf)/2); !bytes.Equal(buf, want) {
			t.Fatalf("record %d is not write %d of %d", i, next[g], g)
		}
		next[g]++
	}
	for g, got := range next {
		if got != n {
			t.Errorf("%d writes of %d", got, g)
		}
	}
}

// TestFullDisk: the first error stays.
func TestFullDisk(t *testing.T) {
	w := create(t, disk)
	w.file.Close() // any write fails from now on
	var err error
	for range 1000 {
		if _, err = w.Write(0, make([]byte, 64<<10), 0); err != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if err == nil || w.Sync() == nil || w.Close() == nil {
		t.Error("a recording that cannot be written goes on:", err)
	}
}

// TestSlowFile: no more than two buffers wait for a file that is slower than
// whoever appends.
func TestSlowFile(t *testing.T) {
	w := create(t, Header{Size: 64 << 20, BlockSize: 512})
	from, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	w.mu.Lock()
	w.file.Close()
	w.file = to // it can do all but be synced
	w.mu.Unlock()
	var consumed atomic.Int64
	done := make(chan error)
	go func() {
		b := make([]byte, 64<<10)
		for {
			n, err := from.Read(b)
			consumed.Add(int64(n))
			if err != nil {
				done <- err
				return
			}
		}
	}()
	data := make([]byte, 1<<20)
	for i := range int64(100) {
		if _, err := w.Write(0, data, 0); err != nil {
			t.Fatal(err)
		}
		if waiting := (i+1)*int64(len(data)+headSize) - consumed.Load(); waiting > 2*bufferSize+64<<10 {
			t.Fatalf("%d bytes wait", waiting)
		}
	}
	if w.Close() == nil {
		t.Error("a pipe was synced")
	}
	if err := <-done; err != io.EOF || consumed.Load() != 100*int64(len(data)+headSize)+headSize {
		t.Error(consumed.Load(), err)
	}
	from.Close()
}

// TestSync: what was appended is in the file when it returns.
func TestSync(t *testing.T) {
	w := create(t, Header{Size: 64 << 20, BlockSize: 512})
	for i := range int64(20) {
		if _, err := w.Write(0, make([]byte, 5<<20), 0); err != nil {
			t.Fatal(err)
		}
		if err := w.Sync(); err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(w.Path())
		if want := headerSize + (i+1)*(5<<20+headSize); err != nil || st.Size() != want {
			t.Fatalf("%d bytes, want %d: %v", st.Size(), want, err)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	for _, n := range []int{4 << 10, 128 << 10} {
		b.Run(fmt.Sprintf("%dk", n>>10), func(b *testing.B) {
			w := create(b, Header{Size: 1 << 30, BlockSize: 512})
			data := make([]byte, n)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.Write(0, data, 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
