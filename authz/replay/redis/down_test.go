package redis_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/redis"
	"github.com/hookbastion/hookbastion/authz/replay/redis/redistest"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

// delay is a proxy in front of a server that can keep what the server says.
type delay struct {
	listener net.Listener

	mu     sync.Mutex
	server *redistest.Server
	open   chan struct{} // closed: answers pass
	conns  []net.Conn
}

func startDelay(t *testing.T, server *redistest.Server) *delay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &delay{listener: l, server: server, open: make(chan struct{})}
	close(d.open)
	go d.serve()
	t.Cleanup(func() {
		_ = l.Close()
		d.cut()
	})
	return d
}

func (d *delay) serve() {
	for {
		client, err := d.listener.Accept()
		if err != nil {
			return
		}
		d.mu.Lock()
		network, address := "tcp", d.server.Address
		if d.server.Unix {
			network = "unix"
		}
		d.mu.Unlock()
		server, err := net.Dial(network, address)
		if err != nil {
			_ = client.Close()
			continue
		}
		d.mu.Lock()
		d.conns = append(d.conns, client, server)
		d.mu.Unlock()
		go func() { _, _ = io.Copy(server, client); _ = server.Close() }()
		go func() {
			defer client.Close()
			buffer := make([]byte, 64<<10)
			for {
				n, err := server.Read(buffer)
				d.mu.Lock()
				open := d.open
				d.mu.Unlock()
				<-open
				if n > 0 {
					if _, err := client.Write(buffer[:n]); err != nil {
						return
					}
				}
				if err != nil {
					return
				}
			}
		}()
	}
}

// hold keeps answers; pass lets them through.
func (d *delay) hold() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.open = make(chan struct{})
}

func (d *delay) pass() {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.open)
}

// lead has new connections lead to another server.
func (d *delay) lead(server *redistest.Server) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.server = server
}

// cut breaks all connections.
func (d *delay) cut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.conns {
		_ = c.Close()
	}
	d.conns = nil
}

// short is a budget that is over soon, for calls that are not answered.
const short = 20 * time.Millisecond

func throughDelay(t *testing.T, budget time.Duration) (*redis.Store, *delay, *redistest.Server) {
	t.Helper()
	server := redistest.Start(t, redistest.Options{})
	d := startDelay(t, server)
	c := config(server)
	c.Addresses, c.Unix, c.Budget = []string{d.listener.Addr().String()}, false, budget
	return open(t, c), d, server
}

// A reservation that Redis has made and whose answer did not come in time is
// given back: neither is the honest retry lost, nor does a copy pass.
func TestAnswerTooLate(t *testing.T) {
	s, d, server := throughDelay(t, 200*time.Millisecond)
	other := open(t, config(server))
	for name, unknown := range map[string]replay.Fate{"taken": replay.Taken, "unsure": replay.Unsure} {
		t.Run(name, func(t *testing.T) {
			n := replaytest.Signed(uint64(len(name)), start)
			d.hold()
			before := time.Now()
			answer, err := s.Reserve(context.Background(), n, replaytest.Claim(1, 1, unknown), start)
			if err == nil || answer.Outcome != replay.Failed {
				t.Fatalf("%+v, %v", answer, err)
			}
			if took := time.Since(before); took > 5*time.Second {
				t.Errorf("it took %s with a budget of 200 ms", took)
			}
			// The reservation is there, and holds against copies.
			want(t, other, n, 2, start, replay.Pending)
			d.pass()
			probe(t, s, start)
			want(t, other, n, 3, start, replay.Reserved)
			// Whoever is late cannot undo what another has reserved.
			probe(t, s, start)
			want(t, s, n, 4, start, replay.Pending)
		})
	}
	if got := s.Remote().Abandoned; got != 2 {
		t.Errorf("%d abandoned", got)
	}
}

