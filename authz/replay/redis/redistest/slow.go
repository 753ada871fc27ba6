package redistest

import (
	"io"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// Slow stands before a server and passes its answers on late. What comes while others wait
// is not held up by them: it is a server far away, and not one that is busy.
type Slow struct {
	// Address is the path of a socket.
	Address string

	server *Server
	by     atomic.Int64 // in nanoseconds
}

// Behind returns a socket that leads to the server, at first without delay, until the end
// of the test.
func Behind(t testing.TB, server *Server) *Slow {
	t.Helper()
	s := &Slow{Address: filepath.Join(server.dir, "slow"), server: server}
	l, err := net.Listen("unix", s.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(client)
		}
	}()
	return s
}

// Delay is how late answers are from now on. It is safe for concurrent use.
func (s *Slow) Delay(by time.Duration) { s.by.Store(int64(by)) }

// piece is some bytes, and when they are due.
type piece struct {
	bytes []byte
	due   time.Time
}

// serve passes on what one client and the server say, until either ends.
func (s *Slow) serve(client net.Conn) {
	defer func() { _ = client.Close() }() // all that can be passed on has been
	network := "tcp"
	if s.server.Unix {
		network = "unix"
	}
	server, err := net.Dial(network, s.server.Address)
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(server, client) // either may end at any time
		_ = server.Close()
	}()
	pieces := make(chan piece, 1<<12)
	go func() {
		defer close(pieces)
		for {
			buffer := make([]byte, 16<<10)
			n, err := server.Read(buffer)
			if err != nil {
				return
			}
			pieces <- piece{buffer[:n], time.Now().Add(time.Duration(s.by.Load()))}
		}
	}()
	for p := range pieces {
		<-time.After(time.Until(p.due))
		if _, err := client.Write(p.bytes); err != nil {
			_ = server.Close()
			for range pieces { // until its reader has seen that
			}
			return
		}
	}
}
