package main

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// forged begins the ids of requests that must never reach the application.
const forged = "forged-"

// requests are those of the traffic that have reached the application, by their ids, until
// their senders ask.
type requests struct {
	mu     sync.Mutex
	seen   map[string]seen
	swept  time.Time
	forged []string // that came all the same
}

type seen struct {
	at     time.Time
	header http.Header
}

const unasked = 20 * time.Second // a sender that has not asked by then never will

func (q *requests) came(id string, h http.Header) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	if q.seen == nil {
		q.seen = map[string]seen{}
	}
	q.seen[id] = seen{now, h}
	if strings.HasPrefix(id, forged) && len(q.forged) < 20 {
		q.forged = append(q.forged, fmt.Sprintf("%s at %s", id, now.Format("05.000")))
	}
	if now.Sub(q.swept) < unasked {
		return
	}
	q.swept = now
	for id, s := range q.seen {
		if now.Sub(s.at) > unasked {
			delete(q.seen, id)
		}
	}
}

// claim returns the header of a request that came; nil if none did.
func (a *application) claim(id string) http.Header {
	a.requests.mu.Lock()
	defer a.requests.mu.Unlock()
	s, ok := a.requests.seen[id]
	if !ok {
		return nil
	}
	delete(a.requests.seen, id)
	return s.header
}

// What the application is told to do.
const (
	take   = "take"   // 200
	refuse = "refuse" // 500
	busy   = "busy"   // 429
	reject = "reject" // 404
	die    = "die"    // it hangs up before it answers
	cut    = "break"  // it hangs up in the middle of 200
	late   = "late"   // it takes longer than Envoy waits
	slow   = "slow"   // it takes a moment
)

func (a *application) obey(w http.ResponseWriter, act string) {
	switch act {
	case refuse:
		w.WriteHeader(http.StatusInternalServerError)
	case busy:
		w.WriteHeader(http.StatusTooManyRequests)
	case reject:
		w.WriteHeader(http.StatusNotFound)
	case die:
		hangUp(w, "")
	case cut:
		hangUp(w, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
	case late:
		time.Sleep(routeTimeout + 300*time.Millisecond)
		hangUp(w, "")
	case slow:
		time.Sleep(150 * time.Millisecond)
	}
}

// away lets nobody connect to the application for a while.
func (a *application) away(d time.Duration) error {
	if err := a.listener.Close(); err != nil {
		return err
	}
	time.Sleep(d)
	l, err := net.Listen("tcp", a.address)
	if err != nil {
		return err
	}
	a.listener = l
	go func() { _ = a.server.Serve(l) }() // ends with stop
	return nil
}
