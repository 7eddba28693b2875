package soft

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/seed"
)

// database is an application for power cuts to hit.
type database struct {
	name  string
	work  func(file string) *exec.Cmd // commits, and prints a number once each transaction is committed
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
	return database{"bbolt " + mode,
		func(file string) *exec.Cmd { return exec.Command(bin, "work", file, mode) },
		func(file string) *exec.Cmd { return exec.Command(bin, "check", file) }}
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
		while :; do echo "BEGIN; UPDATE t SET v=randomblob(300) WHERE k IN (abs(random())%500, abs(random())%500, abs(random())%500);
		UPDATE c SET n=n+1; COMMIT; SELECT n FROM c;"; done ) | exec stdbuf -oL sqlite3 -bail "$0"`
	return database{"SQLite " + synchronous,
		func(file string) *exec.Cmd { return exec.Command("sh", "-c", work, file) },
		func(file string) *exec.Cmd {
			return exec.Command("sh", "-c", `set -e; [ "$(sqlite3 -bail "$0" 'PRAGMA integrity_check')" = ok ]; sqlite3 -bail "$0" 'SELECT n FROM c'`, file)
		}}
}

// tally is what cuts have done to a database.
type tally struct{ cuts, idle, lost, corrupt int }

func (c tally) String() string {
	return fmt.Sprintf("%d cuts with something at stake (%d without): %d lost acknowledged transactions, %d left a corrupt file", c.cuts, c.idle, c.lost, c.corrupt)
}

// cutter cuts the power under a database, again and again on what survived.
type cutter struct {
	*lab
	t      *testing.T
	db     database
	fs     string
	mount  string // options
	keep   flakey.Keep
	faults []flakey.Fault // on from when the database is open until the cut
	flush  bool           // a flusher stands in for the kernel's
	// stop: the database is stopped right before the cut, so that the last
	// promise is known exactly. Its requests on the way end, and little is at
	// stake in the disk; what is, is in the kernel's memory, and every cut counts.
	stop  bool
	draws seed.Seed

	disk  *Disk
	dir   string
	point *machine.MountPoint
	// unmountable: why what survived cannot be mounted. On a disk that keeps
	// its word that is a loss like any other.
	unmountable error
}

// run makes so many cuts that had something at stake.
func (c *cutter) run(cuts int) (sum tally) {
	c.t.Helper()
	c.dir = filepath.Join(c.lab.dir, "mnt") // where nothingLeft looks
	if err := os.Mkdir(c.dir, 0o700); err != nil {
		c.t.Fatal(err)
	}
	c.fresh()
	defer c.drop()
	for i := uint64(0); sum.cuts < cuts; i++ {
		if sum.idle > 50+10*cuts { // on a fast machine most cuts find everything flushed
			c.t.Fatalf("%s on %s: nothing comes at stake: %v", c.db.name, c.fs, sum)
		}
		atStake, promised, err := c.cut(i)
		if err != nil {
			c.t.Fatalf("%s on %s, cut %d: %v", c.db.name, c.fs, i, err)
		}
		found, err := c.check()
		// What is lost without a block at stake was in the kernel's memory: a
		// loss all the same.
		if err == nil && found >= promised && !atStake && !c.stop {
			sum.idle++
			continue
		}
		sum.cuts++
		switch {
		case err != nil:
			sum.corrupt++
		case found < promised:
			sum.lost++
		}
		if err != nil {
			c.t.Logf("%s on %s, cut %d: %.120s", c.db.name, c.fs, i, err)
			c.drop()
			c.fresh()
		}
	}
	return sum
}

func (c *cutter) file() string { return filepath.Join(c.dir, "db") }

func (c *cutter) fresh() {
	c.t.Helper()
	o := flakey.Options{Name: c.name("cuts"), Size: 512 << 20, BlockSize: 4096}
	if c.fs == "xfs" {
		o.BlockSize = 512 // the superblocks of the others are larger than that, and are torn then
	}
	c.disk = c.open(c.t, o)
	if err := machine.Mkfs(c.t.Context(), c.disk.Path(), c.fs); err != nil {
		c.t.Fatal(err)
	}
	if err := c.plug(c.disk.Path()); err != nil {
		c.t.Fatal(err)
	}
}

// plug mounts a device. Somebody on the machine may have a copy of the dead
// disk's mount still, in a mount namespace that he made meanwhile; that has the
// same UUID, which xfs then refuses without nouuid, and btrfs in any case.
func (c *cutter) plug(device string) (err error) {
	for deadline := time.Now().Add(hangBound); ; time.Sleep(100 * time.Millisecond) {
		c.point, err = machine.Mount(c.t.Context(), c.ledger, device, c.dir, c.fs, c.mount)
		if !errors.Is(err, syscall.EEXIST) || time.Now().After(deadline) {
			return err
		}
	}
}

func (c *cutter) unplug() {
	if c.point == nil { // what survived could not be mounted
		return
	}
	if err := c.point.Unmount(context.Background(), machine.UnmountOptions{Force: true}); err != nil {
		c.t.Error(err)
	}
	c.point = nil
}

func (c *cutter) drop() {
	c.unplug()
	if err := c.disk.Close(context.Background()); err != nil {
		c.t.Error(err)
	}
}