// A settlement that fails is made up for while the lease lasts.
func TestSettlementTooLate(t *testing.T) {
	s, d, _ := throughDelay(t, 200*time.Millisecond)
	n, lost := replaytest.Signed(1, start), replaytest.Signed(2, start)
	a := want(t, s, n, 1, start, replay.Reserved)
	d.hold()
	if ok, err := s.Settle(context.Background(), a.Reservation, replay.Undelivered, start); ok || err == nil {
		t.Fatal(ok, err)
	}
	d.pass()
	probe(t, s, start.Add(time.Second))
	b := want(t, s, n, 2, start, replay.Reserved)
	if ok, err := s.Settle(context.Background(), b.Reservation, replay.Delivered, start); !ok || err != nil {
		t.Fatal(ok, err)
	}
	c := want(t, s, lost, 3, start, replay.Reserved)
	d.hold()
	for n := uint64(10); s.Err() == nil; n++ {
		_, _ = s.Reserve(context.Background(), replaytest.Signed(n, start), replay.Claim{}, start) // it fails
	}
	if _, err := s.Settle(context.Background(), c.Reservation, replay.Undelivered, start); !errors.Is(err, redis.ErrDown) {
		t.Error(err)
	}
	d.pass()
	probe(t, s, start.Add(replaytest.Ended)) // too late
	if a := want(t, s, lost, 4, start.Add(replaytest.Ended), replay.Reserved); a.Mark == 0 {
		t.Error("no mark after a settlement that nobody has")
	}
}

// A replica that stops while Redis is away hands on what it was told of
// deliveries, if Redis is back soon: no other replica has been told.
func TestSettlementAtTheEnd(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	a, b := open(t, config(server)), open(t, config(server))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); a.Run(ctx) }()
	nonce := replaytest.Signed(1, time.Now())
	r := want(t, a, nonce, 1, time.Now(), replay.Reserved).Reservation
	server.Stop()
	for n := uint64(10); a.Err() == nil; n++ {
		_, _ = a.Reserve(context.Background(), replaytest.Signed(n, start), replay.Claim{}, start) // it fails
	}
	if _, err := a.Settle(context.Background(), r, replay.Delivered, time.Now()); !errors.Is(err, redis.ErrDown) {
		t.Fatal(err) // a call that was made may arrive late
	}
	cancel()
	server.Continue()
	<-ended
	probe(t, b, time.Now())
	want(t, b, nonce, 2, time.Now(), replay.Copy)
}

// While nothing answers, calls are refused at once, and few are on their way.
func TestCircuit(t *testing.T) {
	s, d, _ := throughDelay(t, short)
	d.hold()
	failed := 0
	for n := range uint64(100) {
		_, err := s.Reserve(context.Background(), replaytest.Signed(n, start), replay.Claim{}, start)
		switch {
		case err == nil:
			t.Fatal("an answer out of nothing")
		case !errors.Is(err, redis.ErrDown):
			failed++
		}
	}
	if failed > 5 {
		t.Errorf("%d of 100 calls waited", failed)
	}
	if r := s.Remote(); r.Up || r.Opened == 0 || r.Refused < 90 {
		t.Errorf("%+v", r)
	}
	if err := s.Probe(context.Background(), start); err == nil {
		t.Error("a probe that nobody has answered closed the circuit")
	}
	d.pass()
	probe(t, s, start)
	want(t, s, replaytest.Signed(1000, start), 1, start, replay.Reserved)
	if r := s.Remote(); !r.Up {
		t.Errorf("%+v", r)
	}
}

// A flood does not pile up: what is too much is refused at once.
func TestTooManyAtOnce(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	d := startDelay(t, server)
	c := config(server)
	c.Addresses, c.Unix, c.Budget, c.InFlight = []string{d.listener.Addr().String()}, false, patient, 4
	s := open(t, c)
	d.hold()
	errs := make(chan error, 20)
	for n := range uint64(20) {
		go func() {
			_, err := s.Reserve(context.Background(), replaytest.Signed(n, start), replay.Claim{}, start)
			errs <- err
		}()
	}
	for range 16 {
		if err := <-errs; !errors.Is(err, redis.ErrBusy) {
			t.Fatal(err)
		}
	}
	d.pass()
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if got := s.Remote().Busy; got != 16 {
		t.Errorf("%d were counted as too many", got)
	}
}

