package soft

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/seed-1b600011/assay/machine"
)

var keeperProgram = machine.Daemon("softdisk-keeper", keep)

const (
	beatEvery  = time.Second
	orderBound = 10 * time.Second // of one order to the keeper
)

// keeping is the daemon's side of its keeper.
type keeping struct {
	child *machine.Child

	mu      sync.Mutex
	n       int
	waiting map[int]chan error
	watches int
	watched map[int]*file // until the connection has ended
}

// startKeeper starts the keeper and shows it every second that the daemon is
// alive, for which alive must return: it takes the locks that everything else
// takes.
func startKeeper(ctx context.Context, ledger *machine.Ledger, alive func()) (*keeping, error) {
	child, err := keeperProgram.Start(ctx, ledger, strconv.Itoa(os.Getpid()))
	if err != nil {
		return nil, fmt.Errorf("soft: start the keeper: %w", err)
	}
	k := &keeping{child: child, waiting: map[int]chan error{}, watched: map[int]*file{}}
	ready := k.expect(0)
	go k.listen()
	if err := k.await(ready); err != nil {
		return nil, errors.Join(fmt.Errorf("soft: start the keeper: %w", err), child.Kill())
	}
	go k.beat(alive)
	return k, nil
}

func (k *keeping) listen() {
	lines := bufio.NewScanner(k.child.Stdout)
	for lines.Scan() {
		var d done
		if json.Unmarshal(lines.Bytes(), &d) != nil {
			continue
		}
		var err error
		if d.Error != "" {
			err = errors.New(d.Error)
		}
		k.mu.Lock()
		if c := k.waiting[d.N]; c != nil {
			c <- err
			delete(k.waiting, d.N)
		}
		k.mu.Unlock()
	}
}

func (k *keeping) beat(alive func()) {
	for tick := time.NewTicker(beatEvery); ; {
		select {
		case <-k.child.Done():
			tick.Stop()
			return
		case <-tick.C:
			alive()
			_ = k.send(order{Beats: k.beats()}) // a keeper that has ended is seen by Done
		}
	}
}

func (k *keeping) beats() []beat {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []beat
	for n, f := range k.watched {
		all = append(all, f.beat(n))
	}
	return all
}

func (k *keeping) expect(n int) chan error {
	c := make(chan error, 1)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiting[n] = c
	return c
}

func (k *keeping) await(c chan error) error {
	t := time.NewTimer(orderBound)
	defer t.Stop()
	select {
	case err := <-c:
		return err
	case <-k.child.Done():
		return errors.Join(errors.New("the keeper has ended"), k.child.Err())
	case <-t.C:
		return fmt.Errorf("no answer of the keeper within %v", orderBound)
	}
}

func (k *keeping) send(o order) error {
	b, err := json.Marshal(o)
	if err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	_, err = k.child.Stdin.Write(append(b, '\n'))
	return err
}

func (k *keeping) order(o order) error {
	k.mu.Lock()
	k.n++
	o.N = k.n
	k.mu.Unlock()
	c := k.expect(o.N)
	if err := k.send(o); err != nil {
		return err
	}
	return k.await(c)
}

// watch makes the keeper watch the connection that serves f, until it has
// ended. It has a number of ours, as the kernel uses its own again.
func (k *keeping) watch(c *connection, f *file) error {
	k.mu.Lock()
	k.watches++
	n := k.watches
	k.mu.Unlock()
	if err := k.order(order{Do: "watch", Watch: n, Connection: c.id}); err != nil {
		return err
	}
	k.mu.Lock()
	k.watched[n] = f
	k.mu.Unlock()
	go func() {
		<-c.served
		k.mu.Lock()
		delete(k.watched, n)
		k.mu.Unlock()
		_ = k.send(order{Do: "forget", Watch: n}) // a keeper that has ended has forgotten everything
	}()
	return nil
}

// hold makes the keeper hold a loop device.
func (k *keeping) hold(path string) error { return k.order(order{Do: "hold", Path: path}) }

// drop makes the keeper let go of a loop device, which clears itself if nobody
// else has it open.
func (k *keeping) drop(path string) error { return k.order(order{Do: "drop", Path: path}) }

// end ends the keeper.
func (k *keeping) end() error { return k.child.Stop(context.Background()) }
