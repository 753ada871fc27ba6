// Package notify sends alarms of the monitor to a webhook of the operator's own.
//
// Messages wait in a queue of a bounded length and go out one after the other; one that
// finds no room is dropped and counted. One that fails is tried again four times within
// a quarter of an hour, unless the server says that it will never be taken, and those
// behind it wait. A restart forgets the queue: alarms that go on are known to the monitor.
// Redirects are not followed. The address is the operator's, and may be one of a private
// network: nothing that a stranger sends has a part in it.
//
// It does not say that somebody has read the message.
package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hookbastion/hookbastion/authz/monitor"
	"github.com/hookbastion/hookbastion/authz/secret"
)

// Bounds.
const (
	// maxQueue is how many messages wait.
	maxQueue = 64
	// timeout bounds one try.
	timeout = 10 * time.Second
	// maxAnswer is how much of an answer is read, in bytes.
	maxAnswer = 64 << 10
)

// pauses lie between tries.
var pauses = [...]time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}

// Config says where messages go.
type Config struct {
	URL    string
	Format Format
	// Secret signs; nil: nothing is signed. It is read for each message, so that it can be
	// changed.
	Secret *secret.Ref
	// Roots are the authorities of the server's certificate; nil: those of the machine.
	Roots *x509.CertPool
	// Replica names this process in messages.
	Replica string
	// OnResult is called with each message that was sent, or given up; err says why. It
	// must not block.
	OnResult func(a monitor.Alarm, tries int, err error)
}

// Key reads the secret of Standard Webhooks: 24 to 64 bytes in base64, with or without
// whsec_ before them. No error has any of it.
func Key(ref *secret.Ref) ([]byte, error) {
	value, err := ref.Load()
	if err != nil {
		return nil, err
	}
	text := strings.TrimPrefix(string(value.Reveal()), "whsec_")
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) < 24 || len(key) > 64 {
		return nil, fmt.Errorf("%s: must be whsec_ and 24 to 64 bytes in base64", ref)
	}
	return key, nil
}

// Sender sends. It is safe for concurrent use.
type Sender struct {
	config  Config
	client  http.Client
	queue   chan monitor.Alarm
	dropped atomic.Int64
	sent    atomic.Int64
	failed  atomic.Int64
}

// New returns a sender; Run makes it send.
func New(config Config) *Sender {
	return &Sender{
		config: config, queue: make(chan monitor.Alarm, maxQueue),
		client: http.Client{
			Timeout:       timeout,
			Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: config.Roots}, DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// Send puts an alarm, which was raised or has ended, into the queue, and never waits.
func (s *Sender) Send(a monitor.Alarm) {
	select {
	case s.queue <- a:
	default:
		s.dropped.Add(1)
	}
}

// Stats counts messages.
type Stats struct{ Sent, Failed, Dropped int64 }

// Stats returns the counts.
func (s *Sender) Stats() Stats { return Stats{s.sent.Load(), s.failed.Load(), s.dropped.Load()} }

// Run sends until the context ends.
func (s *Sender) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-s.queue:
			s.deliver(ctx, a)
		}
	}
}

// deliver tries until the message is taken, or is given up.
func (s *Sender) deliver(ctx context.Context, a monitor.Alarm) {
	body, err := s.body(&a)
	tries := 0
	for ; err == nil; tries++ {
		var final bool
		if final, err = s.try(ctx, idOf(&a, s.config.Replica), body); err == nil || final || tries == len(pauses) {
			tries++
			break
		}
		err = wait(ctx, pauses[tries], err)
	}
	if err != nil {
		s.failed.Add(1)
	} else {
		s.sent.Add(1)
	}
	if s.config.OnResult != nil {
		s.config.OnResult(a, tries, err)
	}
}

// wait returns nil after a time, and what had failed where the context ends before.
func wait(ctx context.Context, pause time.Duration, failed error) error {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return failed
	case <-timer.C:
		return nil
	}
}

// try sends once. final says that it makes no sense to try again. The error has neither
// the address, in which there may be a token, nor what the server says.
func (s *Sender) try(ctx context.Context, id string, body []byte) (final bool, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.config.URL, bytes.NewReader(body))
	if err != nil {
		return true, errors.New("the address is none")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "hookbastion")
	if s.config.Secret != nil {
		key, err := Key(s.config.Secret)
		if err != nil {
			return false, err // it may be in the midst of a change
		}
		sign(req.Header, id, time.Now(), body, key)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return false, fmt.Errorf("no answer from %s: %w", req.URL.Host, cause(err))
	}
	defer func() { _ = resp.Body.Close() }()                         // only read
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)) // whatever it says
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300:
		return true, nil
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= 500:
		return false, fmt.Errorf("%s answered %d", req.URL.Host, code)
	case code >= 300 && code < 400:
		return true, fmt.Errorf("%s answered %d, and redirects are not followed", req.URL.Host, code)
	default:
		return true, fmt.Errorf("%s answered %d", req.URL.Host, code)
	}
}

// cause takes the address out of an error of net/http.
func cause(err error) error {
	var inner interface{ Unwrap() error }
	if errors.As(err, &inner) {
		if next := inner.Unwrap(); next != nil {
			return next
		}
	}
	return errors.New("it broke off")
}

// sign writes the headers of Standard Webhooks 1.0.0.
func sign(h http.Header, id string, now time.Time, body, key []byte) {
	at := strconv.FormatInt(now.Unix(), 10)
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte(id + "." + at + ".")) // a hash takes all
	_, _ = mac.Write(body)
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", at)
	h.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
}

// idOf is the same for each try of a message.
func idOf(a *monitor.Alarm, replica string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{a.Kind.String(), a.Webhook, a.Time.Format(time.RFC3339), phase(a), replica}, "\x00")))
	return "msg_" + hex.EncodeToString(sum[:12])
}
