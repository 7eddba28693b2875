package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// binding is one time that a loop device serves a file. The same device may
// serve another later; that is another binding.
type binding struct {
	boot   string
	number int    // N of /dev/loopN
	seq    string // the kernel's serial number of the disk; before Linux 5.15 empty
	file   string // what it serves, as the kernel says it
}

func bindingOf(n int) (binding, error) {
	boot, err := bootID()
	if err != nil {
		return binding{}, err
	}
	b := binding{boot: boot, number: n}
	if b.seq, err = loopFact(n, "diskseq"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return binding{}, err
	}
	b.file, err = loopFact(n, "loop/backing_file")
	return b, err
}

// String is the binding's name in the ledger.
func (b binding) String() string {
	return fmt.Sprintf("%s %d %q %s", b.boot, b.number, b.seq, strconv.QuoteToASCII(b.file))
}

func parseBinding(name string) (b binding, err error) {
	if _, err := fmt.Sscanf(name, "%s %d %q %q", &b.boot, &b.number, &b.seq, &b.file); err != nil {
		return b, fmt.Errorf("loop device %q of the ledger: %w", name, err)
	}
	return b, nil
}

// lasts tells whether the binding is still there. It asks nothing of the
// file system behind the device, which may not answer.
func (b binding) lasts() (bool, error) {
	now, err := bindingOf(b.number)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENODEV) { // ENODEV: it ended while we read
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if b.seq != "" {
		return now.boot == b.boot && now.seq == b.seq, nil // the file may have been renamed
	}
	return now == b, nil
}

// awaitEnd waits until the binding has ended, and with ctx's end says who
// still uses the device.
func (b binding) awaitEnd(ctx context.Context) error {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if lasts, err := b.lasts(); err != nil || !lasts {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return fmt.Errorf("it is still in use%s: %w", usersOf(fmt.Sprintf("/dev/loop%d", b.number)), context.Cause(ctx))
		}
	}
}

// undoLoop waits for 10 s until the device is free, which takes no more than
// that nobody uses it: its maker is gone.
func undoLoop(ctx context.Context, name string) error {
	b, err := parseBinding(name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, loopLinger)
	defer cancel()
	if err := b.awaitEnd(ctx); err != nil {
		return fmt.Errorf("/dev/loop%d: %w", b.number, err)
	}
	return nil
}

// loopFact reads a file of a loop device in sysfs. Unlike an ioctl that never
// asks the file system behind the device.
func loopFact(n int, name string) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/sys/block/loop%d/%s", n, name))
	return strings.TrimSpace(string(b)), err
}

// usersOf says who has a device mounted or open, for people.
func usersOf(device string) string {
	var users []string
	if mounts, err := MountsOf(device); err == nil {
		for _, m := range mounts {
			users = append(users, "mounted on "+m.Dir)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), endPatience)
	defer cancel()
	holders, err := Holders(ctx, device)
	if err != nil {
		users = append(users, err.Error())
	}
	for _, h := range holders {
		users = append(users, h.String())
	}
	if len(users) == 0 {
		return ""
	}
	return " (" + strings.Join(users, ", ") + ")"
}
