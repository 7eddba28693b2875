package worker

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"testing"
)

// TestPipeKeepsFramesWhole lets many goroutines send at once: each frame comes
// out once and whole, and those of one goroutine in its order.
func TestPipeKeepsFramesWhole(t *testing.T) {
	r, w := io.Pipe()
	p := newPipe(w)
	go p.run()
	const senders, each = 50, 200
	var group sync.WaitGroup
	for s := range senders {
		group.Go(func() {
			for i := range each {
				p.put(func(b []byte) []byte {
					return appendAnswer(b, uint64(s), Answer{Index: i, Data: make([]byte, i%97)})
				})
			}
		})
	}
	go func() { group.Wait(); p.close() }()
	in, next := bufio.NewReader(r), make([]int, senders)
	var buf []byte
	for range senders * each {
		var err error
		if buf, err = readFrame(in, buf); err != nil {
			t.Fatal(err)
		}
		id, a, err := parseAnswer(buf)
		if err != nil {
			t.Fatal(err)
		}
		if a.Index != next[id] || len(a.Data) != a.Index%97 {
			t.Fatalf("sender %d: frame %d of %d bytes after frame %d", id, a.Index, len(a.Data), next[id]-1)
		}
		next[id]++
	}
}

// TestPipeNeverHoldsUpWhoSends: a reader that does not read holds up the
// goroutine that writes alone, and gets everything once it reads.
func TestPipeNeverHoldsUpWhoSends(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := newPipe(w)
	ended := make(chan struct{})
	go func() { p.run(); w.Close(); close(ended) }()
	const frames, size = 1000, 10_000 // far more than a pipe of the kernel holds
	for i := range frames {
		p.put(func(b []byte) []byte { return append(b, make([]byte, size-8)...) })
		p.put(func(b []byte) []byte { return binary.LittleEndian.AppendUint64(b, uint64(i)) })
	}
	select {
	case <-ended:
		t.Fatal("it has ended before it was read")
	default:
	}
	p.close()
	for i := range frames {
		b := make([]byte, size)
		if _, err := io.ReadFull(r, b); err != nil {
			t.Fatal(i, err)
		}
		if got := binary.LittleEndian.Uint64(b[size-8:]); got != uint64(i) {
			t.Fatalf("frame %d says %d", i, got)
		}
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("%d bytes more, %v", n, err)
	}
	<-ended
}

// failing is a writer that fails from the nth call on.
type failing struct {
	n     int32
	calls atomic.Int32
}

func (f *failing) Write(p []byte) (int, error) {
	if f.calls.Add(1) > f.n {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

// TestPipeEndsWithItsReader: once nobody reads any more run ends, and what is
// put from then on takes no memory.
func TestPipeEndsWithItsReader(t *testing.T) {
	p, ended := newPipe(&failing{n: 1}), make(chan struct{})
	go func() { p.run(); close(ended) }()
	for done := false; !done; {
		p.put(func(b []byte) []byte { return append(b, 1) })
		select {
		case <-ended:
			done = true
		default:
		}
	}
	p.put(func(b []byte) []byte { t.Error("a frame is made for nobody"); return b })
	p.close()
	p.close() // the second does nothing
}

// TestPipeClosedAtOnce: what was put before close is written, though run comes
// later than both.
func TestPipeClosedAtOnce(t *testing.T) {
	r, w := io.Pipe()
	p := newPipe(w)
	p.put(func(b []byte) []byte { return append(b, "before"...) })
	p.close()
	p.put(func(b []byte) []byte { return append(b, "after"...) })
	go func() { p.run(); w.Close() }()
	if b, err := io.ReadAll(r); string(b) != "before" || err != nil {
		t.Errorf("%q, %v", b, err)
	}
}
