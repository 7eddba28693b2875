package machine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrMountPointInUse says that something is mounted on a directory already.
var ErrMountPointInUse = errors.New("something is mounted there already")

// MountPoint is a mount that this process has made. Its methods may be called
// by several goroutines at once.
type MountPoint struct {
	Source, Dir, Type string // Dir as the kernel has it: absolute, without symbolic links

	id   uint64
	gone func() error
	mu   sync.Mutex // one Unmount at a time
}

// Mount mounts source on the empty directory dir. options are those of
// mount(8), such as "commit=1000,noatime"; empty: none. What is wrong with the
// arguments is found before anything is changed: a source that is missing, a
// directory that is none, is not empty or is a mount point (ErrMountPointInUse),
// an unknown file system. The kernel's errors can be asked for with errors.Is.
//
// A child process does it, because a mount waits for the device; Mount returns
// when ctx ends. The mount is first made without a place; then its number,
// which the kernel does not use again, is entered into the ledger, and only
// then it gets its place. So whenever the maker is killed, either the mount
// has no place and goes with the child, or the ledger names exactly it, and
// Clean never takes another's mount from the same directory.
func Mount(ctx context.Context, ledger *Ledger, source, dir, fstype, options string) (*MountPoint, error) {
	return mount(ctx, ledger, mountOrder{Source: source, Dir: dir, Type: fstype, Options: options})
}

// MountOver is Mount on a directory that need not be empty: what is in it is
// hidden for as long as the mount is there.
func MountOver(ctx context.Context, ledger *Ledger, source, dir, fstype, options string) (*MountPoint, error) {
	return mount(ctx, ledger, mountOrder{Source: source, Dir: dir, Type: fstype, Options: options, Over: true})
}

func mount(ctx context.Context, ledger *Ledger, o mountOrder) (_ *MountPoint, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("machine: mount %s (%s) on %q: %w", o.Source, o.Type, o.Dir, err)
		}
	}()
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, err
	}
	c, err := mounter.startUnlisted(ctx, ledger.file, o.args()...)
	if err != nil {
		return nil, err
	}
	answers := bufio.NewReader(c.Stdout)
	made, err := ask(ctx, c, answers)
	if err != nil {
		return nil, err
	}
	at := string(made.Dir)
	gone, err := ledger.Intend("mount", mountName(at, boot, made.ID))
	if err != nil {
		return nil, errors.Join(err, c.Stop(ctx))
	}
	fmt.Fprintln(c.Stdin, "go")
	if _, err := ask(ctx, c, answers); err != nil {
		select {
		case <-c.Done():
			return nil, errors.Join(err, gone()) // the mount went with it
		default:
			return nil, err // it may still come to be; the ledger has it
		}
	}
	c.await(ctx, endPatience)
	return &MountPoint{Source: o.Source, Dir: at, Type: o.Type, id: made.ID, gone: gone}, nil
}

// mountName is the name of a mount in the ledger. The path is quoted in ASCII
// because JSON would change one that is not UTF-8.
func mountName(dir, boot string, id uint64) string {
	return fmt.Sprintf("%s %d %s", boot, id, strconv.QuoteToASCII(dir))
}

func parseMountName(name string) (dir, boot string, id uint64, err error) {
	var quoted string
	if _, err := fmt.Sscanf(name, "%s %d %q", &boot, &id, &quoted); err != nil {
		return "", "", 0, fmt.Errorf("mount %q of the ledger: %w", name, err)
	}
	return quoted, boot, id, nil
}

// mountOrder is what the child mounts, and its arguments.
type mountOrder struct {
	Source, Dir, Type, Options string
	Over                       bool
}

func (o mountOrder) args() []string {
	return []string{o.Source, o.Dir, o.Type, o.Options, strconv.FormatBool(o.Over)}
}

func orderOf(args []string) mountOrder {
	return mountOrder{args[0], args[1], args[2], args[3], args[4] == "true"}
}

// mountAnswer is a line that the child prints.
type mountAnswer struct {
	ID     uint64        `json:"id,omitempty"`
	Dir    []byte        `json:"dir,omitempty"` // a string would not survive JSON where it is not UTF-8
	Failed string        `json:"failed,omitempty"`
	Errno  syscall.Errno `json:"errno,omitempty"`
	InUse  bool          `json:"in_use,omitempty"`

	Refused bool `json:"refused,omitempty"` // by the kernel, for what is on the device
}

// remoteError is an error of a child, with the kernel's reason in it.
type remoteError struct {
	text    string
	is      error
	refused bool // it is the kernel's answer to the mount itself
}

// MountRefusal is the errno with which the kernel has refused to mount what is
// on the device, or to do so with these options. Whatever else can fail about a
// mount is none: the mount point, the child that mounts, the ledger.
func MountRefusal(err error) (errno syscall.Errno, refused bool) {
	var e *remoteError
	if errors.As(err, &e) && e.refused && errors.As(e.is, &errno) {
		return errno, true
	}
	return 0, false
}

// refusal is the kernel's answer to a mount.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.is }

