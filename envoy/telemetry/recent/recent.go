// Package recent keeps the last decisions in memory, for operators who look.
//
// A decision is kept as one run of bytes in a chunk of 64 KiB, without pointers that a
// garbage collector would follow. Chunks are made as they are needed, up to the bound;
// then the oldest is used again. So memory has a bound in bytes, whatever strangers
// send, and an append costs one copy. 64 MiB hold 200,000 decisions of ordinary size,
// some 300 bytes each.
//
// Strangers cause denials at will. So allowed and denied decisions have chunks of
// their own, and each of the two is sure of half of them: a flood of denials cannot
// push out what was allowed.
//
// Whoever reads holds up nobody for longer than it takes to look through one chunk:
// readers copy what they want from it and decode it later. Whoever follows asks for
// what came after a number, and finds less if it was too slow; nothing waits for it.
//
// A restart forgets everything, and each replica has its own. What must be kept is in
// the decision records.
package recent

import (
	"net/netip"
	"sync"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

// chunkSize is in bytes. A decision is never larger: MaxText bounds its texts.
const chunkSize = 64 << 10

// MaxText is how many bytes of a text are kept.
const MaxText = 512

// Entry is one decision as it comes in. Nothing of it is kept but copies.
type Entry struct {
	Time     time.Time
	Duration time.Duration
	ID       string
	Trace    [16]byte // zero: none
	// Webhook is empty if none matched.
	Webhook, Provider string
	Shadow            bool
	Verdict           authz.Verdict
	Reason            authz.Reason
	Status            int
	KeyID             string
	Mark              authz.Mark
	Unverified        string
	Source            netip.Addr // invalid: none
	Tenant, RequestID authz.View
	Method, Path      authz.View
	EventID           authz.View // empty: none
	EventSigned       bool
	BodyBytes         int
	// Skew is our time minus the signed time, if there is one.
	Signed    bool
	Skew      time.Duration
	Checks    []authz.Outcome
	Redeliver string
	Digest    string
	// Content stands for the signed content; zero: none.
	Content authz.Fingerprint
	// Handshake names the handshake that it was, Told is where a person must go.
	Handshake, Told string
}

// Ring keeps decisions. A nil ring keeps none. It is safe for concurrent use.
type Ring struct {
	replica string
	most    int // chunks

	mu    sync.Mutex
	last  uint64 // number of the last decision; the first is 1
	made  int    // chunks
	lanes [2]lane
	wake  chan struct{} // of those who wait for a decision; nil if nobody does
}

// lane has the decisions of one verdict, the oldest chunk first.
type lane struct {
	chunks []*chunk
	held   int // decisions
}

// chunk has decisions of one verdict in their order. Its lock is taken after the ring's.
type chunk struct {
	mu     sync.Mutex
	data   []byte
	held   int
	newest int64 // latest time in it, in microseconds
}

// New returns a ring that holds at most so many bytes of decisions, at least 256 KiB.
// Its replica is the one that the decisions name.
func New(bytes int, replica string) *Ring {
	return &Ring{most: max(bytes/chunkSize, 4), replica: replica}
}

// Append keeps a decision.
func (r *Ring) Append(e *Entry) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	l := &r.lanes[laneOf(e.Verdict)]
	c := r.room(l, sizeOf(e))
	c.mu.Lock()
	c.append(e, r.last)
	c.mu.Unlock()
	l.held++
	if r.wake != nil {
		close(r.wake)
		r.wake = nil
	}
}

func laneOf(v authz.Verdict) int {
	if v == authz.Allow {
		return 0
	}
	return 1
}

// room returns the lane's last chunk if it has room for a decision, or else an empty
// one: a new one, or the oldest of the lane that has more than its half.
func (r *Ring) room(l *lane, size int) *chunk {
	if n := len(l.chunks); n > 0 {
		if c := l.chunks[n-1]; len(c.data)+size <= chunkSize { // only we change it, under the ring's lock
			return c
		}
	}
	var c *chunk
	if r.made < r.most {
		r.made++
		c = &chunk{data: make([]byte, 0, chunkSize)}
	} else {
		from := l
		if other := &r.lanes[0]; len(other.chunks) > r.most/2 {
			from = other
		} else if other := &r.lanes[1]; len(other.chunks) > r.most/2 {
			from = other
		}
		c = from.chunks[0]
		from.chunks = append(from.chunks[:0], from.chunks[1:]...)
		c.mu.Lock()
		from.held -= c.held
		c.data, c.held, c.newest = c.data[:0], 0, 0
		c.mu.Unlock()
	}
	l.chunks = append(l.chunks, c)
	return c
}

// Last is the number of the newest decision; 0 before the first.
func (r *Ring) Last() uint64 {
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// Held is how many decisions there are, and how many bytes of memory they have.
func (r *Ring) Held() (decisions, bytes int) {
	if r == nil {
		return 0, 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lanes[0].held + r.lanes[1].held, r.made * chunkSize
}

// Changed returns a channel that is closed as soon as there is a decision after that of
// this number. A nil ring's is never closed.
func (r *Ring) Changed(after uint64) <-chan struct{} {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last > after {
		return alreadyClosed
	}
	if r.wake == nil {
		r.wake = make(chan struct{})
	}
	return r.wake
}

var alreadyClosed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()
