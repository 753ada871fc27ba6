package mtls

import (
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// errNoPlace is why a client is refused whose place another one has taken.
var errNoPlace = errors.New("too many handshakes at once, and another client has taken its place")

// silence is how long a client may say nothing before it is the first one to
// lose its place.
const silence = 100 * time.Millisecond

// client is a connection whose handshake is not done.
type client struct {
	net.Conn
	began time.Time
	spoke atomic.Bool
}

// Read notes that the client has said something.
func (c *client) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 && !c.spoke.Load() {
		c.spoke.Store(true)
	}
	return n, err
}

// from is where it comes from, without the port.
func (c *client) from() string {
	host, _, err := net.SplitHostPort(c.RemoteAddr().String())
	if err != nil {
		return ""
	}
	return host
}

// places are the clients whose handshakes are not done, in the order in which they
// came. There is always a place for one more: whoever waits for a slow client
// would keep all others out. The zero value has none. It is safe for concurrent
// use.
type places struct {
	mu      sync.Mutex
	clients []*client
}

// take gives a client a place, and returns the one that has lost its own; nil if
// there was a free one.
func (p *places) take(c *client) (other *client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.clients) >= handshakes {
		i := p.worst(c.began)
		other = p.clients[i]
		p.clients = slices.Delete(p.clients, i, i+1)
	}
	p.clients = append(p.clients, c)
	return other
}

// worst returns which client is to go: the oldest of those that are silent, or
// else of those whose address has the most places.
func (p *places) worst(now time.Time) int {
	from := map[string]int{}
	for i, c := range p.clients {
		if !c.spoke.Load() && now.Sub(c.began) >= silence {
			return i
		}
		from[c.from()]++
	}
	worst, most := 0, 0
	for i, c := range p.clients {
		if n := from[c.from()]; n > most {
			worst, most = i, n
		}
	}
	return worst
}

// leave gives a place back, and reports whether it was not lost before.
func (p *places) leave(c *client) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.clients, c)
	if i >= 0 {
		p.clients = slices.Delete(p.clients, i, i+1)
	}
	return i >= 0
}
