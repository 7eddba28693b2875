package soft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/machine"
	"github.com/seed-1b600011/assay/seed"
	"golang.org/x/sys/unix"
)

// tally is what cuts have done to a database.
type tally struct{ cuts, idle, lost, corrupt, unmountable int }

// harmed is how many cuts took what was promised.
func (c tally) harmed() int { return c.lost + c.corrupt + c.unmountable }

func (c tally) String() string {
	return fmt.Sprintf("%d cuts, %d with nothing at stake in the disk: %d lost acknowledged transactions, %d left a corrupt file, %d a file system that cannot be mounted",
		c.cuts, c.idle, c.lost, c.corrupt, c.unmountable)
}

// moment brings about what the power is to be cut in: the database has
// committed a few transactions, and waits for more.
type moment func(w *worker) error

// cutter cuts the power under a database, again and again on what survived.
type cutter struct {
	*lab
	t     *testing.T
	db    database
	fs    string
	mount string // options
	keep  flakey.Keep
	draws seed.Seed

	cuts  uint64 // made until now
	disk  *Disk
	dir   string
	point *machine.MountPoint
}

// run makes cuts in each of the moments in turn, until there were so many or
// it has seen what it is for.
func (c *cutter) run(cuts int, seen func(tally) bool, moments ...moment) (sum tally) {
	c.t.Helper()
	c.dir = filepath.Join(c.lab.dir, "mnt") // where nothingLeft looks
	if err := os.Mkdir(c.dir, 0o700); err != nil {
		c.t.Fatal(err)
	}
	c.fresh()
	defer c.drop()
	for sum.cuts < cuts && !(seen != nil && seen(sum)) {
		at := moments[c.cuts%uint64(len(moments))]
		atStake, promised, err := c.cut(at)
		c.cuts++
		var found int64
		switch {
		case errors.As(err, new(unmountableError)):
			sum.unmountable++
		case err != nil:
			c.t.Fatalf("%s on %s, cut %d: %v", c.db.name, c.fs, sum.cuts, err)
		default:
			if found, err = c.check(); err != nil {
				sum.corrupt++
			} else if found < promised {
				sum.lost++
			}
		}
		if sum.cuts++; !atStake {
			sum.idle++
		}
		if err != nil {
			c.t.Logf("%s on %s, cut %d: %.120s", c.db.name, c.fs, sum.cuts, err)
			c.drop()
			c.fresh()
		}
	}
	c.t.Log(sum)
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

// unmountableError says that what survived cannot be mounted. On a disk that
// keeps its word that is a loss like any other.
type unmountableError struct{ error }

// cut starts the database, cuts the power under it in that moment and mounts
// what survived. promised is the last transaction that it had acknowledged.
func (c *cutter) cut(at moment) (atStake bool, promised int64, err error) {
	w, err := c.db.start(c.file())
	if err != nil {
		return false, 0, err
	}
	if err = w.commit(3); err == nil {
		err = at(w)
	}
	promised = w.last.Load()
	if err != nil {
		err = errors.Join(err, c.disk.Set(context.Background()))
		w.kill()
		return false, 0, err
	}
	k := c.keep
	k.Seed = c.draws.Index(c.cuts)
	cut, err := c.disk.PowerCut(c.t.Context(), k)
	w.kill()
	if err != nil {
		return false, 0, err
	}
	c.unplug()
	if err := c.plug(cut.Path); err != nil {
		return cut.AtStake > 0, promised, unmountableError{err}
	}
	return cut.AtStake > 0, promised, nil
}

// idle: nothing is asked of the database.
func (c *cutter) idle(*worker) error { return nil }

// anywhere: while it commits.
func (c *cutter) anywhere(w *worker) error {
	w.on()
	time.Sleep(time.Duration(c.draws.Between(c.cuts, 40, 200)) * time.Millisecond)
	return nil
}

// inFlush: while a flush is under way, which takes long, and something is at
// stake. (One that hangs would be more certain; it may be another program's, with
// nothing written before it, and keep the database from writing.)
func (c *cutter) inFlush(w *worker) error {
	if err := c.disk.Set(c.t.Context(), flakey.Fault{Kind: flakey.Delay, Delay: 20 * time.Millisecond, Where: flakey.Selector{Only: flakey.Flushes}}); err != nil {
		return err
	}
	w.on()
	for deadline := time.Now().Add(hangBound); ; time.Sleep(time.Millisecond) {
		st, err := c.disk.Stats(c.t.Context())
		if err != nil || st.Dirty > 0 {
			return err
		}
		if time.Now().After(deadline) {
			return errors.New("the database writes nothing")
		}
	}
}

// after: n transactions after the disk went wrong.
func (c *cutter) after(n int64, faults ...flakey.Fault) moment {
	return func(w *worker) error {
		if err := c.disk.Set(c.t.Context(), faults...); err != nil {
			return err
		}
		return w.commit(n)
	}
}

// onlyMeta: twenty transactions on, of which the first pages of a bbolt file
// have reached the disk, two of them those that name all others, and nothing
// else has: the kernel writes pages back in any order. It is planted, so that no
// write-back or sync of anyone else on this machine brings the others: the disk
// takes no other write. Four pages, as they were created by one write, and the
// kernel may write back at once what was.
func (c *cutter) onlyMeta(w *worker) error {
	const length = 4 * 4096
	f, err := os.OpenFile(c.file(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	at, err := place(f, 0, length)
	if err != nil {
		return err
	}
	err = c.after(20,
		flakey.Fault{Kind: flakey.DropWrites, Where: flakey.Selector{ToSector: at / flakey.SectorSize}},
		flakey.Fault{Kind: flakey.DropWrites, Where: flakey.Selector{FromSector: (at + length) / flakey.SectorSize}})(w)
	if err != nil {
		return err
	}
	// They are dirtied once more, as another program's sync may have written them
	// back already, in one request with pages that the disk did not take.
	first := make([]byte, length)
	if _, err := io.ReadFull(f, first); err != nil {
		return err
	}
	if _, err := f.WriteAt(first, 0); err != nil {
		return err
	}
	const writeBack = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	return unix.SyncFileRange(int(f.Fd()), 0, length, writeBack)
}

func (c *cutter) check() (found int64, err error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), hangBound)
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
			c := cutterOf(t, boltapp(t, false), fs)
			enough := counts(4, 500)
			atStake := func(s tally) int { return s.cuts - s.idle }
			sum := c.run(20*enough, func(s tally) bool { return atStake(s) >= enough }, c.inFlush, c.anywhere)
			if sum.harmed() > 0 {
				t.Error("an honest disk lost what was synced")
			}
			if atStake(sum) < enough {
				t.Error("too little was at stake")
			}
		})
	}
}

