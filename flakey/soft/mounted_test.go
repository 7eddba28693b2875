package soft

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-1b600011/assay/flakey"
	"github.com/seed-1b600011/assay/machine"
	"golang.org/x/sys/unix"
)

// mountingOwner opens a disk with the file system args[2], mounts it on the
// directory mnt below args[0], and with args[3] starts a squatter on it; tells
// the pid of the daemon, and waits to be killed.
var mountingOwner = machine.Daemon("soft-test-mounting-owner", func(ctx context.Context, args []string, _ io.Reader, stdout io.Writer) error {
	ledger, err := machine.OpenLedger(args[0])
	if err != nil {
		return err
	}
	d, err := Driver{}.Open(ctx, flakey.Options{Name: args[1], Size: 512 * mib, Ledger: ledger})
	if err != nil {
		return err
	}
	if err := machine.Mkfs(ctx, d.Path(), args[2]); err != nil {
		return err
	}
	dir := filepath.Join(args[0], "mnt")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if _, err := machine.Mount(ctx, ledger, d.Path(), dir, args[2], ""); err != nil {
		return err
	}
	if args[3] != "" {
		if _, _, err := startSquatter(ledger, dir); err != nil {
			return err
		}
	}
	fmt.Fprintln(stdout, d.(*Disk).child.PID())
	select {}
})

// squatter has its working directory and an open file in args[0], and ends by
// SIGKILL only: it becomes a program that knows nothing of its parent.
var squatter = machine.Daemon("soft-test-squatter", func(_ context.Context, args []string, _ io.Reader, _ io.Writer) error {
	script := `trap "" TERM INT HUP; cd "$0" && exec 9>held && echo holds && exec sleep infinity`
	return unix.Exec("/bin/sh", []string{"sh", "-c", script, args[0]}, os.Environ())
})

func startSquatter(ledger *machine.Ledger, dir string) (*machine.Child, *bufio.Reader, error) {
	return startTold(squatter, ledger, "holds", dir)
}

// startTold starts a program and waits until it says the word.
func startTold(p *machine.Program, ledger *machine.Ledger, word string, args ...string) (*machine.Child, *bufio.Reader, error) {
	c, err := p.Start(context.Background(), ledger, args...)
	if err != nil {
		return nil, nil, err
	}
	out := bufio.NewReader(c.Stdout)
	if line, err := out.ReadString('\n'); err != nil || line != word+"\n" {
		return nil, nil, errors.Join(fmt.Errorf("it said %q: %w", line, err), c.Kill(), c.Err())
	}
	return c, out, nil
}

// fileLoad makes, syncs, renames and removes files in args[0] until something
// fails, and says so.
var fileLoad = machine.Daemon("soft-test-file-load", func(_ context.Context, args []string, _ io.Reader, stdout io.Writer) error {
	fmt.Fprintln(stdout, "begun")
	for i := 0; ; i++ {
		if err := putFile(args[0], i); err != nil {
			fmt.Fprintln(stdout, "failed")
			return nil
		}
	}
})

