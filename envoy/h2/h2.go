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
// beyond that, or where they come in small chunks. Other calls than unary ones are
// counted apart, and their headers for each connection. What a peer makes us say
// and does not read ends its connection, and a unary call of which the message
// does not come in a minute, or in its own time, is refused: whoever begins and does
// not go on keeps nothing, and less time when others need the room.
//
// A connection that asks for more than can be served is pressed: when for a quarter of a
// second each call has waited for more than 100 ms, or a tenth of its time, while the reader
// served others, those that have waited for more than 5 ms are refused, until for a second
// none has, or of all that come to pressed connections no more than one in four. To refuse costs a
// fraction of what it costs to serve, so that what is served then is fresh. Where large
// messages take the time, which others serve, the budget is what refuses.
//
// A connection is asked to go with two GOAWAY frames, so that no call is lost. Calls
// that last are ended by us then, as soon as the peer has nothing under way, and
// what crosses with that is received.
//
// A call is served when its message is whole, and each is answered by its
// method, also one that is refused unread: too large, malformed, or without
// room. There is no compression, and nothing is negotiated.
//
// Who says nothing takes no place of those that speak, and whoever has never asked anything
// gives way after a second. Of the places of calls one connection leaves some for others:
// it may have sixteen times as many as are free; of streams its share, or a quarter of those. It does not protect against peers that take
// all connections and ask: others are closed at once. TLS is done before a connection comes here. A peer may
// make a connection busy by sending frames that mean nothing; it has the
// processor time of one goroutine for that.
//
// # What strangers can cause
//
// Whoever sends a request to Envoy has some influence on the call that Envoy makes
// for it. An error of gRPC, a reset or a GOAWAY would leave the decision to
// failure_mode_allow, so that each of these ways ends in an answer, which is the
// method's and denies:
//
//	what the sender does                       what becomes of the call           test
//	headers that Envoy copies, up to 64 KiB     served; little of them is kept     TestStrangeHeaders, TestHeadersThatAreHeld
//	more, up to the 32 MiB of a header block    served as Unreadable               TestStrangeHeaders, TestBlocks
//	values with control characters              served as Unreadable               TestStrangeHeaders
//	a body beyond the limit                     served as TooLarge                 TestMessages
//	what Envoy compresses on the way            served as Unreadable               TestMessages, TestStrangeHeaders
//	many requests at once                       served as Overloaded               TestMoreCallsThanThereMayBe, TestCallsAreSharedAmongConnections
//	more than can be served                     served as Overloaded               TestMoreThanCanBeServed
//	many large bodies at once                   served as Overloaded               TestWaitingForRoom, TestBuffersStayInTheBudget
//	bodies that do not go on                    served as Overloaded, early        TestMessagesThatDoNotCome, TestHalfSentCallsEnd
//	a check that takes until its time is over   denied, if Envoy still waits       TestAnswersAfterTheirTime
//	a cancellation                              no answer; what was not sent       TestAnswersThatHaveLeft
//	                                            is given back
//	cancellations, over and over                the connection goes on             TestFloods
//	requests while a connection is to go        served, if they crossed with that  TestGoAways
//
// What remains is of the peer's own making, and no sender can make Envoy do it:
// names of headers, frames, windows and lengths that break HTTP/2, other methods, more
// calls than it knows that it may have. So is what Envoy decides by itself: its own
// timeout, its circuit breakers, and that it could not connect.
package h2
