package settings

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookbastion/hookbastion/authz/files"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/transport"
	"github.com/hookbastion/hookbastion/envoy/mtls"
	settingsv1 "github.com/hookbastion/hookbastion/proto/hookbastion/settings/v1"
)

// ClientTLS is what connections to a server show and whom they believe, from
// files that may change. After an error the last good content stays. It is safe
// for concurrent use.
type ClientTLS struct {
	CA, Cert, Key string // files; empty: the machine's authorities, no certificate
	Name          string // that servers must have; empty: the host of each address

	mu    sync.Mutex // held by load
	read  [3][]byte
	state atomic.Pointer[tls.Config]
}

// redisTLS reads the settings of TLS; nil for plaintext. Each fault has the place
// of its setting.
func redisTLS(m *settingsv1.Redis, fail failer) *ClientTLS {
	c := &ClientTLS{CA: m.GetCa(), Cert: m.GetCert(), Key: m.GetKey(), Name: m.GetServerName()}
	if u, err := url.Parse(m.GetUrl()); err != nil || u.Scheme != "rediss" && u.Scheme != "valkeys" {
		for name, value := range map[string]string{"ca": c.CA, "cert": c.Cert, "key": c.Key, "server_name": c.Name} {
			if value != "" {
				fail("has no use without rediss://", name)
			}
		}
		return nil
	}
	switch {
	case c.Cert != "" && c.Key == "":
		fail("is missing: a certificate has a key", "key")
	case c.Cert == "" && c.Key != "":
		fail("is missing: a key has a certificate", "cert")
	default:
		if _, err := c.Load(time.Now()); err != nil {
			place := "ca"
			if errors.As(err, new(certificateError)) {
				place = "cert"
			}
			fail(err.Error(), place)
		}
	}
	return c
}

// certificateError is what is wrong with the certificate or its key, and not with
// the authorities.
type certificateError struct{ error }

func (e certificateError) Unwrap() error { return e.error }

// Config is what was loaded last; nil before that.
func (c *ClientTLS) Config() *tls.Config { return c.state.Load() }

// Load reads the files and reports whether anything is new. The certificate must
// be valid now; with the zero time, the server judges that.
func (c *ClientTLS) Load(now time.Time) (changed bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	next := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.Name}
	var read [3][]byte
	if c.CA != "" {
		if read[0], _, err = files.Read(c.CA, mtls.MaxBytes); err != nil {
			return false, fmt.Errorf("%s: %w", c.CA, err)
		}
		if next.RootCAs, err = transport.Pool(read[0]); err != nil {
			return false, fmt.Errorf("%s: %w", c.CA, err)
		}
	}
	if c.Cert != "" {
		for i, file := range []string{c.Cert, c.Key} {
			if read[1+i], _, err = files.Read(file, mtls.MaxBytes); err != nil {
				return false, certificateError{fmt.Errorf("%s: %w", file, err)}
			}
		}
		pair, err := mtls.Pair(c.Cert, c.Key, read[1], read[2], now)
		if err != nil {
			return false, certificateError{err}
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

// Files are those that are read, and may change.
func (c *ClientTLS) Files() []string {
	var names []string
	for _, file := range []string{c.CA, c.Cert, c.Key} {
		if file != "" {
			names = append(names, file)
		}
	}
	return names
}