// ask reads an answer of the child. When ctx ends before, the child is killed;
// where it hangs in the kernel it is left to end when it can.
func ask(ctx context.Context, c *Child, answers *bufio.Reader) (mountAnswer, error) {
	type line struct {
		b   []byte
		err error
	}
	lines := make(chan line, 1)
	go func() {
		b, err := answers.ReadBytes('\n')
		lines <- line{b, err}
	}()
	select {
	case l := <-lines:
		var a mountAnswer
		if l.err != nil {
			c.await(context.Background(), endPatience)
			return a, errors.Join(errors.New("the child that mounts ended"), c.Err())
		}
		if err := json.Unmarshal(l.b, &a); err != nil {
			return a, errors.Join(err, c.Kill())
		}
		return a, a.err(c)
	case <-ctx.Done():
		return mountAnswer{}, errors.Join(fmt.Errorf("the kernel does not answer: %w", context.Cause(ctx)), c.Kill())
	}
}

func (a mountAnswer) err(c *Child) error {
	if a.Failed == "" {
		return nil
	}
	c.await(context.Background(), endPatience)
	e := &remoteError{text: a.Failed, refused: a.Refused}
	switch {
	case a.InUse:
		e.is = ErrMountPointInUse
	case a.Errno != 0:
		e.is = a.Errno
	}
	return e
}

// mounter is the child that mounts: it makes the mount, says so, and puts it
// in its place when it is told to.
var mounter = Daemon("machine-mount", func(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error {
	out := json.NewEncoder(stdout)
	err := mountInChild(orderOf(args), stdin, out)
	if err == nil {
		return nil
	}
	a := mountAnswer{Failed: err.Error(), InUse: errors.Is(err, ErrMountPointInUse)}
	errors.As(err, &a.Errno)
	var r refusal
	a.Refused = errors.As(err, &r)
	return out.Encode(a)
})

func mountInChild(o mountOrder, stdin io.Reader, out *json.Encoder) error {
	options, err := parseMountOptions(o.Options)
	if err != nil {
		return err
	}
	place, path, err := openMountPoint(o.Dir, o.Over)
	if err != nil {
		return err
	}
	defer place.Close()
	made, err := newMount(o.Source, o.Type, options)
	if err != nil {
		return refusal{err}
	}
	defer made.Close()
	id, err := mountID(int(made.Fd()), "")
	if err != nil {
		return err
	}
	if err := out.Encode(mountAnswer{ID: id, Dir: []byte(path)}); err != nil {
		return err
	}
	if told, err := bufio.NewReader(stdin).ReadString('\n'); err != nil || told != "go\n" {
		return errors.New("the parent does not want it any more")
	}
	err = unix.MoveMount(int(made.Fd()), "", int(place.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	if err != nil {
		return fmt.Errorf("move_mount: %w", err)
	}
	return out.Encode(mountAnswer{ID: id, Dir: []byte(path)})
}

// openMountPoint opens the directory and refuses what must not be mounted on.
func openMountPoint(dir string, over bool) (*os.File, string, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, "", fmt.Errorf("open %q: %w", dir, err)
	}
	place := os.NewFile(uintptr(fd), dir)
	path, err := refuseMountPoint(fd, over)
	if err != nil {
		place.Close()
		return nil, "", err
	}
	return place, path, nil
}

// refuseMountPoint gives the path of an open directory as the kernel has it,
// unless it must not be mounted on.
func refuseMountPoint(dir int, over bool) (string, error) {
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", dir))
	if err != nil {
		return "", err
	}
	on, err := MountedAt(path)
	if err != nil {
		return "", err
	}
	if len(on) > 0 {
		return "", fmt.Errorf("%w: %s (%s)", ErrMountPointInUse, on[len(on)-1].Source, on[len(on)-1].Type)
	}
	if over {
		return path, nil
	}
	return path, wantEmpty(dir)
}

func wantEmpty(dir int) error {
	fd, err := unix.Openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	d := os.NewFile(uintptr(fd), "mount point")
	defer d.Close()
	switch names, err := d.Readdirnames(1); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	default:
		return fmt.Errorf("the directory is not empty: %q is in it: %w", names[0], unix.ENOTEMPTY)
	}
}

// Unmount unmounts it, as the function Unmount does, and crosses it off the
// ledger. One that somebody else has unmounted already is no error.
func (m *MountPoint) Unmount(ctx context.Context, o UnmountOptions) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	err := unmount(ctx, m.Dir, m.id, o)
	if err != nil {
		// It may be out of the tree and still wait for its device.
		if on, unknown := MountedAt(m.Dir); unknown != nil || len(on) > 0 {
			return err
		}
	}
	return errors.Join(err, m.gone())
}

// undoMount unmounts exactly the mount that the ledger names, by force if it
// must.
func undoMount(ctx context.Context, name string) error {
	dir, boot, id, err := parseMountName(name)
	if err != nil {
		return err
	}
	now, err := bootID()
	if err != nil {
		return err
	}
	if boot != now {
		return nil // no mount outlives a boot
	}
	return unmount(ctx, dir, id, UnmountOptions{Patience: 2 * time.Second, Force: true})
}

// undoMountPoint removes a directory that was made to mount on. Unlike the
// undoing of a directory it never touches what is in it: where the unmount
// failed that is somebody's data.
func undoMountPoint(_ context.Context, path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
