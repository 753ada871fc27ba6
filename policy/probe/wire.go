package probe

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/hookbastion/hookbastion/authz"
)

// maxAnswer is how much of an answer's body is read, and maxHead of what stands before it,
// in bytes.
const (
	maxAnswer = 256 << 10
	maxHead   = 1 << 20
)

// pause lets a proxy see the pieces of a body one after the other.
const pause = 100 * time.Millisecond

// wire is how a request is sent. The zero value is HTTP/1.1 with a Content-Length.
type wire struct {
	times    int            // how often, one after the other
	together int            // how many at once
	http2    bool           // over HTTP/2
	pieces   [][]byte       // the body in chunks, in place of the request's
	trailers []authz.Header // with pieces or HTTP/2
	lines    []string       // more lines of the head, as they are
	noHost   bool           // without the line that names the host
	noLength bool           // without a Content-Length
	cut      bool           // the body ends before its length
	target   string         // in place of the path
	shown    bool           // what is forged in it is the header that some applications repeat alone

	// Of the connection, and so of what the policies are asked.
	oldTLS      bool
	certificate *tls.Certificate // in place of ours
	anonymous   bool             // without ours
	source      netip.Addr       // as which the policies see the sender
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
	closed bool  // in place of an answer
	err    error // no answer that could be read
}

func (a *answer) decisionID() string { return a.header.Get(decisionID) }

// through: it is 2xx and no answer of the service's own.
func (a *answer) through() bool { return a.err == nil && a.status/100 == 2 }

// acknowledged: the service has answered 2xx itself, to what it took for a copy. An
// application that repeats the decision id comes through Envoy's router, which adds a time.
func (a *answer) acknowledged() bool {
	return a.through() && a.decisionID() != "" && a.header.Get(upstreamTime) == ""
}

// errNobody says that there is no gateway.
var errNobody = errors.New("nobody answers")

// send sends a request and reads the answer. The error is that there is nobody, or that the
// context has ended.
func (s *session) send(req *authz.Request, w wire) (*answer, error) {
	if s.gateway.Pace != nil {
		if err := s.gateway.Pace(s.ctx); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.gateway.Timeout)
	defer cancel()
	var a *answer
	if w.http2 {
		a = s.overHTTP2(ctx, req, w)
	} else {
		a = s.overHTTP1(ctx, req, w)
	}
	if err := s.ctx.Err(); err != nil {
		return nil, err
	}
	if dial := (*net.OpError)(nil); errors.As(a.err, &dial) && dial.Op == "dial" {
		return nil, fmt.Errorf("%s: %w", s.gateway.Address, errors.Join(errNobody, a.err))
	}
	if errors.As(a.err, new(*tls.CertificateVerificationError)) {
		return nil, fmt.Errorf("%s: %w", s.gateway.Address, a.err)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) || isTimeout(a.err) {
		a.err, a.closed = fmt.Errorf("no answer within %s", s.gateway.Timeout), false
	}
	return a, nil
}

func isTimeout(err error) bool {
	timeout := interface{ Timeout() bool }(nil)
	return errors.As(err, &timeout) && timeout.Timeout()
}

// atOnce sends a shot several times at the same moment.
func (s *session) atOnce(sh *shot) (Result, error) {
	if d := s.decision(s.hook.Rules, sh.req, sh.wire); d.Verdict == authz.Allow {
		return Result{Verdict: Allowed}, nil // the second time
	}
	answers, errs := make([]*answer, sh.wire.together), make([]error, sh.wire.together)
	var group sync.WaitGroup
	for i := range answers {
		group.Go(func() { answers[i], errs[i] = s.send(sh.req, sh.wire) })
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return Result{}, err
	}
	r, passed := Result{Verdict: Held}, 0
	for _, a := range answers {
		switch {
		case a.through() && (a.decisionID() == "" || !s.idsTell()):
			passed++
		case a.err == nil:
			r.Status = a.status
		}
	}
	switch {
	case passed > 1:
		r.Verdict, r.Status = Passed, http.StatusOK
		r.Why = fmt.Sprintf("%d of %d", passed, len(answers))
	case passed == 0:
		r.Verdict, r.Why = Unclear, "not even one was delivered"
	}
	return r, nil
}

// config is how TLS is spoken.
func (s *session) config(w wire, protocol string) *tls.Config {
	c := s.gateway.TLS.Clone()
	c.NextProtos = []string{protocol}
	if w.oldTLS {
		c.MaxVersion = tls.VersionTLS12
	}
	if w.anonymous {
		c.Certificates = nil
	}
	if w.certificate != nil {
		c.Certificates = []tls.Certificate{*w.certificate}
	}
	return c
}

func (s *session) dial(ctx context.Context, w wire, protocol string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.gateway.Address)
	if err != nil || s.gateway.TLS == nil {
		return conn, err
	}
	secure := tls.Client(conn, s.config(w, protocol))
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // it is of no use
		return nil, err
	}
	return secure, nil
}

