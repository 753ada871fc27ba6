package h2_test

import (
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/hookbastion/hookbastion/envoy/h2"
)

// placed runs a test of a server with so many places, which counts what it refuses.
// They are those that say nothing, or those that do.
func placed(t *testing.T, name string, places int, mute bool, test func(t *testing.T, s *service, refused *int)) {
	config, refused := testConfig(), 0
	config.Connections = places
	config.Refused = func(_ net.Addr, silent bool) {
		refused++
		if silent != mute {
			t.Errorf("refused for being silent: %t", silent)
		}
	}
	timed(t, name, config, func(t *testing.T, s *service) { test(t, s, &refused) })
}

// asks makes a call, which must be served.
func asks(t *testing.T, p *peer, id uint32) {
	t.Helper()
	whole, said := message(10)
	p.call(id, unaryPath, false)
	p.data(id, true, whole, 100)
	if got := p.answer(id); got != answered(said) {
		t.Error(got)
	}
}

// Connections beyond the limit are closed as soon as they say something, unless one has
// never asked: then that one is.
func TestConnectionsAreBounded(t *testing.T) {
	placed(t, "of which all are in use", 2, false, func(t *testing.T, s *service, refused *int) {
		first, second := s.dial(t), s.dial(t)
		asks(t, first, 1)
		asks(t, second, 1)
		time.Sleep(time.Minute)
		for i := range 3 {
			began := time.Now()
			third := s.mute(t)
			third.hear()
			_, _ = third.Write([]byte(http2.ClientPreface)) // it may be closed meanwhile
			_ = third.WriteSettings()
			third.ends()
			if took := time.Since(began); took > 0 {
				t.Errorf("a third one had to wait for %v", took)
			}
			if synctest.Wait(); *refused != i+1 {
				t.Errorf("%d were refused", *refused)
			}
		}
		asks(t, second, 3)
		first.Conn.Close()
		synctest.Wait()
		asks(t, s.dial(t), 1)
		asks(t, second, 5)
	})
	placed(t, "of which one never asks", 2, false, func(t *testing.T, s *service, refused *int) {
		used, idle := s.dial(t), s.dial(t)
		asks(t, used, 1)
		idle.awaits("SETTINGS true")
		early := s.mute(t)
		early.hear()
		_, _ = early.Write([]byte(http2.ClientPreface))
		_ = early.WriteSettings()
		early.ends() // the other has had no time to ask
		time.Sleep(2 * time.Second)
		asks(t, s.dial(t), 1)
		idle.ends()
		asks(t, used, 3)
		if synctest.Wait(); *refused != 2 {
			t.Errorf("%d were refused", *refused)
		}
	})
}

// A thousand connections that say nothing, or begin to, take no place, and more come all
// the time: whoever speaks is served at once.
func TestAThousandSilentConnections(t *testing.T) {
	placed(t, "", 2, true, func(t *testing.T, s *service, refused *int) {
		used := s.dial(t)
		asks(t, used, 1)
		began := time.Now()
		for i := range 1000 {
			silent := s.mute(t)
			silent.hear()
			if i%2 == 0 {
				silent.raw([]byte(http2.ClientPreface)) // and no settings
			}
			if i%100 == 0 {
				synctest.Wait()
				newcomer := s.dial(t)
				asks(t, newcomer, 1)
				newcomer.Conn.Close()
				synctest.Wait()
				asks(t, used, uint32(2*i+3))
			}
		}
		synctest.Wait()
		if took := time.Since(began); took > 0 {
			t.Errorf("somebody had to wait for %v", took)
		}
		if held, calls := s.Held(); held != 0 || calls != 0 {
			t.Errorf("they hold %d bytes and %d calls", held, calls)
		}
		if *refused < 700 || *refused > 1000-200 {
			t.Errorf("%d were refused", *refused)
		}
		asks(t, used, 3001)
	})
}

