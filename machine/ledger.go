package machine

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Ledger is the durable list of what this process has made and not yet
// undone. Its methods may be called by several goroutines at once.
type Ledger struct {
	dir string

	mu   sync.Mutex
	file *os.File
	next int
	open map[int]Entry
}

// Entry is one thing that was made, or was about to be.
type Entry struct {
	N    int       `json:"n"`
	Kind string    `json:"kind,omitempty"`
	Name string    `json:"name,omitempty"`
	At   time.Time `json:"at,omitzero"`
	Gone bool      `json:"gone,omitempty"`
}

const ledgersName = "ledgers" // the directory of ledgers, below that of all records

// OpenLedger begins a new ledger under dir, which is made if it is missing.
// An error here means that nothing can be made durably in dir: it is full,
// read-only, or not ours (CheckOwn).
func OpenLedger(dir string) (*Ledger, error) {
	ledgers := filepath.Join(dir, ledgersName)
	if err := CheckOwn(dir); err != nil {
		return nil, fmt.Errorf("machine: make a ledger: %w", err)
	}
	if err := os.MkdirAll(ledgers, 0o700); err != nil {
		return nil, fmt.Errorf("machine: make a ledger: %w", err)
	}
	if err := checkLedgers(dir); err != nil {
		return nil, fmt.Errorf("machine: make a ledger: %w", err)
	}
	path := filepath.Join(ledgers, time.Now().UTC().Format("20060102T150405")+"-"+Token()[:8]+".ledger")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("machine: make a ledger: %w", err)
	}
	l := &Ledger{dir: dir, file: f, next: 1, open: map[int]Entry{}}
	if err := l.begin(ledgers); err != nil {
		f.Close()
		os.Remove(path)
		return nil, fmt.Errorf("machine: make ledger %s: %w", path, err)
	}
	return l, nil
}

// begin locks the new ledger and proves that the directory takes data: a full
// disk is told now, before anything has been made that would need an entry.
func (l *Ledger) begin(ledgers string) error {
	if err := unix.Flock(int(l.file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	if err := unix.Fallocate(int(l.file.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, 1<<20); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return fmt.Errorf("preallocate 1 MiB: %w", err)
	}
	if err := l.file.Sync(); err != nil {
		return err
	}
	return SyncDir(ledgers)
}

// Dir is the directory that was given to OpenLedger.
func (l *Ledger) Dir() string { return l.dir }

// Intend records that a thing of this kind and name is about to be made. When
// it returns without error the entry is durable and the thing may be made.
// done crosses the entry off once the thing is gone (or was never made); it
// may be called more than once.
func (l *Ledger) Intend(kind, name string) (done func() error, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := Entry{N: l.next, Kind: kind, Name: name, At: time.Now().UTC()}
	if err := l.write(e); err != nil {
		return nil, fmt.Errorf("machine: enter %s %s into the ledger: %w", kind, name, err)
	}
	l.next++
	l.open[e.N] = e
	return func() error { return l.gone(e.N) }, nil
}

func (l *Ledger) gone(n int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.open[n]; !ok {
		return nil
	}
	if err := l.write(Entry{N: n, Gone: true}); err != nil {
		return fmt.Errorf("machine: cross %s %s off the ledger: %w", l.open[n].Kind, l.open[n].Name, err)
	}
	delete(l.open, n)
	return nil
}

func (l *Ledger) write(e Entry) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if _, err := l.file.Write(append(b, '\n')); err != nil {
		return err
	}
	return unix.Fdatasync(int(l.file.Fd()))
}

// Left are the entries that have not been crossed off, oldest first.
func (l *Ledger) Left() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return sorted(l.open)
}

func sorted(open map[int]Entry) []Entry {
	left := make([]Entry, 0, len(open))
	for _, e := range open {
		left = append(left, e)
	}
	slices.SortFunc(left, func(a, b Entry) int { return a.N - b.N })
	return left
}

// Close ends the ledger. If everything was crossed off its file is removed;
// otherwise the file stays for Clean, and the error names what is left.
func (l *Ledger) Close() error {
	left := l.Left()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(left) > 0 {
		l.file.Close()
		return fmt.Errorf("machine: left behind for assay clean: %s %s%s", left[0].Kind, left[0].Name, andMore(len(left)-1))
	}
	err := os.Remove(l.file.Name())
	return errors.Join(err, l.file.Close())
}

func andMore(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", and %d more", n)
}

// readLedger gives the entries of a ledger file that were not crossed off.
func readLedger(r io.Reader) ([]Entry, error) {
	open := map[int]Entry{}
	lines := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return sorted(open), nil // what follows the last newline was never promised
		}
		if err != nil {
			return nil, err
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if e.Gone {
			delete(open, e.N)
		} else {
			open[e.N] = e
		}
	}
}

// Token is a name that nobody else has: 32 hexadecimal digits.
func Token() string {
	var b [16]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
