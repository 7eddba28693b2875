package web

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"sync"
)

// limited accepts n connections at most. When one more comes, the one that has
// waited longest for a request makes room: so no number of clients that connect
// and say nothing, or say it slowly, keeps a health check out. A connection whose
// request is being answered stays; Server lets those be half of n at most.
type limited struct {
	net.Listener
	n int

	mu      sync.Mutex
	open    int
	waiting list.List     // of *limitedConn, the longest first
	room    chan struct{} // has one value while there may be room
	closed  chan struct{}
	once    sync.Once
}

func limitConnections(l net.Listener, n int) *limited {
	return &limited{Listener: l, n: n, room: make(chan struct{}, 1), closed: make(chan struct{})}
}

// Accept waits for a connection, and for room for it.
func (l *limited) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &limitedConn{Conn: conn, of: l}
	for !l.admit(c) {
		select {
		case <-l.room:
		case <-l.closed:
			return nil, conn.Close()
		}
	}
	return c, nil
}

// admit counts the connection, unless there is no room for it and none is
// waiting that could make some.
func (l *limited) admit(c *limitedConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.n {
		longest := l.waiting.Front()
		if longest == nil {
			return false
		}
		_ = longest.Value.(*limitedConn).leave()
	}
	l.open++
	c.place = l.waiting.PushBack(c)
	return true
}

// Close ends the listening, also for an Accept that waits for room.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// limitedConn is a connection that counts.
type limitedConn struct {
	net.Conn
	of    *limited
	place *list.Element // among those that wait; nil: a request is being answered
	left  bool
}

// Close closes the connection and makes room for another.
func (c *limitedConn) Close() error {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	return c.leave()
}

// leave is Close with the lock held. It may come again.
func (c *limitedConn) leave() error {
	if c.left {
		return net.ErrClosed
	}
	c.left = true
	c.of.open--
	if c.place != nil {
		c.of.waiting.Remove(c.place)
		c.place = nil
	}
	select {
	case c.of.room <- struct{}{}:
	default:
	}
	return c.Conn.Close()
}

// answering says that a request of the connection is being answered, until
// done is called.
func (c *limitedConn) answering() (done func()) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if c.place != nil {
		c.of.waiting.Remove(c.place)
		c.place = nil
	}
	return func() {
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		if c.place == nil && !c.left {
			c.place = c.of.waiting.PushBack(c)
		}
		select { // for one that waits for room
		case c.of.room <- struct{}{}:
		default:
		}
	}
}

type connKey struct{}

// withConn keeps the connection for connOf.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		conn = t.NetConn()
	}
	return context.WithValue(ctx, connKey{}, conn)
}

// answering says that the request is being answered; see limitedConn.
func answering(r *http.Request) (done func()) {
	if c, ok := r.Context().Value(connKey{}).(*limitedConn); ok {
		return c.answering()
	}
	return func() {}
}
