package soft

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// database is an application for power cuts to hit.
type database struct {
	name string
	// work commits a transaction for each time that its standard input gives
	// it the line one, and prints the transaction's number once it is committed.
	work  func(file string) *exec.Cmd
	one   string
	check func(file string) *exec.Cmd // prints the number of the last transaction in the file, or fails
}

// boltapp builds the bbolt application of test/apps.
func boltapp(t *testing.T, nosync bool) database {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "boltapp")
	build := exec.Command("go", "build", "-o", bin, "./boltapp")
	build.Dir = "../../test/apps"
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build boltapp: %v: %s", err, out)
	}
	mode := "sync"
	if nosync {
		mode = "nosync"
	}
	return database{name: "bbolt " + mode, one: "\n",
		work:  func(file string) *exec.Cmd { return exec.Command(bin, "work", file, mode) },
		check: func(file string) *exec.Cmd { return exec.Command(bin, "check", file) }}
}

// sqlite is Debian's sqlite3 with a rollback journal.
func sqlite(t *testing.T, synchronous string) database {
	t.Helper()
	if _, err := exec.LookPath("sqlite3"); err != nil {
		t.Skip("sqlite3 is not installed (Debian package sqlite3)")
	}
	work := `( echo "PRAGMA journal_mode=delete; PRAGMA synchronous=` + synchronous + `; PRAGMA cache_size=100;
		CREATE TABLE IF NOT EXISTS c(n); INSERT INTO c SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM c);
		CREATE TABLE IF NOT EXISTS t(k INTEGER PRIMARY KEY, v BLOB);
		WITH RECURSIVE q(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM q WHERE x<500) INSERT OR IGNORE INTO t SELECT x, randomblob(300) FROM q;"
		exec cat ) | exec stdbuf -oL sqlite3 -bail "$0"`
	return database{name: "SQLite " + synchronous,
		one: "BEGIN; UPDATE t SET v=randomblob(300) WHERE k IN (abs(random())%500, abs(random())%500, abs(random())%500); " +
			"UPDATE c SET n=n+1; COMMIT; SELECT n FROM c;\n",
		work: func(file string) *exec.Cmd { return exec.Command("sh", "-c", work, file) },
		check: func(file string) *exec.Cmd {
			return exec.Command("sh", "-c", `set -e; [ "$(sqlite3 -bail "$0" 'PRAGMA integrity_check')" = ok ]; sqlite3 -bail "$0" 'SELECT n FROM c'`, file)
		}}
}

// worker is a database at work.
type worker struct {
	cmd         *exec.Cmd
	in          io.WriteCloser
	one         string
	last, lines atomic.Int64 // the last number printed, and how many were
	ended       chan struct{}
}

func (db database) start(file string) (*worker, error) {
	w := &worker{cmd: db.work(file), one: db.one, ended: make(chan struct{})}
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in, errIn := w.cmd.StdinPipe()
	out, errOut := w.cmd.StdoutPipe()
	if err := errors.Join(errIn, errOut); err != nil {
		return nil, err
	}
	w.in = in
	if err := w.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(w.ended)
		for s := bufio.NewScanner(out); s.Scan(); {
			if n, err := strconv.ParseInt(strings.TrimSpace(s.Text()), 10, 64); err == nil {
				w.last.Store(n)
				w.lines.Add(1)
			}
		}
	}()
	return w, nil
}

// commit lets it commit n transactions, and returns once it has said so: it is
// idle then.
func (w *worker) commit(n int64) error {
	until := w.lines.Load() + n
	if _, err := io.WriteString(w.in, strings.Repeat(w.one, int(n))); err != nil {
		return fmt.Errorf("the database takes no transaction: %w", err)
	}
	for deadline := time.Now().Add(hangBound); w.lines.Load() < until; time.Sleep(time.Millisecond) {
		select {
		case <-w.ended:
			return errors.New("the database has ended")
		default:
		}
		if time.Now().After(deadline) {
			return errors.New("the database does not commit")
		}
	}
	return nil
}

// on lets it commit transactions from now on until it is killed.
func (w *worker) on() {
	go func() {
		for err := error(nil); err == nil; {
			_, err = io.WriteString(w.in, w.one)
		}
	}()
}

func (w *worker) kill() {
	syscall.Kill(-w.cmd.Process.Pid, syscall.SIGKILL)
	<-w.ended
	w.cmd.Wait()
}

// place is where a range of a file lies on its device, in bytes, by the ioctl
// FS_IOC_FIEMAP (kernel: filesystems/fiemap.rst). The range must be on the device
// already, and in one piece.
func place(f *os.File, off, length uint64) (at uint64, err error) {
	var m struct {
		start, length                  uint64
		flags, mapped, count, reserved uint32
		logical, physical, bytes       uint64
		_                              [4]uint64
	}
	m.start, m.length, m.count = off, length, 1
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), 0xc020660b, uintptr(unsafe.Pointer(&m))); errno != 0 {
		return 0, fmt.Errorf("place of %s: %w", f.Name(), errno)
	}
	if m.mapped != 1 || m.physical == 0 || m.logical > off || m.logical+m.bytes < off+length {
		return 0, fmt.Errorf("place of %s: %d to %d are not in one piece: %+v", f.Name(), off, off+length, m)
	}
	return m.physical + off - m.logical, nil
}
