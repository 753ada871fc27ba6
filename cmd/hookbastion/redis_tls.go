package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/transport"
	"github.com/hookbastion/hookbastion/envoy/mtls"
	settingsv1 "github.com/hookbastion/hookbastion/proto/hookbastion/settings/v1"
)

// clientTLS is what connections to a server show and whom they believe, from
// files that may change. After an error the last good content stays. It is safe
// for concurrent use.
type clientTLS struct {
	ca, cert, key string // files; empty: the machine's authorities, no certificate
	name          string // that servers must have; empty: the host of each address

	mu    sync.Mutex // held by load
	read  [3][]byte
	state atomic.Pointer[tls.Config]
}

// redisTLS reads the settings of TLS; nil for plaintext. Each fault has the place
// of its setting.
func redisTLS(m *settingsv1.Redis, fail failer) *clientTLS {
	c := &clientTLS{ca: m.GetCa(), cert: m.GetCert(), key: m.GetKey(), name: m.GetServerName()}
	if u, err := url.Parse(m.GetUrl()); err != nil || u.Scheme != "rediss" && u.Scheme != "valkeys" {
		for name, value := range map[string]string{"ca": c.ca, "cert": c.cert, "key": c.key, "server_name": c.name} {
			if value != "" {
				fail("has no use without rediss://", name)
			}
		}
		return nil
	}
	switch {
	case c.cert != "" && c.key == "":
		fail("is missing: a certificate has a key", "key")
	case c.cert == "" && c.key != "":
		fail("is missing: a key has a certificate", "cert")
	default:
		if _, err := c.load(time.Now()); err != nil {
			place := "ca"
			if errors.Is(err, errCertificate) {
				place = "cert"
			}
			fail(err.Error(), place)
		}
	}
	return c
}

// errCertificate is wrapped by what is wrong with the certificate or its key.
var errCertificate = errors.New("the certificate for Redis")

func (c *clientTLS) config() *tls.Config { return c.state.Load() }

// load reads the files and reports whether anything is new.
func (c *clientTLS) load(now time.Time) (changed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.name}
	var read [3][]byte
	if c.ca != "" {
		if read[0], err = os.ReadFile(c.ca); err != nil {
			return false, err
		}
		if next.RootCAs, err = transport.Pool(read[0]); err != nil {
			return false, fmt.Errorf("%s: %w", c.ca, err)
		}
	}
	if c.cert != "" {
		for i, file := range []string{c.cert, c.key} {
			if read[1+i], err = os.ReadFile(file); err != nil {
				return false, fmt.Errorf("%w: %w", errCertificate, err)
			}
		}
		pair, err := tls.X509KeyPair(read[1], read[2])
		if err != nil {
			return false, fmt.Errorf("%w: %s and %s: %w", errCertificate, c.cert, c.key, err)
		}
		if now.Before(pair.Leaf.NotBefore) || now.After(pair.Leaf.NotAfter) {
			return false, fmt.Errorf("%w: %s: %w", errCertificate, c.cert, mtls.ErrNotValidNow)
		}
		next.Certificates = []tls.Certificate{pair}
	}
	if c.state.Load() != nil && secret.Equal(read[0], c.read[0]) && secret.Equal(read[1], c.read[1]) && secret.Equal(read[2], c.read[2]) {
		return false, nil
	}
	c.read = read
	c.state.Store(next)
	return true, nil
}

// files are those that are read, and may change.
func (c *clientTLS) files() []string {
	var files []string
	for _, file := range []string{c.ca, c.cert, c.key} {
		if file != "" {
			files = append(files, file)
		}
	}
	return files
}
