package h2

import "sync/atomic"

// Bound is a bound that a peer has met.
type Bound uint8

// The bounds. Of the first four, a unary call was served as Overloaded.
const (
	// Places: there were InFlight calls, or its connection had too many of them.
	Places Bound = iota
	// Room: there was none for its message in the time that it could wait.
	Room
	// Slow: its message did not come in its time, or others needed the room.
	Slow
	// Late: it had waited to be read, on a connection that asks for more than can be
	// served.
	Late
	// Streams: a call that is not unary was refused, since there were as many as Others.
	Streams
	// Calls: a call was reset, since its connection had as many as it was told.
	Calls
	// Unread: a connection was ended, whose peer did not read what it made us say.
	Unread
	// Protocol: a connection was ended, whose peer broke HTTP/2 or did not begin with it
	// in 20 seconds.
	Protocol
	// Silent: a connection was ended, whose peer did not say that it is there.
	Silent
	// Headers: those of a call were not kept, since its connection had 2 MiB of them. Its
	// span has no parent then.
	Headers
	// StreamMessage: a message of a call that is not unary was thrown away: too large, or
	// without room.
	StreamMessage
	// NoMethod: a call was refused, since nobody serves its method.
	NoMethod
	// Accept: a connection could not be taken: the system had no descriptor or memory
	// for it. It is tried again.
	Accept
	bounds
)

var boundNames = [bounds]string{"in_flight", "bytes_in_flight", "slow", "late", "streams", "calls", "unread", "protocol", "silent", "headers", "stream_message", "method", "accept"}

// String is the bound's name.
func (b Bound) String() string { return boundNames[min(b, bounds-1)] }

type met [bounds]atomic.Int64

// Met returns how often each bound was met, by its name.
func (s *Server) Met() map[string]int64 {
	all := make(map[string]int64, bounds)
	for b := range bounds {
		all[b.String()] = s.met[b].Load()
	}
	return all
}
