package soft

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const socketName = "sock"

// throughDir gives f a short path of the directory: the address of a unix
// socket holds no more than 107 bytes, unix(7), and a directory may be deep.
func throughDir(dir string, f func(short string) error) error {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	return f(fmt.Sprintf("/proc/self/fd/%d", fd))
}

func listen(dir string) (l *net.UnixListener, err error) {
	err = throughDir(dir, func(short string) error {
		l, err = net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(short, socketName), Net: "unix"})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", filepath.Join(dir, socketName), err)
	}
	l.SetUnlinkOnClose(false) // the short path is gone by then; the whole directory goes
	return l, nil
}

func dial(ctx context.Context, dir string) (c net.Conn, err error) {
	err = throughDir(dir, func(short string) error {
		c, err = (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(short, socketName))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", filepath.Join(dir, socketName), err)
	}
	return c, nil
}
