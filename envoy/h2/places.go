package h2

import (
	"time"
)

const (
	// silence is how long a connection may ask nothing before another may take its
	// place.
	silence = time.Second
	// silentPlaces is how many connections may be there that have said nothing.
	silentPlaces = 256
)

// place gives a connection a place whose peer has said its settings, or closes it.
func (s *Server) place(c *conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.conns[c]; !there {
		return false // it had to go before
	}
	now := time.Now()
	if s.placed >= s.config.Connections && !s.dropOldest(func(c *conn) bool {
		return c.placed && !c.asked.Load() && now.Sub(c.born) >= silence
	}) {
		delete(s.conns, c)
		s.refuse(c, false)
		return false
	}
	c.placed = true
	s.placed++
	return true
}

// dropOldest closes the oldest connection of which that is true, with mu held, and
// reports whether there is one.
func (s *Server) dropOldest(may func(*conn) bool) bool {
	var oldest *conn
	for c := range s.conns {
		if may(c) && (oldest == nil || c.born.Before(oldest.born)) {
			oldest = c
		}
	}
	if oldest == nil {
		return false
	}
	s.remove(oldest)
	s.refuse(oldest, !oldest.placed)
	return true
}

// remove takes a connection off the list, with mu held.
func (s *Server) remove(c *conn) {
	if _, there := s.conns[c]; there && c.placed {
		s.placed--
	}
	delete(s.conns, c)
}

// refuse closes a connection that there is no place for, with mu held.
func (s *Server) refuse(c *conn, silent bool) {
	// With TLS this writes.
	s.running.Go(c.kill)
	if s.config.Refused != nil {
		s.config.Refused(c.net.RemoteAddr(), silent)
	}
}

// greed is how many times as many places as are left free one connection may have. One
// alone gets 16 of 17, and whoever comes always finds some: the more are greedy, the less
// has each.
const greed = 16

// enter counts one unary call more, and reports whether it is not one too many, of all or
// of its connection, or takes the place of another.
func (c *conn) enter(now time.Time) bool {
	s := c.server
	all, own := s.inFlight.Add(1), c.inFlight.Add(1)
	free := s.config.InFlight - all + 1
	return free > 0 && own <= greed*free || s.evict(now, 0)
}

// exit counts it no more.
func (c *conn) exit() {
	c.server.inFlight.Add(-1)
	c.inFlight.Add(-1)
}

// fewStreams is how many calls that are not unary a connection may have however few there are.
const fewStreams = 4

// beginStream counts one call more that is not unary, as enter does. Those may last as long as
// their connection, so that one connection may have its share of all, and more only while it
// leaves three times as many free.
func (c *conn) beginStream() bool {
	all := c.server.streams.Add(1)
	c.streams.Add(1)
	return c.mayShare(c.server.config.Others, all)
}

// endStream counts it no more.
func (c *conn) endStream() {
	c.server.streams.Add(-1)
	c.streams.Add(-1)
}

func (c *conn) mayShare(limit, all int64) bool {
	share := limit / max(int64(c.server.config.Connections), 1)
	return all <= limit && c.streams.Load() <= max(share, (limit-all)/4, fewStreams)
}

// MayShare reports whether there is room for this call, which is not unary, where so many
// such calls may do something at once, and all do it with this one. Its connection leaves
// some for others, as it does of all such calls.
func (c *Call) MayShare(limit, all int64) bool { return c.conn.mayShare(limit, all) }
