package h2

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Method says how the calls of a path are served.
type Method struct {
	// Unary calls are served when their only message is there, whole or refused.
	// Others are served from their beginning, and take messages with Receive.
	Unary bool
	// Lasting calls are ended by nobody. When their connection is to go, Receive
	// says ErrLeaving.
	Lasting bool
	// Serve must end the call with Answer or End. It may run on the goroutine
	// that reads the connection: whatever waits in it must wait for the call's
	// Done as well.
	Serve func(c *Call)
}

// Pool has buffers. It is safe for concurrent use.
type Pool interface {
	// Get returns a buffer of that length with any content.
	Get(length int) *[]byte
	Put(buffer *[]byte)
}

// Config is what a server is told. All bounds must be positive.
type Config struct {
	// Methods are found by the path of their calls.
	Methods map[string]*Method
	// MaxMessage is the size of the largest message of a unary call. A larger one
	// is read, thrown away, and served as TooLarge.
	MaxMessage int
	// Connections is their number at once, of those whose peers have said their
	// settings. One more takes the place of one that has asked nothing for a second, or
	// else is closed at once: a peer that waits to be accepted would take the server for
	// one that is slow. Silent ones have 256 other places, and the oldest goes first.
	Connections int
	// Refused is told of each connection that is closed for that reason, if it is
	// not nil: silent are those that had said nothing yet. It must not block.
	Refused func(peer net.Addr, silent bool)
	// Streams is the number of calls at once of one connection, InFlight that of unary
	// calls of all, and Others that of calls that are not unary; InFlight if 0. A unary
	// call beyond that is served as Overloaded, and another one is refused.
	Streams  uint32
	InFlight int64
	Others   int64
	// Bytes bounds the messages of unary calls that are held at once: each counts
	// Copies times, with Overhead. Who finds no room waits for half of its time,
	// and is then served as Overloaded.
	Bytes  int64
	Copies int64
	// Unasked is how much of Bytes is kept for what calls send before there is room for
	// their message; a quarter if 0.
	Unasked  int64
	Overhead int64
	// Window is how much a call may send before its message has found room, at
	// least 16 bytes.
	Window int32
	// Pool is where messages are kept.
	Pool Pool
	// MaxAge is when a connection is asked to go, so that new replicas get their
	// share, and Grace how long its calls may then take.
	MaxAge, Grace time.Duration
	// Linger is how long calls that are not unary go on after the last GOAWAY of
	// their connection before they are asked to end.
	Linger time.Duration
	// Idle is when a silent peer is asked whether it is there, and Answer how
	// long it may take to say so.
	Idle, Answer time.Duration
}

// Server serves connections. Its methods are safe for concurrent use.
type Server struct {
	config     Config
	anything   *Method // of tests: for requests that are no gRPC
	inFlight   atomic.Int64
	met        met
	budget     budget
	scanning   sync.Mutex
	scanned    time.Time    // when calls were looked at, with scanning held
	streams    atomic.Int64 // calls that are not unary
	pinned     atomic.Int64 // bytes of blocks that calls hold
	lasting    atomic.Int64 // bytes of messages of calls that are not unary
	crowd      crowd        // connections that ask for more than can be served
	pressed    toll         // what became of calls on those that are pressed
	born       time.Time
	processors time.Duration // that serve
	stopped    chan struct{} // closed with draining

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	conns     map[*conn]struct{}
	placed    int // of them, those that have a place
	draining  bool
	running   sync.WaitGroup // connections and calls
}

// New returns a server.
func New(config Config) *Server {
	config.Others = cmp.Or(config.Others, config.InFlight)
	// What calls send unasked is counted when it comes, and needs room, too.
	limit := max(config.Bytes-cmp.Or(config.Unasked, config.Bytes/4), config.Copies*(int64(config.MaxMessage)+config.Overhead))
	return &Server{
		config: config, budget: budget{limit: min(limit, config.Bytes)},
		listeners: map[net.Listener]struct{}{}, conns: map[*conn]struct{}{},
		stopped: make(chan struct{}), processors: time.Duration(runtime.GOMAXPROCS(0)), born: time.Now(),
	}
}

