package h2_test

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/envoy/envoytest"
	"github.com/hookbastion/hookbastion/envoy/h2"
)

// Paths of the methods that tests serve.
const (
	unaryPath = "/test/Unary" // says what came
	echoPath  = "/test/Echo"  // sends each message back
	waitPath  = "/test/Wait"  // waits until the test says so, or for its end
	holdPath  = "/test/Hold"  // until leave is closed, whatever the time
	toldPath  = "/test/Told"  // counts what has not left
	logPath   = "/test/Log"   // lasts, and says how many messages it got
)

// service is what the server of a test serves.
type service struct {
	*h2.Server
	pool    *envoytest.PoisonPool
	pipes   pipes
	entered chan *h2.Call // calls of waitPath
	leave   chan struct{}
	unsent  atomic.Int64 // answers of toldPath
	logged  atomic.Int64 // messages of calls of logPath
}

func testConfig() h2.Config {
	return h2.Config{
		MaxMessage: 1 << 20, Connections: 100, Streams: 100, InFlight: 100,
		Bytes: 64 << 20, Copies: 2, Overhead: 16 << 10, Window: 64 << 10,
		MaxAge: time.Hour, Grace: time.Hour, Idle: time.Hour, Answer: time.Hour,
	}
}

// serve serves until the end of the test, which must leave nothing behind.
func serve(t testing.TB, config h2.Config) *service {
	t.Helper()
	s := &service{
		pool: &envoytest.PoisonPool{}, pipes: pipes{make(chan net.Conn), make(chan struct{}), &sync.Once{}},
		entered: make(chan *h2.Call, 1000), leave: make(chan struct{}),
	}
	if config.Pool == nil {
		config.Pool = s.pool
	}
	config.Methods = map[string]*h2.Method{
		unaryPath: {Unary: true, Serve: say},
		echoPath:  {Serve: echo},
		toldPath:  {Unary: true, Serve: func(c *h2.Call) { c.AnswerOr([]byte("told"), func() { s.unsent.Add(1) }) }},
		logPath:   {Lasting: true, Serve: s.log},
		holdPath:  {Unary: true, Serve: func(c *h2.Call) { s.entered <- c; <-s.leave }},
		waitPath: {Unary: true, Serve: func(c *h2.Call) {
			select {
			case s.entered <- c:
			default: // nobody asks
			}
			select {
			case <-s.leave:
			case <-c.Done():
			}
			say(c)
		}},
	}
	s.Server = h2.New(config)
	served := make(chan error, 1)
	go func() { served <- s.Serve(s.pipes) }()
	t.Cleanup(func() {
		s.Close()
		s.Wait()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if held, calls := s.Held(); held != 0 || calls != 0 || s.Pinned() != 0 || s.Streaming() != 0 {
			t.Errorf("%d bytes and %d calls are still held, %d pinned, %d streams", held, calls, s.Pinned(), s.Streaming())
		}
		if now, _, fault := s.pool.Outstanding(); now != 0 || fault != "" {
			t.Errorf("%d bytes of buffers are still out; %s", now, fault)
		}
	})
	return s
}

// counted fails unless that bound was met so often, and no other one.
func (s *service) counted(t *testing.T, bound string, times int64) {
	t.Helper()
	for name, n := range s.Met() {
		if name == bound && n != times || name != bound && n != 0 {
			t.Errorf("%s was met %d times", name, n)
		}
	}
}

// say answers with what came.
func say(c *h2.Call) {
	message, refusal := c.Message()
	if refusal != h2.None {
		c.Deny([]byte(summary(nil, refusal)))
		return
	}
	c.Answer([]byte(summary(message, refusal)))
}

// summary says what came.
func summary(chunks [][]byte, refusal h2.Refusal) string {
	if refusal != h2.None {
		return []string{"", "overloaded", "too large", "malformed", "unreadable"}[refusal]
	}
	sum, n := crc32.NewIEEE(), 0
	for _, chunk := range chunks {
		sum.Write(chunk)
		n += len(chunk)
	}
	return fmt.Sprintf("%d %08x", n, sum.Sum32())
}

func (s *service) log(c *h2.Call) {
	for {
		_, err := c.Receive(1 << 20)
		switch {
		case err == nil:
			s.logged.Add(1)
		case errors.Is(err, h2.ErrLeaving):
			c.Part(nil)
		default:
			return
		}
	}
}

func echo(c *h2.Call) {
	for {
		message, err := c.Receive(1 << 20)
		switch {
		case errors.Is(err, h2.ErrTooLarge):
			c.Send([]byte("too large"))
		case errors.Is(err, io.EOF):
			c.End(h2.Status{})
			return
		case err != nil:
			c.End(h2.Status{Code: 13, Message: err.Error()})
			return
		default:
			c.Send(message)
		}
	}
}

// pipes is a listener of connections in memory.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   *sync.Once
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p pipes) dial(context.Context, string) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