// The caller's time counts, too, and its end says nothing of Redis.
func TestCallerGoes(t *testing.T) {
	s, d, server := throughDelay(t, patient)
	d.hold()
	for n := range uint64(5) {
		ctx, cancel := context.WithTimeout(context.Background(), short)
		if _, err := s.Reserve(ctx, replaytest.Signed(n, start), replaytest.Claim(n+1, n+1, replay.Taken), start); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		cancel()
	}
	if err := s.Err(); err != nil {
		t.Errorf("the circuit is open: %v", err)
	}
	d.pass()
	probe(t, s, start)
	for n := range uint64(5) {
		want(t, open(t, config(server)), replaytest.Signed(n, start), 10+n, start, replay.Reserved)
	}
}

// Connections that break are made again.
func TestConnectionsBreak(t *testing.T) {
	s, d, _ := throughDelay(t, patient)
	for n := range uint64(10) {
		want(t, s, replaytest.Signed(n, start), n+1, start, replay.Reserved)
		d.cut()
		probe(t, s, start)
		want(t, s, replaytest.Signed(n, start), n+100, start, replay.Pending)
	}
}

// A server that is not there at the start is waited for, and nobody else is.
func TestAwayAtTheStart(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	server.Kill()
	var mu sync.Mutex
	var events []redis.Happening
	c := config(server)
	up := make(chan struct{})
	c.SetupUntil = time.Now().Add(time.Hour)
	c.OnEvent = func(e redis.Event) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, e.What)
		if e.What == redis.CameUp {
			close(up)
		}
	}
	s := redis.New(c)
	defer s.Close()
	ctx, cancel := context.WithCancel(context.Background())
	var run sync.WaitGroup
	defer run.Wait()
	defer cancel()
	run.Go(func() { s.Run(ctx) })
	now := time.Now()
	if _, err := s.Reserve(context.Background(), replaytest.Signed(1, now), replay.Claim{}, now); !errors.Is(err, redis.ErrDown) {
		t.Errorf("while it is away: %v", err)
	}
	server.Restart()
	select {
	case <-up:
	case <-time.After(20 * time.Second):
		t.Fatal("it did not come up")
	}
	want(t, s, replaytest.Signed(1, now), 1, now, replay.Reserved)
	mu.Lock()
	defer mu.Unlock()
	if last := events[len(events)-1]; last != redis.CameUp {
		t.Errorf("%v", events)
	}
}

// A server that stands still is as good as dead, until it goes on; what it does
// then with calls of before changes nothing.
func TestServerStandsStill(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	c := config(server)
	c.Budget = 100 * time.Millisecond
	s := open(t, c)
	want(t, s, replaytest.Signed(1, start), 1, start, replay.Reserved)
	server.Stop()
	for n := range uint64(20) {
		if _, err := s.Reserve(context.Background(), replaytest.Signed(100+n, start), replaytest.Claim(n+2, n+2, replay.Taken), start); err == nil {
			t.Error("an answer out of nothing")
		}
	}
	if err := s.Probe(context.Background(), start); err == nil {
		t.Error("a probe that nobody has answered closed the circuit")
	}
	server.Continue()
	for deadline := time.Now().Add(20 * time.Second); s.Probe(context.Background(), start) != nil; {
		if time.Now().After(deadline) {
			t.Fatal(s.Err())
		}
	}
	want(t, s, replaytest.Signed(1, start), 50, start, replay.Pending)
	probe(t, s, start) // and what was done late is given back
	for n := range uint64(20) {
		want(t, s, replaytest.Signed(100+n, start), 60+n, start, replay.Reserved)
	}
}
