package volume

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// promises are the lines that the commands of a volume have printed, in a file
// of the run's own.
type promises struct {
	mu    sync.Mutex
	file  *os.File
	out   *bufio.Writer
	lines int64
	bytes int64
	round int64 // of them, in this round
	last  string
	at    time.Time // of the last
	err   error     // of the file, the first
}

// Limits of what a command may promise.
const (
	lineMax     = 1 << 20 // bytes
	promisesMax = 4 << 30 // bytes of all lines
)

func (p *promises) open(dir, volume string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file != nil {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(dir, slug(volume)+".promises"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	p.file, p.out = f, bufio.NewWriterSize(f, 64<<10)
	return nil
}

// add takes a line without its end.
func (p *promises) add(line []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines++
	p.round++
	p.bytes += int64(len(line)) + 1
	p.last, p.at = string(line[:min(len(line), 200)]), time.Now()
	if _, err := p.out.Write(line); err != nil {
		return p.failed(err)
	}
	return p.failed(p.out.WriteByte('\n'))
}

// failed keeps the first error of the file. The lock is held.
func (p *promises) failed(err error) error {
	if p.err == nil {
		p.err = err
	}
	return err
}

// intact returns the first error of the file.
func (p *promises) intact() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// all is the file with every promise in it.
func (p *promises) all() (path string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		return "", nil
	}
	return p.file.Name(), p.failed(p.out.Flush())
}

// restore begins with the promises that an earlier run has kept.
func (p *promises) restore(from string, k kept, dir, volume string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := p.open(dir, volume); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.bytes, p.lines, p.round = k.Length, k.Lines, k.Round
	if _, err := io.Copy(p.out, io.LimitReader(in, k.Length)); err != nil {
		return err
	}
	p.last, p.at = k.Last, k.At
	return nil
}

func (p *promises) newRound() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.round = 0
}

func (p *promises) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		return nil
	}
	err := p.out.Flush()
	if closed := p.file.Close(); err == nil {
		err = closed
	}
	p.file = nil
	return err
}
