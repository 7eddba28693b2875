package pressure

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// oldLoad is the CPU load that the old interface has asked for.
type oldLoad struct {
	mu     sync.Mutex // one request is answered at a time
	number int        // of the load, 0: none
	id     int64
	sent   time.Time
	time   uint64 // seconds
}

// until is when a load ends.
func (l *oldLoad) until() time.Time { return l.sent.Add(seconds(l.time)) }

// seconds is so many of them, or as many as a duration can be: 292 years.
func seconds(n uint64) time.Duration {
	if n > math.MaxInt64/uint64(time.Second) {
		return math.MaxInt64
	}
	return time.Duration(n) * time.Second
}

// loadCPU takes the number to factor apart, on one core, until that is done or
// the time is over.
func (s *Service) loadCPU(r *http.Request) string {
	if !s.oldLoad.mu.TryLock() {
		return busyText
	}
	defer s.oldLoad.mu.Unlock()
	if s.CPU.holds(0) {
		return pendingText
	}
	text := r.URL.Query().Get("time")
	if text == "" {
		return "No load time specified\n"
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return fmt.Sprintf("Invalid time specification: %s\n", err)
	}
	s.plans.stop("cpu")
	now := time.Now()
	number, err := s.CPU.set(Load{Cores: 1, For: max(seconds(n), 1), work: func() work { return newFactoring(s.factor) }})
	if err != nil {
		return fmt.Sprintf("Could not load the CPU: %s\n", err)
	}
	s.oldLoad.number, s.oldLoad.id, s.oldLoad.sent, s.oldLoad.time = number, now.UnixNano(), now, n
	s.log.Printf("CPU load for %d seconds with id %d", n, s.oldLoad.id)
	return fmt.Sprintf("CPU load requested for %d seconds with id: %d\n", n, s.oldLoad.id)
}

func (s *Service) stopCPU(r *http.Request) string {
	if !s.oldLoad.mu.TryLock() {
		return busyText
	}
	defer s.oldLoad.mu.Unlock()
	if s.oldLoad.number == 0 || !s.CPU.holds(s.oldLoad.number) {
		return "No load request being processed, nothing to do\n"
	}
	text := r.URL.Query().Get("id")
	if text == "" {
		return "No request ID specified\n"
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return fmt.Sprintf("Invalid ID specification: %s\n", err)
	}
	if id != s.oldLoad.id {
		return fmt.Sprintf("Incorrect stop load request ID=%d\n", id)
	}
	if err := s.CPU.Release(); err != nil {
		return fmt.Sprintf("Could not stop the load: %s\n", err)
	}
	return "CPU load stopped\n"
}

func (s *Service) actCPU() string {
	if !s.oldLoad.mu.TryLock() {
		return busyText
	}
	defer s.oldLoad.mu.Unlock()
	l := &s.oldLoad
	if l.number == 0 || !s.CPU.holds(l.number) {
		return "No load request in progress\n"
	}
	return fmt.Sprintf("Load request sent at: %v\nLoad time requested: %d seconds\nLoad request ends at: %v\nNumber to factor: %s\n",
		l.sent.Truncate(time.Second).Round(0), l.time, l.until().Truncate(time.Second).Round(0), s.factor)
}
