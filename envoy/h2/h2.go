// Package h2 serves gRPC calls of a few known methods over HTTP/2 (RFC 9113),
// for a peer like Envoy: few connections, many small calls.
//
// One goroutine reads a connection. It takes frames with the framer of
// golang.org/x/net, puts the message of a call together, and serves a small call
// itself, between two frames: nothing is handed over and nobody is woken. What it
// answers is gathered and written in one go before it waits for the peer. A
// large message is served by a goroutine of its own. A call that has to wait asks
// its context for Done, and that is the sign on which another goroutine goes on
// reading, so that nobody has to wait with it.
//
// Memory is bounded. What a call may send unasked is its window, and calls are
// counted; for a larger message there must be room in a byte budget before its
// window grows. Large messages are not copied: they hold blocks of what was read
// until they have been served, a quarter of the budget at most, and are copied
// beyond that, or where they come in small pieces. Other calls than unary ones are
// counted apart, and their headers for each connection. What a peer makes us say
// and does not read ends its connection, and a unary call of which the message
// does not come in a minute, or in its own time, is reset: whoever begins and does
// not go on keeps nothing.
//
// A connection is asked to go with two farewells, so that no call is lost. Calls
// that last are ended by us then, as soon as the peer has nothing under way, and
// what crosses with that is received.
//
// A call is served when its message is whole, and each is answered by its
// method, also one that is refused unread: too large, malformed, or without
// room. There is no compression, and nothing is negotiated.
//
// It does not protect against peers that take all connections: they are
// counted, and others wait. TLS is done before a connection comes here. A peer may
// make a connection busy by sending frames that mean nothing; it has the
// processor time of one goroutine for that.
package h2