// cut lets the database work for a while, cuts the power under it and mounts
// what survived. promised is the last transaction that it had acknowledged.
func (c *cutter) cut(i uint64) (atStake bool, promised int64, err error) {
	work := c.db.work(c.file())
	work.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := work.StdoutPipe()
	if err != nil {
		return false, 0, err
	}
	if err := work.Start(); err != nil {
		return false, 0, err
	}
	var last, lines atomic.Int64
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for s := bufio.NewScanner(out); s.Scan(); {
			if n, err := strconv.ParseInt(strings.TrimSpace(s.Text()), 10, 64); err == nil {
				last.Store(n)
				lines.Add(1)
			}
		}
	}()
	for deadline := time.Now().Add(hangBound); lines.Load() < 3; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			syscall.Kill(-work.Process.Pid, syscall.SIGKILL)
			return false, 0, errors.New("the database does not commit")
		}
	}
	if len(c.faults) > 0 {
		if err := c.disk.Set(c.t.Context(), c.faults...); err != nil {
			return false, 0, err
		}
	}
	stop := func() {}
	if c.flush {
		f, err := StartFlusher(c.t.Context(), c.ledger, c.dir, 2*time.Millisecond)
		if err != nil {
			return false, 0, err
		}
		stop = func() {
			if err := f.Stop(context.Background()); err != nil {
				c.t.Error(err)
			}
		}
	}
	time.Sleep(time.Duration(c.draws.Between(i, 40, 200)) * time.Millisecond)
	k := c.keep
	k.Seed = c.draws.Index(i)
	promised = last.Load()
	if c.stop {
		syscall.Kill(-work.Process.Pid, syscall.SIGSTOP)
	}
	cut, err := c.disk.PowerCut(c.t.Context(), k)
	syscall.Kill(-work.Process.Pid, syscall.SIGKILL)
	<-ended
	work.Wait()
	stop()
	if c.stop { // it has not run since: every line that it printed is a promise
		promised = last.Load()
	}
	if err != nil {
		return false, 0, err
	}
	c.unplug()
	c.unmountable = c.plug(cut.Path)
	return cut.AtStake > 0, promised, nil
}

func (c *cutter) check() (found int64, err error) {
	if c.unmountable != nil {
		return 0, c.unmountable
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	cmd := c.db.check(c.file())
	done := context.AfterFunc(ctx, func() { cmd.Process.Kill() })
	out, err := cmd.CombinedOutput()
	done()
	if err != nil {
		return 0, fmt.Errorf("%w: %.200s", err, out)
	}
	return strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
}

// counts is how many cuts a test makes.
func counts(few, full int) int {
	if os.Getenv("ASSAY_FULL") != "" {
		return full
	}
	return few
}

func cutterOf(t *testing.T, db database, fs string) *cutter {
	t.Helper()
	sd := seed.New()
	t.Logf("seed %v", sd)
	c := &cutter{lab: newLab(t), t: t, db: db, fs: fs, keep: flakey.Keep{Mode: flakey.KeepRandom}, draws: sd}
	switch fs {
	case "ext4":
		c.mount = "commit=1000" // the journal's own flushes must not hide what the application does not sync
	case "xfs":
		c.mount = "nouuid" // see plug
	}
	return c
}

var fileSystems = []string{"ext4", "xfs", "btrfs"}

// TestHonestDiskKeepsBolt: under an honest disk a database that syncs loses
// nothing, whatever else of what it wrote survives.
func TestHonestDiskKeepsBolt(t *testing.T) {
	for _, fs := range fileSystems {
		t.Run(fs, func(t *testing.T) {
			sum := cutterOf(t, boltapp(t, false), fs).run(counts(10, 500))
			t.Log(sum)
			if sum.lost+sum.corrupt > 0 {
				t.Error("an honest disk lost what was synced")
			}
		})
	}
}

// TestDroppedFlushesAreFound: the same database on a disk that acknowledges
// flushes and does nothing.
func TestDroppedFlushesAreFound(t *testing.T) {
	for _, fs := range fileSystems {
		t.Run(fs, func(t *testing.T) {
			c := cutterOf(t, boltapp(t, false), fs)
			c.faults = []flakey.Fault{{Kind: flakey.DropFlushes}}
			sum := c.run(counts(10, 100))
			t.Log(sum)
			// Of ten cuts two may be lucky ones; of a hundred, ten.
			if least := counts(7, 9); sum.lost+sum.corrupt < sum.cuts*least/10 {
				t.Errorf("fewer than %d in 10 cuts were found out", least)
			}
		})
	}
}

// TestNoSyncIsFound: without syncs, and with the kernel's flusher writing back
// out of order, the file does not stay sound.
func TestNoSyncIsFound(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs"} {
		t.Run(fs, func(t *testing.T) {
			c := cutterOf(t, boltapp(t, true), fs)
			c.flush = true
			sum := c.run(20)
			t.Log(sum)
			if sum.corrupt < 15 {
				t.Error("fewer than 15 of 20 files are corrupt")
			}
		})
	}
}

// TestSQLite: with synchronous=FULL and a rollback journal the last
// transaction may be lost, as its documentation says (the directory is not
// synced after the journal is deleted); with EXTRA none is.
func TestSQLite(t *testing.T) {
	t.Run("EXTRA", func(t *testing.T) {
		c := cutterOf(t, sqlite(t, "EXTRA"), "ext4")
		c.stop = true
		sum := c.run(counts(15, 100))
		t.Log(sum)
		if sum.lost+sum.corrupt > 0 {
			t.Error("EXTRA lost what it acknowledged")
		}
	})
	t.Run("FULL", func(t *testing.T) {
		c := cutterOf(t, sqlite(t, "FULL"), "ext4")
		c.stop = true
		sum := c.run(counts(15, 100))
		t.Log(sum)
		// How often a cut comes in that moment is the machine's.
		for i := 0; sum.lost+sum.corrupt == 0 && i < 10; i++ {
			sum = c.run(15)
			t.Log(sum)
		}
		if sum.corrupt > 0 {
			t.Error("FULL left a corrupt file")
		}
		if sum.lost == 0 {
			t.Error("FULL lost nothing: its known loss was missed")
		}
	})
}
