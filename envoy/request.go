package envoy

import (
	"bytes"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/source"
	"github.com/hookbastion/hookbastion/envoy/wire"
)

// StringBody says what to do with a body that Envoy sent as text. Envoy then
// replaces every byte that is not UTF-8 with "!", while the upstream gets the
// original.
type StringBody uint8

// The ways to treat a text body. The zero value takes it if no byte can have
// been replaced.
const (
	StringBodyExact StringBody = iota
	StringBodyRefuse
	StringBodyTrust
)

// WebhookExtension is the context extension that selects a webhook.
const WebhookExtension = "hookbastion.webhook"

// partialBody is Envoy's mark on a forwarded body. A sender's own is never
// visible here.
const partialBody = "x-envoy-auth-partial-body"

// The metadata of the call in which Envoy says that the whole request has come
// when it asks, and the value that Envoy fills in: how long that took, in
// milliseconds, or nothing while more may follow. Both stand in initial_metadata
// of the filter's grpc_service. Headers of the request are not copied there.
const (
	RequestDuration      = "x-hookbastion-request-duration"
	RequestDurationValue = "%REQUEST_DURATION%"
)

// Mapping says how a CheckRequest becomes a request.
type Mapping struct {
	// MaxRequestBytes is Envoy's with_request_body.max_request_bytes.
	MaxRequestBytes int64
	StringBody      StringBody
	// Decompressed says that a decompressor runs before the filter. Envoy then
	// counts the bytes that came, and not those of the body.
	Decompressed bool
	Source       source.Resolver
	Edge         Edge
}

// mapped is a request and the message that its views point to.
type mapped struct {
	authz.Request
	check wire.Check
}

func (m *mapped) reset() {
	m.Request = authz.Request{}
	m.check.Reset()
}

// read fills m from a message of the call that came in chunks. Nothing is normalised except
// that header names are in lower case, which Envoy's are already. The request
// is valid as long as the chunks are. It is malformed, and otherwise empty, if
// they are no CheckRequest.
func (p *Mapping) read(call Caller, chunks [][]byte, m *mapped) error {
	m.Request = authz.Request{}
	c := &m.check
	if err := c.Read(chunks); err != nil {
		c.Reset()
		m.Malformed = true
		return err
	}
	if !c.HTTP {
		m.Malformed = true
		return nil
	}
	m.Method, m.Host, m.Path, m.Scheme = c.Method, c.Host, c.Path, c.Scheme
	m.Webhook = c.Extension(WebhookExtension)
	m.Headers = c.Headers
	for i := range m.Headers {
		m.Headers[i].Name = lower(m.Headers[i].Name)
	}
	if len(m.Method) == 0 || len(m.Path) == 0 || m.Path[0] != '/' || !removable(m.Headers) {
		m.Malformed = true
	}
	p.readBody(call, m)
	m.RequestID, _ = m.Headers.Lookup("x-request-id")
	m.CheckID = checkID(c)
	peer := source.ParseAddr(c.Source) // a pipe has no address
	m.Source = p.Source.Resolve(peer, m.Headers)
	p.readTransport(&m.Request, peer, peerFacts{serverName: c.ServerName, principal: c.Principal, certificate: c.Certificate})
	return nil
}

// lower returns the name in lower case, which it mostly is.
func lower(name authz.View) authz.View {
	for _, c := range name {
		if 'A' <= c && c <= 'Z' || c >= utf8.RuneSelf {
			return bytes.ToLower(name)
		}
	}
	return name
}

// readBody decides whether the body is what the upstream will get. Envoy's own
// settings are no guarantee: over HTTP/2 it forwards cut bodies even where
// partial messages are forbidden, and the upstream then gets all of them.
func (p *Mapping) readBody(call Caller, m *mapped) {
	c := &m.check
	m.Body.Segments = c.Body
	if len(c.Text) > 0 {
		if len(c.Body) > 0 {
			m.Malformed = true // never both
		}
		m.Body.Segments, m.Body.Text = c.Text, true
	}
	length, hasLength, ok := contentLength(m.Headers)
	if !ok {
		m.Malformed = true
		return
	}
	got := int64(m.Body.Len())
	size := p.counted(m.Headers, c.Size, hasLength)
	m.Body.Size = max(size, length, got)
	m.Body.State = p.bodyState(call, m.Headers, got, size, length, hasLength)
	if len(c.Text) > 0 && m.Body.State == authz.BodyWhole && p.altered(c.Text) {
		m.Body.State = authz.BodyChanged
	}
}