// TestDroppedFlushesAreFound: the same database on a disk that acknowledges
// flushes and does nothing. What it acknowledged then is lost in every cut that
// keeps none of it.
func TestDroppedFlushesAreFound(t *testing.T) {
	for _, fs := range fileSystems {
		t.Run(fs, func(t *testing.T) {
			c := cutterOf(t, boltapp(t, false), fs)
			c.keep = flakey.Keep{}
			if sum := c.run(counts(2, 50), nil, c.after(3, flakey.Fault{Kind: flakey.DropFlushes})); sum.harmed() < sum.cuts {
				t.Error("not every cut was found out")
			}
		})
	}
}

// TestNoSyncIsFound: without syncs, and with pages that are written back out of
// order, the file does not stay sound. The first cut shows it; that there may be
// more is for a kernel that writes the pages back in larger pieces.
func TestNoSyncIsFound(t *testing.T) {
	for _, fs := range []string{"ext4", "xfs"} {
		t.Run(fs, func(t *testing.T) {
			c := cutterOf(t, boltapp(t, true), fs)
			c.keep = flakey.Keep{Mode: flakey.KeepAll}
			if sum := c.run(20, func(s tally) bool { return s.corrupt > 0 }, c.onlyMeta); sum.corrupt == 0 {
				t.Error("no file was corrupt")
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
		if sum := c.run(counts(6, 100), nil, c.idle, c.inFlush, c.anywhere); sum.harmed() > 0 {
			t.Error("EXTRA lost what it acknowledged")
		}
	})
	t.Run("FULL", func(t *testing.T) {
		c := cutterOf(t, sqlite(t, "FULL"), "ext4")
		// The first cut shows it, unless another program syncs between the
		// answer and the cut.
		seen := func(s tally) bool { return s.lost > 0 && os.Getenv("ASSAY_FULL") == "" }
		sum := c.run(100, seen, c.idle)
		if sum.corrupt+sum.unmountable > 0 {
			t.Error("FULL left a corrupt file")
		}
		if sum.lost == 0 {
			t.Error("FULL lost nothing: its known loss was missed")
		}
	})
}
