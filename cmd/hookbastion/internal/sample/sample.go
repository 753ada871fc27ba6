// Package sample is what the demo and tests stand around the service: deliveries, an
// application, a sender, and the quickstart with new secrets.
package sample

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/envoy"
)

// Application is the sample upstream: it answers 200 and remembers what it got.
type Application struct {
	Address net.Addr
	server  *http.Server
	mu      sync.Mutex
	got     []Arrived
}

type Arrived struct {
	Header http.Header
	Body   []byte
}

func Start() (*Application, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a := &Application{Address: listener.Addr()}
	a.server = &http.Server{Handler: a, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = a.server.Serve(listener) }() // ends with Close
	return a, nil
}

func (a *Application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, "", http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	a.got = append(a.got, Arrived{r.Header.Clone(), body})
	a.mu.Unlock()
	_, _ = io.WriteString(w, "received\n") // the client is gone
}

// Take returns what arrived since the last call.
func (a *Application) Take() []Arrived {
	a.mu.Lock()
	defer a.mu.Unlock()
	got := a.got
	a.got = nil
	return got
}

func (a *Application) Stop() error { return a.server.Close() }

// Client sends requests to Envoy over TLS.
type Client struct {
	Address string
	HTTP    *http.Client
}

func NewClient(address string, roots *x509.CertPool) *Client {
	return &Client{Address: address, HTTP: &http.Client{
		Timeout: 10 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			// HTTP/1.1, in which Envoy keeps its limit on bodies itself.
			TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
		},
	}}
}

// Send sends the request as it is and returns the answer.
func (c *Client) Send(ctx context.Context, req *authz.Request) (status int, decisionID string, err error) {
	body := bytes.Join(req.Body.Segments, nil)
	out, err := http.NewRequestWithContext(ctx, string(req.Method), "https://"+c.Address+string(req.Path), bytes.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	for _, h := range req.Headers {
		out.Header.Add(string(h.Name), string(h.Value))
	}
	response, err := c.HTTP.Do(out)
	if err != nil {
		return 0, "", err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, response.Header.Get(envoy.HeaderDecisionID), errors.Join(err, response.Body.Close())
}