// Of the places of calls one connection leaves some for others.
func TestCallsAreSharedAmongConnections(t *testing.T) {
	const places = 100
	config := testConfig()
	config.InFlight, config.Streams = places, 2*places
	fill := func(p *peer, calls uint32) {
		whole, _ := message(10)
		for i := range calls {
			p.call(2*i+1001, waitPath, false)
			p.data(2*i+1001, true, whole, 100)
		}
		synctest.Wait()
	}
	// admitted counts those that wait, and lets the others go.
	admitted := func(s *service) (n int) {
		for {
			select {
			case call := <-s.entered:
				if _, refusal := call.Message(); refusal == h2.None {
					n++
				} else {
					call.End(h2.Status{})
				}
			default:
				synctest.Wait()
				return n
			}
		}
	}
	timed(t, "", config, func(t *testing.T, s *service) {
		a, b, c := s.dial(t), s.dial(t), s.dial(t)
		defer close(s.leave)
		fill(a, places)
		one := admitted(s)
		if one < places*9/10 || one >= places {
			t.Fatalf("one alone has %d of %d places", one, places)
		}
		asks(t, b, 1)
		asks(t, c, 1)
		fill(b, places) // it gets a part of what was left
		other := admitted(s)
		if other == 0 || one+other > places {
			t.Errorf("another has %d, and %d were left", other, places-one)
		}
	})
	// Whoever announces and does not send has no place when others need it.
	config.InFlight = 10
	timed(t, "slow ones", config, func(t *testing.T, s *service) {
		a, b := s.dial(t), s.dial(t)
		for i := range uint32(20) {
			a.call(2*i+1, unaryPath, false)
		}
		time.Sleep(time.Second)
		asks(t, b, 1)
	})
}

// Of streams one connection has its share, more while it leaves others enough, and gives all
// back with its end.
func TestStreamsAreSharedAmongConnections(t *testing.T) {
	const places, share = 100, 5
	config := testConfig()
	config.InFlight, config.Streams, config.Connections = places, 2*places, places/share
	timed(t, "", config, func(t *testing.T, s *service) {
		begun := func(p *peer) (n int) {
			for i := range uint32(places) {
				p.call(2*i+1, echoPath, false)
				p.data(2*i+1, false, []byte{0, 0, 0, 0, 0}, 100)
				synctest.Wait()
				if !strings.Contains(p.said(2*i+1), "too many streams") {
					n++
				}
			}
			return n
		}
		first := s.dial(t)
		all, one := 0, begun(first)
		if one != places/share {
			t.Fatalf("one alone has %d of %d", one, places)
		}
		for i := range config.Connections - 1 {
			n := begun(s.dial(t))
			if all += n; n == 0 && all+one < places {
				t.Errorf("nothing is left for connection %d of %d", i, config.Connections)
			}
		}
		if all+one != places {
			t.Errorf("%d of %d", all+one, places)
		}
		_ = first.Close()
		synctest.Wait()
		if again := begun(s.dial(t)); again != share {
			t.Errorf("%d, when one had ended that had %d", again, one)
		}
	})
}

// scarce is a listener on a system that at first has no descriptors left.
type scarce struct {
	net.Listener
	times int
}

func (s *scarce) Accept() (net.Conn, error) {
	if s.times > 0 {
		s.times--
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return s.Listener.Accept()
}

// Where the system has no descriptor for a connection, the server tries again, and counts that.
func TestWithoutDescriptors(t *testing.T) {
	timed(t, "", testConfig(), func(t *testing.T, s *service) {
		const times = 3
		l := pipes{make(chan net.Conn), make(chan struct{}), &sync.Once{}}
		served := make(chan error, 1)
		go func() { served <- s.Serve(&scarce{l, times}) }()
		conn, err := l.dial(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		p := newPeer(t, conn)
		p.hear()
		p.greet()
		asks(t, p, 1)
		s.counted(t, "accept", times)
		s.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}
