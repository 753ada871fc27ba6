package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hookbastion/hookbastion/cmd/chaos/oracle"
)

// clients are connections to Envoy, a pool for each way that a request can take.
type clients struct {
	world *world
	mu    sync.Mutex
	pools map[oracle.Via]*http.Client
}

func (c *clients) via(v oracle.Via) *http.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if pool := c.pools[v]; pool != nil {
		return pool
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 32, DisableKeepAlives: v.Cycled, DisableCompression: true, Protocols: new(http.Protocols), IdleConnTimeout: 20 * time.Second}
	transport.Protocols.SetHTTP1(!v.HTTP2)
	if v.HTTP2 {
		transport.Protocols.SetHTTP2(v.TLS)
		transport.Protocols.SetUnencryptedHTTP2(!v.TLS)
	}
	transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		address := c.world.address
		if v.TLS {
			address = c.world.secure
		}
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, network, address)
		if err != nil || v.Source == "" {
			return conn, err
		}
		family := "TCP4 " + v.Source + " 192.0.2.1"
		if strings.Contains(v.Source, ":") {
			family = "TCP6 " + v.Source + " 2001:db8::1"
		}
		_, err = fmt.Fprintf(conn, "PROXY %s 40000 443\r\n", family) // as load balancers say it
		return conn, err
	}
	if v.TLS {
		transport.TLSClientConfig = &tls.Config{RootCAs: c.world.certificates.pool, ServerName: "hooks.example.com", MinVersion: tls.VersionTLS12}
		switch {
		case v.Stranger:
			transport.TLSClientConfig.Certificates = []tls.Certificate{c.world.certificates.stranger}
		case v.Certificate:
			transport.TLSClientConfig.Certificates = []tls.Certificate{c.world.certificates.sender}
		}
	}
	pool := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	c.pools[v] = pool
	return pool
}

func (c *clients) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, pool := range c.pools {
		pool.CloseIdleConnections()
	}
}

// send sends a request and tells what came of it. The application does what act says.
func (c *clients) send(q *oracle.Request, id, act string, patience time.Duration) oracle.Answer {
	a := oracle.Answer{Sent: time.Now()}
	a.Status, a.Header, a.Body, a.Err = c.exchange(q, id, act, patience)
	a.Done = time.Now()
	if reason := a.Header.Get("X-Chaos-Reason"); reason != "-" {
		a.Reason = reason
	}
	a.Arrived = c.world.application.claim(id)
	return a
}

func (c *clients) exchange(q *oracle.Request, id, act string, patience time.Duration) (status int, header http.Header, body string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	scheme := "http"
	if q.Via.TLS {
		scheme = "https"
	}
	request, err := http.NewRequestWithContext(ctx, q.Method, scheme+"://hooks.example.com"+q.Target, strings.NewReader(q.Body))
	if err != nil {
		return 0, nil, "", err
	}
	request.Host = q.Host
	for _, h := range q.Headers {
		request.Header[http.CanonicalHeaderKey(h.Name)] = append(request.Header[http.CanonicalHeaderKey(h.Name)], h.Value)
	}
	request.Header["X-Chaos-Request"] = []string{id}
	request.Header["X-Chaos-Act"] = []string{act}
	response, err := c.via(q.Via).Do(request)
	if err != nil {
		return 0, nil, "", err
	}
	defer func() { _ = response.Body.Close() }() // what was read counts
	var text bytes.Buffer
	if _, err := io.Copy(&text, io.LimitReader(response.Body, 64<<10)); err != nil {
		return response.StatusCode, response.Header, text.String(), err
	}
	return response.StatusCode, response.Header, text.String(), nil
}
