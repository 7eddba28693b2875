package refstore

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/seed-1b600011/assay/machine"
)

// daemon is the process in which a server runs: a store that lies, or eats
// memory, does so away from those who judge it.
var daemon = machine.Daemon("refstore", serveDaemon)

// addresses is what the daemon tells its parent, on one line.
type addresses struct {
	Error    string    `json:"error,omitempty"` // it could not begin
	Front    Endpoint  `json:"front"`
	Backends []Backend `json:"backends"`
	Control  string    `json:"control"`
	Token    string    `json:"token"`
}

// serveDaemon reads a Config from the first line of stdin, tells its addresses
// on stdout, and serves until ctx or stdin ends.
func serveDaemon(ctx context.Context, _ []string, stdin io.Reader, stdout io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in := bufio.NewReader(stdin)
	k, told, err := begin(in)
	if err != nil {
		told.Error = err.Error()
		return errors.Join(err, json.NewEncoder(stdout).Encode(told))
	}
	go func() {
		// Ends when the parent closes the pipe or is gone.
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	if err := json.NewEncoder(stdout).Encode(told); err != nil {
		return errors.Join(fmt.Errorf("refstore: tell the addresses: %w", err), k.close())
	}
	return k.run(ctx)
}

func begin(in *bufio.Reader) (*cluster, addresses, error) {
	line, err := in.ReadBytes('\n')
	if err != nil {
		return nil, addresses{}, fmt.Errorf("refstore: read the configuration: %w", err)
	}
	var config Config
	if err := json.Unmarshal(line, &config); err != nil {
		return nil, addresses{}, fmt.Errorf("refstore: read the configuration: %w", err)
	}
	k, err := newCluster(config)
	if err != nil {
		return nil, addresses{}, err
	}
	c := &control{cluster: k, token: rand.Text()}
	url, err := k.serve(c.handler())
	if err != nil {
		return nil, addresses{}, errors.Join(err, k.close())
	}
	return k, addresses{Front: k.endpoint, Backends: k.backends, Control: url, Token: c.token}, nil
}
