package machine

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Loose is a child that nobody waits for, because a thread of it may hang in the
// kernel for as long as that likes: then not even SIGKILL ends it, and it stays
// behind, of the parent's holding nothing open, until the kernel returns. It ends
// with its parent. Its methods may be called by several goroutines at once.
type Loose struct {
	pid  int
	fd   *os.File // pidfd
	life *os.File
	done chan struct{}
}

// firstLoose is where the files of a loose child begin.
const firstLoose = lifeFD + 1

// StartLoose runs the program in a child that has nothing of this process but
// the files, which LooseFile gives it there: its standard input, output and error
// are none. It makes nothing lasting, so it is in no ledger. At the limit of tasks
// (RLIMIT_NPROC, the pids of a cgroup) the error is EAGAIN.
func (p *Program) StartLoose(files []*os.File, args ...string) (*Loose, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("machine: start child %s: %w", p.name, err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("machine: start child %s: %w", p.name, err)
	}
	defer null.Close()
	lifeRead, lifeWrite, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("machine: start child %s: %w", p.name, err)
	}
	defer lifeRead.Close()
	fds := []uintptr{null.Fd(), null.Fd(), null.Fd(), lifeRead.Fd()}
	for _, f := range files {
		fds = append(fds, f.Fd())
	}
	pidfd := -1
	pid, err := syscall.ForkExec(exe, append([]string{childPrefix + p.name}, args...), &syscall.ProcAttr{
		Env: append(os.Environ(), tokenEnv+"="+Token()), Files: fds,
		Sys: &syscall.SysProcAttr{Setpgid: true, PidFD: &pidfd},
	})
	if err == nil && pidfd < 0 {
		err = errors.Join(errors.New("the kernel has no pidfds (Linux 5.4)"), syscall.Kill(pid, syscall.SIGKILL))
	}
	if err == nil {
		err = unix.SetNonblock(pidfd, true) // for the runtime's poller
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("machine: start child %s: %w", p.name, err), lifeWrite.Close())
	}
	l := &Loose{pid: pid, fd: os.NewFile(uintptr(pidfd), "pidfd"), life: lifeWrite, done: make(chan struct{})}
	go l.bury()
	return l, nil
}

// LooseFile gives a loose child the nth file that it was started with.
func LooseFile(n int) *os.File { return os.NewFile(uintptr(firstLoose+n), "from the parent") }

// bury takes the child's exit status once it has ended, without a thread that
// waits.
func (l *Loose) bury() {
	defer close(l.done)
	defer l.fd.Close()
	c, err := l.fd.SyscallConn()
	if err != nil {
		return
	}
	_ = c.Read(func(uintptr) bool {
		got, err := unix.Wait4(l.pid, nil, unix.WNOHANG, nil)
		return got == l.pid || (err != nil && err != unix.EINTR)
	})
	l.life.Close()
}

// PID is the child's process id.
func (l *Loose) PID() int { return l.pid }

// Done is closed when the child has ended and nothing is left of it.
func (l *Loose) Done() <-chan struct{} { return l.done }

// Kill sends SIGKILL and does not wait.
func (l *Loose) Kill() {
	if c, err := l.fd.SyscallConn(); err == nil {
		_ = c.Control(func(fd uintptr) { _ = unix.PidfdSendSignal(int(fd), unix.SIGKILL, nil, 0) }) // one that has ended needs none
	}
}
