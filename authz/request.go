package authz

import (
	"bytes"
	"net/netip"
)

// View is bytes that belong to somebody else, mostly a receive buffer. It is
// valid until the call that it came with returns.
type View []byte

// Clone returns a copy that may be kept.
func (v View) Clone() View { return bytes.Clone(v) }

// Header is one header line. Name is in lower case.
type Header struct {
	Name, Value View
}

// Headers are the header lines in the order in which they came. A name may
// stand there twice.
type Headers []Header

// Lookup returns the value of the first header of that name, which must be in
// lower case, and how many there are.
func (h Headers) Lookup(name string) (value View, count int) {
	for i := range h {
		if string(h[i].Name) == name {
			if count == 0 {
				value = h[i].Value
			}
			count++
		}
	}
	return value, count
}

// BodyState says whether Body is what the sender sent and the upstream will get.
type BodyState uint8

// The states of a body. The zero value is not to be trusted.
const (
	BodyUnknown BodyState = iota
	// BodyWhole: every byte, unaltered.
	BodyWhole
	// BodyCut: only the beginning.
	BodyCut
	// BodyChanged: bytes may have been replaced on the way.
	BodyChanged
)

// Body is the request's body in the pieces in which it arrived.
type Body struct {
	Segments [][]byte
	State    BodyState
	// Size is what the sender says or Envoy has seen, at least the length of
	// the segments.
	Size int64
	// Text: it came as text, in which bytes that are no UTF-8 may have been replaced.
	Text bool
}

// Len returns the number of bytes in the segments.
func (b *Body) Len() int {
	n := 0
	for _, s := range b.Segments {
		n += len(s)
	}
	return n
}

// Transport is what is proven of the way from the sender to Envoy. What only the
// sender says is not in it.
type Transport struct {
	// TLS: the sender used it.
	TLS bool
	// Version is the TLS version as crypto/tls numbers it; 0 if it is not
	// known.
	Version uint16
	// Principal is the first name of the sender's certificate, as Envoy gives
	// it: a URI, else a DNS name, else the subject. Whether the certificate is
	// to be trusted is Envoy's word.
	Principal View
	// Certificate is the sender's certificate, PEM in URL encoding; empty if
	// Envoy does not tell.
	Certificate View
	// ForwardedCert is what a trusted proxy in front of Envoy says of the
	// sender's certificate, an x-forwarded-client-cert. The two above are then
	// empty: they would be the proxy's.
	ForwardedCert View
}

// Request is one HTTP request as Envoy forwards it. Nothing in it is
// normalised, and everything in it may alias a receive buffer.
type Request struct {
	// Method, Host and Path are as on the wire; Path has the query.
	Method, Host, Path View
	// Scheme is what Envoy says, and proves nothing.
	Scheme View
	// Transport is what is proven of the sender's connection.
	Transport Transport
	Headers   Headers
	Body      Body
	// Source is the sender's address as the settings define it, unmapped.
	// Invalid if there is none, for instance behind a Unix socket.
	Source netip.Addr
	// Webhook, where Envoy's configuration names one, selects the webhook.
	Webhook View
	// RequestID is x-request-id, for people who look for a request.
	RequestID View
	// CheckID tells this request from a second one with the same content.
	CheckID CheckID
	// Malformed says that the message could not be read as one HTTP request.
	Malformed bool
}

// Reset empties the request for the next use and keeps its memory.
func (r *Request) Reset() {
	clear(r.Headers)
	clear(r.Body.Segments)
	*r = Request{Headers: r.Headers[:0], Body: Body{Segments: r.Body.Segments[:0]}}
}

// PathOnly returns the path without the query.
func (r *Request) PathOnly() View {
	path, _, _ := bytes.Cut(r.Path, []byte{'?'})
	return path
}

// Joined returns the body in one piece, without a copy if it came in one. It
// aliases the request like the segments.
func (b *Body) Joined() View {
	if len(b.Segments) == 1 {
		return b.Segments[0]
	}
	return bytes.Join(b.Segments, nil)
}
