package fetch

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"
)

// Limits of ClientConfig where it says nothing.
const (
	DefaultMaxBytes = 1 << 20
	DefaultTimeout  = 15 * time.Second
	// phaseTimeout bounds each of: to look up the name and connect, the TLS
	// handshake, the wait for the answer's head.
	phaseTimeout = 5 * time.Second
	// maxHead is the size of an answer's head, in bytes.
	maxHead = 64 << 10
)

// ClientConfig is what the settings say of fetches.
type ClientConfig struct {
	// AllowPrivate are networks that may be connected to although they are not
	// public.
	AllowPrivate []netip.Prefix
	// Roots are the authorities of servers; nil: those of the machine.
	Roots *x509.CertPool
	// Proxy, if it is not nil, is asked for every connection. The names are then
	// looked up by it, and it must keep us from private addresses.
	Proxy *url.URL
	// Timeout bounds a fetch as a whole; 0: DefaultTimeout.
	Timeout time.Duration
	// Resolver looks up names; nil: as the machine does.
	Resolver *net.Resolver
	// UserAgent is what servers are told.
	UserAgent string
}

// Client fetches. It is safe for concurrent use.
type Client struct {
	config ClientConfig
	http   http.Client
}

// NewClient returns a client.
func NewClient(config ClientConfig) *Client {
	if config.Timeout <= 0 {
		config.Timeout = DefaultTimeout
	}
	c := &Client{config: config}
	dialer := &net.Dialer{Timeout: phaseTimeout, Control: c.control, Resolver: config.Resolver}
	transport := &http.Transport{
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: config.Roots},
		TLSHandshakeTimeout:    phaseTimeout,
		ResponseHeaderTimeout:  phaseTimeout,
		MaxResponseHeaderBytes: maxHead,
		DisableKeepAlives:      true, // a fetch an hour needs no open connection
		DisableCompression:     true, // the limit is on what comes
	}
	if config.Proxy != nil { // never that of the environment
		transport.Proxy = http.ProxyURL(config.Proxy)
		dialer.Control = nil // the only address that is dialled is the proxy's
	}
	c.http = http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}
	return c
}

// Request is what is asked for.
type Request struct {
	// Method is GET if it is empty.
	Method string
	URL    string
	Header http.Header
	Body   []byte
	// ETag and Modified are those of the answer that is there already.
	ETag, Modified string
	// MaxBytes bounds the answer; 0: DefaultMaxBytes.
	MaxBytes int64
}

// Response is what came.
type Response struct {
	// NotModified: the answer that was there is still good. There is no Body.
	NotModified    bool
	Body           []byte
	ETag, Modified string
	// Good is how long the server says that it is; 0: it does not say.
	Good time.Duration
}

// Get is how a Fetcher fetches: Client.Get, or what a test puts in its place.
type Get func(ctx context.Context, r *Request) (*Response, error)

// Get fetches once. The error is an *Error.
func (c *Client) Get(ctx context.Context, r *Request) (*Response, error) {
	u, err := url.Parse(r.URL)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		return nil, fail(BadURL, "not an https URL with a host")
	}
	ctx, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, or(r.Method, http.MethodGet), r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return nil, fail(BadURL, "not a request")
	}
	for name, values := range r.Header {
		req.Header[name] = values
	}
	req.Header.Set("User-Agent", or(c.config.UserAgent, "hookbastion"))
	req.Header.Set("Accept-Encoding", "identity")
	if r.ETag != "" {
		req.Header.Set("If-None-Match", r.ETag)
	}
	if r.Modified != "" {
		req.Header.Set("If-Modified-Since", r.Modified)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, failed(err, u.Host)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	out, err := read(resp, r, u.Host)
	if err == nil && ctx.Err() != nil { // what ended because we left is not whole
		return nil, failed(ctx.Err(), u.Host)
	}
	return out, err
}

// read takes the answer. Nothing of it but its status stands in errors.
func read(resp *http.Response, r *Request, host string) (*Response, error) {
	asked := r.ETag != "" || r.Modified != ""
	out := &Response{ETag: short(resp.Header.Get("Etag")), Modified: short(resp.Header.Get("Last-Modified")), Good: goodFor(resp.Header)}
	switch code := resp.StatusCode; {
	case code == http.StatusOK:
	case code == http.StatusNotModified && asked:
		out.NotModified = true
		return out, nil
	case code == http.StatusNotModified:
		return nil, fail(BadStatus, "%s answered 304 to a question without a condition", host)
	case code >= 300 && code < 400:
		return nil, fail(Redirect, "%s answered %d, and redirects are not followed", host, code)
	case code == http.StatusNotFound || code == http.StatusGone:
		return nil, fail(NotFound, "%s answered %d", host, code)
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		return nil, fail(Credentials, "%s answered %d", host, code)
	default:
		return nil, fail(BadStatus, "%s answered %d", host, code)
	}
	if coding := resp.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
		return nil, fail(Content, "%s sent a coding that was not asked for", host)
	}
	most := r.MaxBytes
	if most <= 0 {
		most = DefaultMaxBytes
	}
	if resp.ContentLength > most {
		return nil, fail(TooLarge, "%s sends more than %d bytes", host, most)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, most+1))
	switch {
	case int64(len(body)) > most:
		return nil, fail(TooLarge, "%s sends more than %d bytes", host, most)
	case err != nil:
		return nil, failed(err, host)
	}
	out.Body = body
	return out, nil
}

// failed finds the word for an error of net/http.
func failed(err error, host string) error {
	var own *Error
	var dns *net.DNSError
	var op *net.OpError
	var timeout interface{ Timeout() bool }
	kind, detail := Transport, host+" sent something that is no answer, or broke off"
	switch {
	case errors.As(err, &own):
		return &Error{Failure: own.Failure, Detail: host + ": " + own.Detail, cause: err}
	case errors.As(err, &timeout) && timeout.Timeout():
		kind, detail = Timeout, host+" took too long"
	case errors.As(err, &dns):
		kind, detail = DNS, host+" has no address"
	case isTLS(err):
		kind, detail = TLS, host+" has no certificate that counts, or speaks another version"
	case errors.As(err, &op) && (op.Op == "dial" || op.Op == "socks connect" || op.Op == "proxyconnect"):
		kind, detail = Connect, "no connection to "+host
	}
	return &Error{Failure: kind, Detail: detail, cause: err}
}

func isTLS(err error) bool {
	var certificate *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var alert tls.AlertError
	var op *net.OpError
	return errors.As(err, &certificate) || errors.As(err, &record) || errors.As(err, &alert) ||
		errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error")
}

// short drops a validator that would not fit into a small file.
func short(text string) string {
	if len(text) > 256 {
		return ""
	}
	return text
}

func or(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}
