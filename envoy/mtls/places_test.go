package mtls

import (
	"net"
	"testing"
	"time"
)

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

type from struct {
	net.Conn
	address address
}

func (f from) RemoteAddr() net.Addr { return f.address }

// Whoever is silent loses its place first, and else the address that has the most.
func TestPlaces(t *testing.T) {
	start := time.Unix(1700000000, 0)
	come := func(host string, after time.Duration, spoke bool) *client {
		c := &client{Conn: from{address: address(host + ":1234")}, began: start.Add(after)}
		c.spoke.Store(spoke)
		return c
	}
	for name, c := range map[string]struct {
		first        func(i int) *client // of all that there is place for
		second, last *client             // come before and after them
		want         int                 // which one goes; 0 is second
	}{
		"the oldest of the silent": {
			func(int) *client { return come("a", 0, false) }, come("b", 0, true), come("c", time.Second, false), 1,
		},
		"one that is silent, of many that speak": {
			func(i int) *client { return come("a", 0, i != 50) }, come("b", 0, true), come("c", time.Second, false), 50,
		},
		"none that had no time to speak": {
			func(i int) *client { return come("a", 0, i != 50) }, come("b", 0, true), come("c", 50*time.Millisecond, false), 1,
		},
		"the address that has the most": {
			func(i int) *client { return come([]string{"a", "b", "b"}[i%3], 0, true) }, come("c", 0, true), come("d", time.Second, false), 1,
		},
		"the oldest of all": {
			func(i int) *client { return come("a", 0, true) }, come("a", 0, true), come("a", time.Second, false), 0,
		},
	} {
		var p places
		all := []*client{c.second}
		p.take(c.second)
		for i := 1; i < handshakes; i++ {
			all = append(all, c.first(i))
			if p.take(all[i]) != nil {
				t.Fatalf("%s: there is no place for %d", name, i)
			}
		}
		if got := p.take(c.last); got != all[c.want] {
			t.Errorf("%s: another one has lost its place", name)
		}
		if p.leave(all[c.want]) || !p.leave(c.last) || len(p.clients) != handshakes-1 {
			t.Errorf("%s: %d places", name, len(p.clients))
		}
	}
}
