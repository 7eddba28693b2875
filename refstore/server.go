package refstore

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/seed-1b600011/assay/machine"
)

// Server is a reference store with its backends in a process of its own. Safe
// for concurrent use.
type Server struct {
	child  *machine.Child
	told   addresses
	client *http.Client
}

// Start starts a server and returns when it takes requests. It ends with
// Close, with ctx, and with this process; what it held is gone then. The
// process is entered into the ledger first.
func Start(ctx context.Context, ledger *machine.Ledger, config Config) (*Server, error) {
	line, err := json.Marshal(config)
	if err != nil {
		return nil, fmt.Errorf("refstore: start: %w", err)
	}
	child, err := daemon.Start(ctx, ledger)
	if err != nil {
		return nil, fmt.Errorf("refstore: start: %w", err)
	}
	s := &Server{child: child, client: &http.Client{Transport: &http.Transport{}}}
	if err := s.greet(ctx, append(line, '\n')); err != nil {
		err = fmt.Errorf("refstore: start: %w", err)
		return nil, errors.Join(err, child.Stop(context.WithoutCancel(ctx)))
	}
	return s, nil
}

// greet sends the configuration and waits for the addresses.
func (s *Server) greet(ctx context.Context, config []byte) error {
	answered := make(chan error, 1)
	go func() {
		if _, err := s.child.Stdin.Write(config); err != nil {
			answered <- fmt.Errorf("send the configuration: %w", err)
			return
		}
		line, err := bufio.NewReader(s.child.Stdout).ReadBytes('\n')
		if err != nil {
			answered <- fmt.Errorf("the process told no address: %w", err)
			return
		}
		answered <- json.Unmarshal(line, &s.told)
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-answered:
		if err == nil && s.told.Error != "" {
			return errors.New(s.told.Error)
		}
		return err
	}
}

// Front is where the store is.
func (s *Server) Front() Endpoint { return s.told.Front }

// Backends is where its backends are, in the order of the Config.
func (s *Server) Backends() []Backend { return slices.Clone(s.told.Backends) }

// Done is closed when the process has ended, for whatever reason.
func (s *Server) Done() <-chan struct{} { return s.child.Done() }

// Err is how the process ended: nil if it runs or ended well.
func (s *Server) Err() error { return s.child.Err() }

// Intact returns an error if the process has ended, was killed or stopped, and
// not by Close. Once it has, it always does.
func (s *Server) Intact() error {
	if err := s.child.Intact(); err != nil {
		return fmt.Errorf("the reference store: %w", err)
	}
	return nil
}

// Close ends the server, and returns when it has ended.
func (s *Server) Close(ctx context.Context) error {
	s.client.CloseIdleConnections()
	if err := s.child.Stop(ctx); err != nil {
		return fmt.Errorf("refstore: close: %w", err)
	}
	if err := s.child.Err(); err != nil {
		return fmt.Errorf("refstore: close: %w", err)
	}
	return nil
}

// Stats asks the server what it holds and has done.
func (s *Server) Stats(ctx context.Context) (Stats, error) {
	var stats Stats
	err := s.ask(ctx, http.MethodGet, "/stats", nil, &stats)
	return stats, err
}

// Told is a lie that a server tells. Safe for concurrent use.
type Told struct {
	server *Server
	id     string
}

// Lie begins to tell a lie on the front store; l says whether it damages what
// the store itself holds or what its backends hold.
func (s *Server) Lie(ctx context.Context, l Lie) (*Told, error) {
	if _, err := l.check(); err != nil {
		return nil, err
	}
	var id lieID
	if err := s.ask(ctx, http.MethodPost, "/lies", l, &id); err != nil {
		return nil, err
	}
	return &Told{s, id.ID}, nil
}

// Touched is how many requests the lie has touched so far, and the first 16
// keys that it damaged, as the client of the front store calls them. A swap
// damages two with one request. It can be asked after Stop too.
func (t *Told) Touched(ctx context.Context) (int64, []string, error) {
	var status lieStatus
	err := t.server.ask(ctx, http.MethodGet, "/lies/"+t.id, nil, &status)
	return status.Touched, status.Keys, err
}

// Stop ends the lie; what it has damaged stays so. A request that is answered
// after Stop has returned may have been touched before.
func (t *Told) Stop(ctx context.Context) error {
	return t.server.ask(ctx, http.MethodDelete, "/lies/"+t.id, nil, nil)
}

// answerMax is more than any answer of the control has.
const answerMax = 1 << 20

// ask speaks to the control of the server.
func (s *Server) ask(ctx context.Context, method, path string, in, out any) error {
	fail := func(err error) error { return fmt.Errorf("refstore: %s %s: %w", method, path, err) }
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fail(err)
		}
		body = bytes.NewReader(b)
	}
	request, err := http.NewRequestWithContext(ctx, method, s.told.Control+path, body)
	if err != nil {
		return fail(err)
	}
	request.Header.Set("Authorization", "Bearer "+s.told.Token)
	response, err := s.client.Do(request)
	if err != nil {
		return fail(errors.Join(err, s.child.Err()))
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, answerMax))
	switch {
	case err != nil:
		return fail(err)
	case response.StatusCode >= 300:
		return fail(fmt.Errorf("%s: %s", response.Status, strings.TrimSpace(string(answer))))
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fail(err)
	}
	return nil
}
