package main

import (
	"fmt"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// outcome is what the application did with a request.
type outcome uint8

const (
	running outcome = iota
	taken           // answered 200, whole
	refused         // answered 500: it did nothing
	lost            // it may have done all, and nobody heard of it
	half            // the same, but it had begun to answer 200
)

func (o outcome) String() string {
	return [...]string{"running", "taken", "refused", "lost", "half"}[o]
}

// arrival is one request that reached the application.
type arrival struct {
	began, ended time.Time
	outcome      outcome
	mark         string // x-hookbastion-replay
}

// application is what stands behind Envoy.
type application struct {
	address string
	server  *http.Server
	seed    int64

	listener net.Listener

	mu       sync.Mutex
	arrivals map[string][]*arrival // by content

	requests requests
}

func startApplication(seed int64) (*application, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host(), "0"))
	if err != nil {
		return nil, err
	}
	a := &application{address: l.Addr().String(), seed: seed, listener: l, arrivals: map[string][]*arrival{}}
	a.server = &http.Server{Handler: a, ReadHeaderTimeout: time.Minute}
	go func() { _ = a.server.Serve(l) }() // ends with stop
	return a, nil
}

func (a *application) stop() { _ = a.server.Close() } // requests in flight are of no interest any more

// key is the signed content of a request, as the application sees it.
func key(path, body, signature string) string {
	if path == "/timed" {
		return path + " " + body + " " + signature
	}
	return path + " " + body
}

func (a *application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // Envoy went away in the middle
	}
	if id := r.Header.Get("X-Chaos-Request"); id != "" {
		a.requests.came(id, r.Header)
		a.obey(w, r.Header.Get("X-Chaos-Act"))
		return
	}
	k := key(r.URL.Path, string(body), r.Header.Get("Stripe-Signature"))
	now := &arrival{began: time.Now(), mark: r.Header.Get("X-Hookbastion-Replay")}
	a.mu.Lock()
	nth := len(a.arrivals[k])
	a.arrivals[k] = append(a.arrivals[k], now)
	a.mu.Unlock()
	a.act(w, now, a.dice(k), nth)
}

// dice is 0 to 99, the same for each content.
func (a *application) dice(k string) int {
	h := fnv.New32a()
	_, _ = fmt.Fprintf(h, "%d %s", a.seed, k) // never fails
	return int(h.Sum32() % 100)
}

func (a *application) act(w http.ResponseWriter, now *arrival, dice, nth int) {
	done := func(o outcome) {
		a.mu.Lock()
		defer a.mu.Unlock()
		now.ended, now.outcome = time.Now(), o
	}
	switch {
	case dice < 10 && nth == 0:
		done(refused)
		w.WriteHeader(http.StatusInternalServerError)
	case dice < 13 && nth == 0: // it dies before it answers
		done(lost)
		hangUp(w, "")
	case dice < 16 && nth == 0: // it dies in the middle of its answer
		done(half)
		hangUp(w, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
	case dice < 18 && nth == 0: // it takes longer than Envoy waits
		time.Sleep(routeTimeout + 300*time.Millisecond)
		done(lost)
		hangUp(w, "") // a paused Envoy would take an answer even now
	case dice < 35:
		time.Sleep(time.Duration(dice) * slowest / 35)
		done(taken)
	default:
		done(taken)
	}
}

func hangUp(w http.ResponseWriter, first string) {
	hijacker, ok := w.(http.Hijacker)
	if !ok {
		return
	}
	conn, _, err := hijacker.Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(conn, first) // Envoy may be gone
	if first != "" {
		time.Sleep(5 * time.Millisecond) // or the reset overtakes what was written
	}
	_ = conn.Close() // that is the point
}