func putFile(dir string, i int) error {
	name := filepath.Join(dir, fmt.Sprintf("f%d", i%20))
	f, err := os.Create(name + ".new")
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 100_000+i%7*50_000))
	if i%3 == 0 {
		err = errors.Join(err, f.Sync())
	}
	err = errors.Join(err, f.Close(), os.Rename(name+".new", name))
	if i%20 == 19 {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// startOwner gives the owner of a mounted disk and the pid of its daemon.
func (l *lab) startOwner(t *testing.T, fs, squats string) (p *machine.Child, daemon int) {
	t.Helper()
	if err := machine.SupportsFilesystem(fs); err != nil {
		t.Skip(err)
	}
	p, err := mountingOwner.Start(context.WithoutCancel(t.Context()), l.ledger, l.dir, l.name("owned"), fs, squats)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fscan(p.Stdout, &daemon); err != nil {
		t.Fatal(err, p.Kill(), p.Err())
	}
	return p, daemon
}

// TestSIGKILLUnderAMount kills whoever is behind a mounted file system while a
// process works on it: that fails soon, and clean leaves nothing.
func TestSIGKILLUnderAMount(t *testing.T) {
	for _, fs := range fileSystems {
		for _, who := range []string{"daemon", "owner", "both"} {
			t.Run(fs+" "+who, func(t *testing.T) {
				for range counts(1, 10) {
					killUnderAMount(t, fs, who)
				}
			})
		}
	}
}

func killUnderAMount(t *testing.T, fs, who string) {
	l := newLab(t)
	p, daemon := l.startOwner(t, fs, "")
	load, out, err := startTold(fileLoad, l.ledger, "begun", filepath.Join(l.dir, "mnt"))
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(150 * time.Millisecond) // some files
	if who != "owner" {
		syscall.Kill(daemon, syscall.SIGKILL)
	}
	if who != "daemon" {
		p.Kill()
	}
	eventually(t, "the process that works on it to fail", func() bool { return ended(load) })
	if line, err := out.ReadString('\n'); line != "failed\n" {
		t.Errorf("it ended with %q, %v, %v", line, err, load.Err())
	}
	p.Kill()
	l.cleanUp(t)
}

func ended(c *machine.Child) bool {
	select {
	case <-c.Done():
		return true
	default:
		return false
	}
}

// cleanUp cleans, once, when nobody who belongs to a killed disk is there any
// more: a ledger is cleaned when its owner's last thread has ended. newLab
// holds that nothing is left.
func (l *lab) cleanUp(t *testing.T) {
	t.Helper()
	eventually(t, "the disk's processes to end", func() bool { return len(children(filepath.Join(l.dir, "disks"))) == 0 })
	l.clean(t)
}

// TestHeldMount: a process that does not end holds the mount of a disk that was
// killed. One that the owner has started is ended by clean.
func TestHeldMount(t *testing.T) {
	for _, fs := range fileSystems {
		t.Run(fs, func(t *testing.T) {
			l := newLab(t)
			p, daemon := l.startOwner(t, fs, "squats")
			syscall.Kill(daemon, syscall.SIGKILL)
			p.Kill()
			l.cleanUp(t)
		})
	}
}

// TestMountHeldByAStranger: clean says that he is there, takes the mount from
// the tree, and does the rest when he has gone. So it does when the file system
// has found out already that its disk is gone, and answers nothing any more.
func TestMountHeldByAStranger(t *testing.T) {
	for _, fs := range fileSystems {
		for _, knows := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, knows %v", fs, knows), func(t *testing.T) {
				t.Parallel() // it is patience that takes long
				l := newLab(t)
				p, daemon := l.startOwner(t, fs, "")
				dir := filepath.Join(l.dir, "mnt")
				stranger, _, err := startSquatter(l.ledger, dir)
				if err != nil {
					t.Fatal(err)
				}
				defer stranger.Kill()
				syscall.Kill(daemon, syscall.SIGKILL)
				if knows {
					findsOut(t, dir)
				}
				p.Kill()
				l.cleanBeside(t, stranger)
				if err := stranger.Kill(); err != nil {
					t.Fatal(err)
				}
				l.cleanUp(t)
			})
		}
	}
}

// findsOut has a file system whose disk is gone write to it until that fails.
func findsOut(t *testing.T, dir string) {
	t.Helper()
	eventually(t, "the file system to fail", func() bool {
		f, err := os.CreateTemp(dir, "")
		if err != nil {
			return true
		}
		defer f.Close()
		return f.Sync() != nil
	})
}

// cleanBeside cleans while a process holds the mount: it ends in time, and names
// that process.
func (l *lab) cleanBeside(t *testing.T, holder *machine.Child) {
	t.Helper()
	eventually(t, "the disk's processes to end", func() bool { return len(children(filepath.Join(l.dir, "disks"))) == 0 })
	ctx, cancel := context.WithTimeout(context.Background(), hangBound)
	defer cancel()
	err := machine.Clean(ctx, l.dir, allUndoes(), func(machine.Cleaned) {})
	if ctx.Err() != nil {
		t.Errorf("clean took more than %v", hangBound)
	}
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("process %d ", holder.PID())) {
		t.Errorf("clean does not say who holds the mount: %v", err)
	}
	if on, err := machine.MountedAt(filepath.Join(l.dir, "mnt")); err != nil || len(on) > 0 {
		t.Errorf("mounted: %v, %v", on, err)
	}
}

// TestHeldMountOfACreatedDisk: destroying a disk on its own whose mount
// somebody holds ends it all the same.
func TestHeldMountOfACreatedDisk(t *testing.T) {
	t.Parallel()
	if err := machine.SupportsFilesystem("ext4"); err != nil {
		t.Skip(err)
	}
	l := newLab(t)
	d, err := l.driver.Create(t.Context(), flakey.Options{Name: l.name("d"), Size: 64 * mib, Ledger: l.ledger})
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(l.dir, "mnt")
	if err := errors.Join(machine.Mkfs(t.Context(), d.Path(), "ext4"), os.Mkdir(dir, 0o700), d.Mount(t.Context(), Mount{Dir: dir, FS: "ext4"})); err != nil {
		t.Fatal(err, d.Close(context.Background()))
	}
	holder, _, err := startSquatter(l.ledger, dir)
	if err != nil {
		t.Fatal(err, d.Close(context.Background()))
	}
	defer holder.Kill()
	if err := d.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if on, err := machine.MountedAt(dir); err != nil || len(on) > 0 {
		t.Errorf("mounted: %v, %v", on, err)
	}
	l.cleanBeside(t, holder)
	if err := holder.Kill(); err != nil {
		t.Fatal(err)
	}
	l.cleanUp(t)
}
