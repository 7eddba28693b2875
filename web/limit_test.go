package web

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// connect opens a connection, sends text and reads a line of the answer, if
// there is to be one.
func connect(t *testing.T, s *Server, text string, answers bool) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	if answers {
		if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// TestHealthIsNotStarved: whatever clients keep connections for, and however many
// they have, a health check is answered, and the connection that waited longest
// makes room.
func TestHealthIsNotStarved(t *testing.T) {
	const n = 6
	const get = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
	for _, c := range []struct {
		name, sends string
		answers     bool
	}{
		{"says nothing", "", false},
		{"half a header", "GET /echo HTTP/1.1\r\nHost: loc", false},
		{"half a body", "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nx", false},
		{"idle, kept alive", get, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, Options{Connections: n})
			first := connect(t, s, c.sends, c.answers)
			for range 3 * n {
				connect(t, s, c.sends, c.answers)
			}
			if status, _ := ask(t, "GET", s.URL()+"/healthz"); status != 200 {
				t.Errorf("/healthz: %d", status)
			}
			if _, err := io.Copy(io.Discard, first); err != nil && !strings.Contains(err.Error(), "reset") {
				t.Errorf("the first connection: %v", err)
			}
		})
	}
}

// TestAnswersAreLimited: half of the connections may have a request answered,
// the next is refused, and a health check is not.
func TestAnswersAreLimited(t *testing.T) {
	s, err := Listen(Options{Connections: 6})
	if err != nil {
		t.Fatal(err)
	}
	begun, release := make(chan struct{}), make(chan struct{})
	s.Mux.HandleFunc("GET /hold", func(http.ResponseWriter, *http.Request) {
		begun <- struct{}{}
		<-release
	})
	start(t, s)
	var held sync.WaitGroup
	for range 3 {
		held.Go(func() {
			if status, _ := ask(t, "GET", s.URL()+"/hold"); status != 200 {
				t.Errorf("a request that was let in: %d", status)
			}
		})
		<-begun
	}
	if status, _ := ask(t, "GET", s.URL()+"/hold"); status != http.StatusServiceUnavailable {
		t.Errorf("one more: %d", status)
	}
	for range 10 { // they make room for each other, and those that are answered stay
		connect(t, s, "", false)
	}
	if status, _ := ask(t, "GET", s.URL()+"/healthz"); status != 200 {
		t.Errorf("/healthz: %d", status)
	}
	close(release)
	held.Wait()
}

// TestBodiesAreSmall: clients cannot fill the memory with them.
func TestBodiesAreSmall(t *testing.T) {
	s := serve(t, Options{})
	before := inUse()
	const blanks = 1 << 20
	var clients sync.WaitGroup
	for range 300 {
		c := connect(t, s, fmt.Sprintf("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", blanks), false)
		clients.Go(func() { _, _ = io.WriteString(c, strings.Repeat(" ", blanks)) }) // until it is refused
	}
	if got, _ := ask(t, "GET", s.URL()+"/healthz"); got != 200 {
		t.Errorf("/healthz: %d", got)
	}
	if after := inUse(); after > before+32<<20 {
		t.Errorf("300 bodies of 1 MiB take %d MiB", (after-before)>>20)
	}
	clients.Wait()
}

func inUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