// Held returns how many bytes unary calls hold, and how many calls there are.
func (s *Server) Held() (bytes, calls int64) { return s.budget.used.Load(), s.inFlight.Load() }

// Peers returns how many connections there are from each address, as [Call.Peer] has it,
// but for silent ones.
func (s *Server) Peers() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	peers := make(map[string]int, len(s.conns))
	for c := range s.conns {
		if c.placed {
			peers[c.peer]++
		}
	}
	return peers
}

// Pauses after an Accept that failed for want of something, mostly files.
const (
	minPause = 5 * time.Millisecond
	maxPause = time.Second
)

// Serve accepts connections until Drain or Close, and then returns nil.
func (s *Server) Serve(l net.Listener) error {
	defer func() { _ = l.Close() }() // it may be closed already
	s.mu.Lock()
	if s.draining {
		s.mu.Unlock()
		return nil
	}
	s.listeners[l] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
	}()
	pause := minPause
	for {
		connection, err := l.Accept()
		if err != nil {
			if s.stopping() {
				return nil
			}
			if temporary, ok := errors.AsType[interface {
				error
				Temporary() bool
			}](err); ok && temporary.Temporary() {
				s.met[Accept].Add(1)
				select {
				case <-time.After(pause):
				case <-s.stopped:
				}
				pause = min(2*pause, maxPause)
				continue
			}
			return err
		}
		pause = minPause
		s.start(connection)
	}
}

func (s *Server) stopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// start serves a connection on a goroutine of its own.
func (s *Server) start(connection net.Conn) {
	c := newConn(s, connection)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		_ = connection.Close() // nobody has been told anything
		return
	}
	if len(s.conns)-s.placed >= silentPlaces {
		s.dropOldest(func(c *conn) bool { return !c.placed })
	}
	s.conns[c] = struct{}{}
	s.running.Add(1)
	// Connections that were opened together do not end together.
	c.mu.Lock()
	defer c.mu.Unlock()
	age := s.config.MaxAge + time.Duration(rand.Int64N(int64(s.config.MaxAge)/5+1)) //nolint:gosec // no secret
	c.aged = time.AfterFunc(age, func() {
		c.drain()
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.dead {
			c.aged = time.AfterFunc(s.config.Grace, c.kill)
		}
	})
	go c.serve()
}

// forget is called when nothing reads the connection any more.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	s.remove(c)
	s.mu.Unlock()
	s.running.Done()
}

// Drain stops accepting and asks all peers to go. Calls go on. It does not
// wait.
func (s *Server) Drain() {
	for _, c := range s.all() {
		c.drain()
	}
}

// Close ends all connections, and with them all calls. It does not wait.
func (s *Server) Close() {
	for _, c := range s.all() {
		go c.kill() // with TLS this writes
	}
}

// all returns the connections, of which there will be no more.
func (s *Server) all() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.draining {
		s.draining = true
		close(s.stopped)
	}
	for l := range s.listeners {
		_ = l.Close() // Serve returns
	}
	all := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		all = append(all, c)
	}
	return all
}

// Wait returns when all connections and calls have ended.
func (s *Server) Wait() { s.running.Wait() }

// wait takes n bytes of the budget, or gives up after half of the call's time.
func (s *Server) wait(c *Call, n int64) bool {
	patience := defaultPatience
	if deadline, ok := c.Deadline(); ok {
		patience = min(time.Until(deadline)/2, maxTime)
	}
	ctx, cancel := context.WithTimeout(c, patience)
	defer cancel()
	w := s.budget.enter(n, &c.conn.turns)
	if w == nil {
		return false
	}
	tick := time.NewTicker(scanStep)
	defer tick.Stop()
	for now := time.Now(); !c.conn.stalled(now); {
		s.evict(now, s.budget.wanted.Load()) // all who wait, since only one looks
		select {
		case <-w.ready:
			return true
		case now = <-tick.C:
			continue
		case <-ctx.Done():
		}
		break
	}
	return s.budget.leave(w)
}
