package mtls

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

const (
	// handshakeTimeout is how long a client may take.
	handshakeTimeout = 5 * time.Second
	// handshakes is the number of clients at once that have not finished
	// theirs. One more takes the place of another.
	handshakes = 128
)

// Refused is told of a client that was not accepted. It is called by many at
// once and must not block. What stands in the error comes from a stranger.
type Refused func(client net.Addr, err error)

// listener hands on connections whose handshake is done.
type listener struct {
	net.Listener
	server  *Server
	refused Refused

	start   sync.Once
	ready   chan net.Conn
	failed  chan error
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	pending sync.WaitGroup
	places  places
}

// Listen puts TLS on a listener. Closing it also ends the handshakes. refused
// may be nil.
func (s *Server) Listen(inner net.Listener, refused Refused) net.Listener {
	if refused == nil {
		refused = func(net.Addr, error) {}
	}
	l := &listener{Listener: inner, server: s, refused: refused, ready: make(chan net.Conn), failed: make(chan error)}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// Accept returns the next connection whose handshake is done.
func (l *listener) Accept() (net.Conn, error) {
	l.start.Do(func() {
		l.pending.Add(1)
		go l.accept()
	})
	select {
	case conn := <-l.ready:
		return conn, nil
	case err := <-l.failed:
		return nil, err
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

// Close ends the listener and waits until no handshake is left.
func (l *listener) Close() error {
	l.cancel()
	err := l.Listener.Close()
	l.pending.Wait()
	return err
}

// accept starts handshakes. An error goes to whoever calls Accept, who decides
// whether to go on.
func (l *listener) accept() {
	defer l.pending.Done()
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			select {
			case l.failed <- err:
			case <-l.ctx.Done():
				return
			}
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		c := &client{Conn: conn, began: time.Now()}
		if other := l.places.take(c); other != nil {
			_ = other.Conn.Close() // its handshake ends
			l.refused(other.RemoteAddr(), errNoPlace)
		}
		l.pending.Go(func() { l.handshake(c) })
	}
}

// handshake hands the connection on, or closes it.
func (l *listener) handshake(c *client) {
	conn := tls.Server(c, l.server.state.Load().tls)
	ctx, cancel := context.WithTimeout(l.ctx, handshakeTimeout)
	defer cancel()
	err := conn.HandshakeContext(ctx)
	kept := l.places.leave(c)
	if err != nil {
		if l.ctx.Err() == nil && kept { // the others were told of
			l.refused(c.RemoteAddr(), err)
		}
		_ = c.Close() // the other side is told by TLS, if at all
		return
	}
	select {
	case l.ready <- conn:
	case <-l.ctx.Done():
		_ = c.Close()
	}
}