// overHTTP1 writes the request byte for byte: no library would.
func (s *session) overHTTP1(ctx context.Context, req *authz.Request, w wire) *answer {
	conn, err := s.dial(ctx, w, "http/1.1")
	if err != nil {
		return &answer{err: err, closed: s.gateway.TLS != nil && !isDial(err)}
	}
	defer func() { _ = conn.Close() }() // what came has been read
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	defer stop()
	// Whoever refuses a long body answers before it has come.
	go func() { _ = write(ctx, conn, req, w) }()
	reader := bufio.NewReader(io.LimitReader(conn, maxHead+maxAnswer))
	for {
		response, err := http.ReadResponse(reader, &http.Request{Method: string(req.Method)})
		if err != nil {
			return &answer{err: err, closed: !isTimeout(err)}
		}
		if response.StatusCode == http.StatusContinue || response.StatusCode == http.StatusEarlyHints {
			continue
		}
		return read(response)
	}
}

func isDial(err error) bool {
	op := (*net.OpError)(nil)
	return errors.As(err, &op) && op.Op == "dial"
}

func read(response *http.Response) *answer {
	a := &answer{status: response.StatusCode, header: response.Header}
	if response.StatusCode != http.StatusSwitchingProtocols {
		a.body, _ = io.ReadAll(io.LimitReader(response.Body, maxAnswer)) // what has come counts
	}
	_ = response.Body.Close() // only read
	return a
}

func write(ctx context.Context, conn io.Writer, req *authz.Request, w wire) error {
	var head bytes.Buffer
	target := string(req.Path)
	if w.target != "" {
		target = w.target
	}
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\n", req.Method, target)
	if !w.noHost {
		fmt.Fprintf(&head, "host: %s\r\n", req.Host)
	}
	for _, h := range req.Headers {
		fmt.Fprintf(&head, "%s: %s\r\n", h.Name, h.Value)
	}
	for _, line := range w.lines {
		head.WriteString(line + "\r\n")
	}
	body := bytes.Join(req.Body.Segments, nil)
	length := len(body)
	if w.cut {
		length += 10
	}
	switch {
	case w.pieces != nil:
		head.WriteString("transfer-encoding: chunked\r\n")
	case w.noLength, length == 0 && mostlyEmpty(string(req.Method)):
	default:
		fmt.Fprintf(&head, "content-length: %d\r\n", length)
	}
	head.WriteString("\r\n")
	if _, err := conn.Write(head.Bytes()); err != nil {
		return err
	}
	if w.pieces == nil {
		_, err := conn.Write(body)
		if half, ok := conn.(interface{ CloseWrite() error }); ok && w.cut && err == nil {
			err = half.CloseWrite()
		}
		return err
	}
	return writeChunks(ctx, conn, w)
}

func writeChunks(ctx context.Context, conn io.Writer, w wire) error {
	for i, piece := range w.pieces {
		if i > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(pause):
			}
		}
		if _, err := fmt.Fprintf(conn, "%x\r\n%s\r\n", len(piece), piece); err != nil {
			return err
		}
	}
	end := "0\r\n"
	for _, h := range w.trailers {
		end += fmt.Sprintf("%s: %s\r\n", h.Name, h.Value)
	}
	_, err := io.WriteString(conn, end+"\r\n")
	return err
}

func mostlyEmpty(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodOptions, http.MethodTrace:
		return true
	default:
		return false
	}
}

// overHTTP2 sends a request over HTTP/2, without TLS to one that knows it.
func (s *session) overHTTP2(ctx context.Context, req *authz.Request, w wire) *answer {
	protocols := &http.Protocols{}
	protocols.SetHTTP2(s.gateway.TLS != nil)
	protocols.SetUnencryptedHTTP2(s.gateway.TLS == nil)
	transport := &http.Transport{
		Protocols: protocols, MaxResponseHeaderBytes: maxHead, DisableCompression: true, DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", s.gateway.Address)
		},
	}
	if s.gateway.TLS != nil {
		transport.TLSClientConfig = s.config(w, "h2")
	}
	defer transport.CloseIdleConnections()
	out := (&http.Request{
		Method: string(req.Method), Host: string(req.Host), Header: http.Header{}, Trailer: http.Header{},
		URL: &url.URL{Scheme: s.gateway.scheme(), Host: string(req.Host), Opaque: string(req.Path)},
	}).WithContext(ctx)
	for _, h := range req.Headers {
		out.Header.Add(string(h.Name), string(h.Value))
	}
	for _, h := range w.trailers {
		out.Trailer.Add(string(h.Name), string(h.Value))
	}
	body := bytes.Join(req.Body.Segments, nil)
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	if len(w.trailers) > 0 {
		out.ContentLength = -1
	}
	response, err := transport.RoundTrip(out)
	if err != nil {
		return &answer{err: err}
	}
	return read(response)
}

// raw is a header line as it is to be written.
func raw(name, value string) authz.Header {
	return authz.Header{Name: authz.View(name), Value: authz.View(value)}
}

// without takes headers out.
func without(req *authz.Request, name string) {
	var kept authz.Headers
	for _, h := range req.Headers {
		if !strings.EqualFold(string(h.Name), name) {
			kept = append(kept, h)
		}
	}
	req.Headers = kept
}
