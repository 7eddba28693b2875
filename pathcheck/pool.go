package pathcheck

import (
	"encoding/binary"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/seed-1b600011/assay/machine"
	"golang.org/x/sys/unix"
)

const (
	leastThreads = 128 // of a helper
	mostThreads  = 512 // of a helper
	reserve      = 48  // threads that are kept free of what is slow
	slowAfter    = 10 * time.Millisecond
	startAgain   = time.Second      // after a helper could not be started
	idleFor      = 10 * time.Second // before a helper that is not needed is let go
	attempts     = 3                // to check a path whose helpers are killed
)

// helper is the checker's end of one. Only the checker's goroutine uses it.
type helper struct {
	child   *machine.Loose
	fd      int      // for writing, not blocking
	file    *os.File // the same, for reading
	threads int
	ready   bool
	retired bool
	doing   map[uint64]*target
	idle    time.Time // since when it does nothing
}

// news is what a helper has to say: answers, or that it has ended.
type news struct {
	from    *helper
	answers []answer
	ended   bool
}

// startHelper starts one, which says ready later, or ends.
func startHelper(threads int, tell chan<- news, over <-chan struct{}) (*helper, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	theirs := os.NewFile(uintptr(pair[1]), "helper")
	defer theirs.Close()
	if err := unix.SetNonblock(pair[0], true); err != nil {
		unix.Close(pair[0])
		return nil, err
	}
	// Room for a request for each thread, as far as that is allowed.
	_ = unix.SetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_SNDBUF, threads*1024)
	h := &helper{fd: pair[0], file: os.NewFile(uintptr(pair[0]), "helper"), threads: threads, doing: map[uint64]*target{}}
	if h.child, err = helperProgram.StartLoose([]*os.File{theirs}, strconv.Itoa(threads)); err != nil {
		h.file.Close()
		return nil, err
	}
	go h.listen(tell, over)
	return h, nil
}

// listen passes on what comes until the helper has ended.
func (h *helper) listen(tell chan<- news, over <-chan struct{}) {
	c, err := h.file.SyscallConn()
	for buf := make([]byte, answerSize+1); err == nil; {
		n := news{from: h}
		err = c.Read(func(fd uintptr) bool {
			for len(n.answers) < 128 {
				got, err := unix.Read(int(fd), buf)
				switch {
				case err == unix.EINTR:
					continue
				case err == unix.EAGAIN:
					return len(n.answers) > 0
				}
				a, ok := getAnswer(buf[:max(got, 0)])
				if err != nil || !ok {
					n.ended = true
					return true
				}
				n.answers = append(n.answers, a)
			}
			return true
		})
		n.ended = n.ended || err != nil
		select {
		case tell <- n:
		case <-over:
			return
		}
		if n.ended {
			return
		}
	}
}

// send hands a request to the helper; false: its socket is full.
func (h *helper) send(n uint64, t *target, buf []byte) (bool, error) {
	buf = binary.NativeEndian.AppendUint64(buf[:0], n)
	buf = append(buf, byte(t.check))
	buf = append(append(buf, t.path...), 0)
	for {
		_, err := unix.SendmsgN(h.fd, buf, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		switch err {
		case unix.EINTR:
		case unix.EAGAIN, unix.ENOBUFS:
			return false, nil
		default:
			return err == nil, err
		}
	}
}

func (h *helper) free() int {
	if !h.ready || h.retired {
		return 0
	}
	return h.threads - len(h.doing)
}

// retire lets a helper end that does nothing.
func (h *helper) retire() {
	h.retired = true
	_ = unix.Shutdown(h.fd, unix.SHUT_WR) // its threads read the end
}

// pool are the helpers of a checker.
type pool struct {
	helpers  []*helper
	starting *helper // it is not ready yet
	size     int     // the most threads that the next may have: less after it could not be had
	tell     chan news
	over     chan struct{}
	gone     chan struct{} // closed when, after close, all helpers have ended
	failed   time.Time     // when one could not be started
	why      syscall.Errno // that it could not
}

func (p *pool) threads() (n int) {
	for _, h := range p.helpers {
		if h.ready && !h.retired {
			n += h.threads
		}
	}
	return n
}

// next is the helper that takes the next request, nil if none has a thread free.
func (p *pool) next() *helper {
	for _, h := range p.helpers {
		if h.free() > 0 {
			return h
		}
	}
	return nil
}

// grow starts a helper if wanted threads, those held up and those waited for,
// leave too few free.
func (p *pool) grow(wanted int, now time.Time) {
	if p.starting != nil || p.threads()-wanted >= reserve || now.Sub(p.failed) < startAgain {
		return
	}
	size := min(max(wanted, leastThreads), p.size)
	h, err := startHelper(size, p.tell, p.over)
	if err != nil {
		p.cannot(err, now)
		return
	}
	p.helpers, p.starting = append(p.helpers, h), h
}

// cannot takes note that no helper can be had. With fewer threads it may.
func (p *pool) cannot(err error, now time.Time) {
	p.failed, p.why = now, errnoOf(err)
	p.size = max(p.size/2, 8)
}

func (p *pool) isReady(h *helper, now time.Time) {
	h.ready, h.idle = true, now
	p.starting, p.size, p.failed = nil, mostThreads, time.Time{}
}

// shrink lets a helper go that has long been idle and is not needed.
func (p *pool) shrink(slow int, now time.Time) {
	left := p.threads() - slow
	for i, h := range p.helpers {
		if i > 0 && h.free() == h.threads && now.Sub(h.idle) > idleFor && left-h.threads >= 2*reserve {
			h.retire()
			return
		}
	}
}

func (p *pool) remove(h *helper) {
	for i := range p.helpers {
		if p.helpers[i] == h {
			p.helpers = append(p.helpers[:i], p.helpers[i+1:]...)
			break
		}
	}
	if p.starting == h {
		p.starting = nil
	}
	h.file.Close()
}

// close ends all at once and waits for none: what hangs in the kernel ends when
// that returns.
func (p *pool) close() {
	close(p.over)
	for _, h := range p.helpers {
		h.child.Kill()
		h.file.Close()
	}
	go func() {
		for _, h := range p.helpers {
			<-h.child.Done()
		}
		close(p.gone)
	}()
}