// counted is Envoy's count of the body's bytes, or 0 where it says nothing: what
// was decompressed has another length than what came. A decompressor takes the
// Content-Length away, and the filter marks what it has in hand.
func (p *Mapping) counted(headers authz.Headers, size int64, hasLength bool) int64 {
	if _, marks := headers.Lookup(partialBody); p.Decompressed && !hasLength && marks > 0 {
		return 0
	}
	return size
}

func (p *Mapping) altered(text [][]byte) bool {
	switch p.StringBody {
	case StringBodyTrust:
		return false
	case StringBodyExact:
		return slices.ContainsFunc(text, func(chunk []byte) bool { return bytes.IndexByte(chunk, '!') >= 0 })
	default:
		return true
	}
}

func (p *Mapping) bodyState(call Caller, headers authz.Headers, got, size, length int64, hasLength bool) authz.BodyState {
	mark, marks := headers.Lookup(partialBody)
	switch {
	case marks == 0 && got == 0:
		// An empty body and one that was not forwarded look alike unless somebody
		// says that it is empty: the sender by a length, to which Envoy holds it, or
		// Envoy, for which the request has ended and no byte of a body has come.
		if hasLength && length == 0 && size <= 0 || !hasLength && size == 0 && ended(call) {
			return authz.BodyWhole
		}
		return authz.BodyUnknown
	case marks != 1 || string(mark) != "false":
		return authz.BodyCut
	case size != 0 && size != got, hasLength && length != got:
		return authz.BodyCut
	case !hasLength && got >= p.MaxRequestBytes:
		// Envoy's buffer is exactly full: more may follow.
		return authz.BodyCut
	default:
		return authz.BodyWhole
	}
}

// ended reports whether Envoy says that the whole request has come. A number is
// its word; what it does not fill in, it leaves out.
func ended(call Caller) bool {
	text := call.Only(RequestDuration)
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return text != ""
}

// contentLength reads the header; ok is false if it is not one number.
func contentLength(headers authz.Headers) (length int64, present, ok bool) {
	text, count := headers.Lookup("content-length")
	if count == 0 {
		return 0, false, true
	}
	if count > 1 || len(text) == 0 || len(text) > 18 {
		return 0, true, false
	}
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, true, false
		}
		length = length*10 + int64(c-'0')
	}
	return length, true, true
}

// checkID is the same in all attempts of one check, and in no other check. It
// is zero if a part is missing. x-request-id is no part of it: a sender may
// have a say in it, and an internal redirect keeps it.
func checkID(c *wire.Check) authz.CheckID {
	stream, err := strconv.ParseUint(string(c.ID), 10, 64)
	if err != nil || !c.HasTime {
		return authz.CheckID{}
	}
	return authz.CheckID{Stream: stream, Time: c.Seconds*1e9 + int64(c.Nanos), Port: c.SourcePort}
}

// ownHeader reports whether a header is one that only we may set: our prefix,
// with dashes or what some upstreams read the same: underscores, and for CGI
// and its kin every other character that is no letter and no digit.
func ownHeader(name []byte) bool {
	if len(name) < len(headerPrefix) {
		return false
	}
	for i := range len(headerPrefix) {
		c := name[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9') {
			c = '-'
		}
		if c != headerPrefix[i] {
			return false
		}
	}
	return true
}

// removable reports whether the answer can remove every header that only we
// may set. What it could not remove would reach the upstream as ours.
func removable(headers authz.Headers) bool {
	n := 0
	for i := range headers {
		if name := headers[i].Name; ownHeader(name) && !isOwnExactly(name) {
			if n++; n > maxRemoved || !isHeaderName(name) {
				return false
			}
		}
	}
	return true
}

// isHeaderName reports whether the text may stand in an answer as a header's
// name: an RFC 9110 token in lower case.
func isHeaderName(name []byte) bool {
	for _, c := range name {
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || bytes.IndexByte([]byte("!#$%&'*+-.^_`|~"), c) >= 0) {
			return false
		}
	}
	return len(name) > 0 && len(name) <= 256
}
