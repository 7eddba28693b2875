package machine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

const freePatience = 30 * time.Second

// AwaitFree waits until nothing holds a block device for itself, as a mount of it
// does. After an unmount that may take a moment: a mount namespace that another
// process has just made holds a copy of every mount until that process lets go of
// it. It gives up when ctx ends, and after 30 s.
func AwaitFree(ctx context.Context, device string) error {
	ctx, cancel := context.WithTimeout(ctx, freePatience)
	defer cancel()
	for {
		fd, err := unix.Open(device, unix.O_RDONLY|unix.O_EXCL|unix.O_CLOEXEC, 0)
		if err == nil {
			return unix.Close(fd)
		}
		if !errors.Is(err, unix.EBUSY) && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("machine: open %s: %w", device, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("machine: %s is still in use: %w", device, context.Cause(ctx))
		case <-time.After(5 * time.Millisecond):
		}
	}
}
