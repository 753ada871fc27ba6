package envoy

import (
	"bytes"
	"net/netip"
	"strings"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/source"
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

// Mapping says how a CheckRequest becomes a request.
type Mapping struct {
	// MaxRequestBytes is Envoy's with_request_body.max_request_bytes.
	MaxRequestBytes int64
	StringBody      StringBody
	Source          source.Resolver
	Edge            Edge
}

// mapped is a request and the memory that its views point to.
type mapped struct {
	authz.Request
	arena []byte
}

// view copies text from the decoder's strings into the arena.
func (m *mapped) view(text string) authz.View {
	start := len(m.arena)
	m.arena = append(m.arena, text...)
	return m.arena[start:len(m.arena):len(m.arena)]
}

func (m *mapped) reset() {
	m.Request.Reset()
	m.arena = m.arena[:0]
}

// read fills m from the message. Nothing is normalised except that header
// names are in lower case, which Envoy's are already.
func (p *Mapping) read(check *authv3.CheckRequest, m *mapped) {
	m.reset()
	http := check.GetAttributes().GetRequest().GetHttp()
	if http == nil {
		m.Malformed = true
		return
	}
	m.Method, m.Host, m.Path = m.view(http.GetMethod()), m.view(http.GetHost()), m.view(http.GetPath())
	m.Scheme = m.view(http.GetScheme())
	m.Webhook = m.view(check.GetAttributes().GetContextExtensions()[WebhookExtension])
	m.readHeaders(http)
	if len(m.Method) == 0 || len(m.Path) == 0 || m.Path[0] != '/' || !removable(m.Headers) {
		m.Malformed = true
	}
	p.readBody(http, m)
	m.RequestID, _ = m.Headers.Lookup("x-request-id")
	peer := check.GetAttributes().GetSource()
	address := peerAddress(peer.GetAddress())
	m.Source = p.Source.Resolve(address, m.Headers)
	p.readTransport(m, address, peerFacts{
		serverName: m.view(check.GetAttributes().GetTlsSession().GetSni()),
		principal:  m.view(peer.GetPrincipal()), certificate: m.view(peer.GetCertificate()),
	})
}

// readHeaders prefers the form with raw bytes and visible duplicates.
func (m *mapped) readHeaders(http *authv3.AttributeContext_HttpRequest) {
	for _, h := range http.GetHeaderMap().GetHeaders() {
		value := authz.View(h.GetRawValue())
		if len(value) == 0 {
			value = m.view(h.GetValue())
		}
		m.addHeader(h.GetKey(), value)
	}
	if len(m.Headers) == 0 {
		for name, value := range http.GetHeaders() {
			m.addHeader(name, m.view(value))
		}
	}
}

func (m *mapped) addHeader(name string, value authz.View) {
	m.Headers = append(m.Headers, authz.Header{Name: m.view(strings.ToLower(name)), Value: value})
}

// readBody decides whether the body is what the upstream will get. Envoy's own
// settings are no guarantee: over HTTP/2 it forwards cut bodies even where
// partial messages are forbidden, and the upstream then gets all of them.
func (p *Mapping) readBody(http *authv3.AttributeContext_HttpRequest, m *mapped) {
	body, text := http.GetRawBody(), http.GetBody()
	if text != "" {
		if len(body) > 0 {
			m.Malformed = true // never both
		}
		body = authz.View(text) // not in the arena, which is kept
	}
	if len(body) > 0 {
		m.Body.Segments = append(m.Body.Segments, body)
	}
	length, hasLength, ok := contentLength(m.Headers)
	if !ok {
		m.Malformed = true
		return
	}
	m.Body.Size = max(http.GetSize(), length, int64(len(body)))
	m.Body.State = p.bodyState(m.Headers, int64(len(body)), http.GetSize(), length, hasLength)
	if text != "" && m.Body.State == authz.BodyWhole && p.altered(text) {
		m.Body.State = authz.BodyChanged
	}
}

func (p *Mapping) altered(text string) bool {
	switch p.StringBody {
	case StringBodyTrust:
		return false
	case StringBodyExact:
		return strings.IndexByte(text, '!') >= 0
	default:
		return true
	}
}

func (p *Mapping) bodyState(headers authz.Headers, got, size, length int64, hasLength bool) authz.BodyState {
	mark, marks := headers.Lookup(partialBody)
	switch {
	case marks == 0 && got == 0:
		// An empty body and one that was not forwarded look alike unless the
		// sender said that it is empty.
		if hasLength && length == 0 && size <= 0 {
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

// peerAddress returns the zero Addr for anything that is no IP address, such
// as the path of a Unix socket.
func peerAddress(address *corev3.Address) netip.Addr {
	addr, err := netip.ParseAddr(address.GetSocketAddress().GetAddress())
	if err != nil {
		return netip.Addr{}
	}
	return addr
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
