// Package mtls accepts connections over TLS, and only from clients that show a
// certificate of a known authority with an allowed name.
//
// The server's certificate and the clients' authorities come from files, and a
// changed file is taken into service without a restart: [Server.Load] reads all
// of them and swaps them in one step, and after an error the last good ones
// stay. A connection keeps what it began with. A handshake is finished before
// the connection is handed on, so that whoever cannot finish one takes no
// place among those who can.
//
// A certificate that was revoked is not noticed: give certificates a short
// life, or take the authority out of the file.
package mtls

import (
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hookbastion/hookbastion/authz/files"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/transport"
)

// Errors of New and Load, wrapped with the file.
var (
	ErrNotValidNow = errors.New("the certificate has expired or is not valid yet")
	ErrNoAuthority = errors.New("needs the authority of the clients' certificates")
)

// MaxBytes is the size of the largest file that is read: a bundle of authorities has
// some hundred KiB.
const MaxBytes = 4 << 20

// Config says which files to read and whom to accept.
type Config struct {
	// Cert and Key are PEM files: the server's certificate with its chain, and
	// the key. Required.
	Cert, Key string
	// ClientCA is a PEM file of authorities. Empty: clients need no
	// certificate.
	ClientCA string
	// ClientSANs are names of which a client's certificate must have one:
	// URIs, such as SPIFFE ids, and DNS names. Compared exactly, DNS names
	// without regard to letter case. Empty: any certificate of the authority.
	ClientSANs []string
	// MinVersion is TLS 1.3 if 0.
	MinVersion uint16
	// NextProtos is what ALPN (RFC 7301) offers.
	NextProtos []string
	// Now is the clock; time.Now if nil.
	Now func() time.Time
}

// Server holds what handshakes need. It is safe for concurrent use.
type Server struct {
	config Config
	names  transport.Names
	now    func() time.Time

	mu    sync.Mutex // held by Load
	read  [3][]byte  // the content of the files, as served
	state atomic.Pointer[state]
}

// state is what new connections get.
type state struct {
	tls      *tls.Config
	notAfter time.Time
}

// New reads the files.
func New(config Config) (*Server, error) {
	s := &Server{config: config, now: config.Now}
	if s.now == nil {
		s.now = time.Now
	}
	var err error
	if s.names, err = transport.ParseNames(config.ClientSANs); err != nil {
		return nil, err
	}
	if len(config.ClientSANs) > 0 && config.ClientCA == "" {
		return nil, ErrNoAuthority
	}
	_, err = s.Load()
	return s, err
}

// Files are the files that are read.
func (s *Server) Files() []string {
	names := []string{s.config.Cert, s.config.Key}
	if s.config.ClientCA != "" {
		names = append(names, s.config.ClientCA)
	}
	return names
}

// NotAfter is when the certificate that serves now expires.
func (s *Server) NotAfter() time.Time { return s.state.Load().notAfter }

// Load reads the files again and reports whether anything is new. After an
// error the last good content stays.
func (s *Server) Load() (changed bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var read [3][]byte
	all, err := files.ReadAll(s.Files(), MaxBytes)
	if err != nil {
		return false, err
	}
	copy(read[:], all)
	if s.state.Load() != nil && secret.Equal(read[0], s.read[0]) && secret.Equal(read[1], s.read[1]) && secret.Equal(read[2], s.read[2]) {
		return false, nil
	}
	next, err := s.prepare(read[0], read[1], read[2])
	if err != nil {
		return false, err
	}
	s.read = read
	s.state.Store(next)
	return true, nil
}

// Pair makes a certificate of what its file and that of its key hold, in PEM
// form. A key that is not its own is an error, and so is a certificate that is
// not valid at the time; the zero time leaves that to the other side.
func Pair(certFile, keyFile string, cert, key []byte, at time.Time) (tls.Certificate, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("%s and %s: %w", certFile, keyFile, err)
	}
	if !at.IsZero() && (at.Before(pair.Leaf.NotBefore) || at.After(pair.Leaf.NotAfter)) {
		return tls.Certificate{}, fmt.Errorf("%s: %w", certFile, ErrNotValidNow)
	}
	return pair, nil
}

func (s *Server) prepare(cert, key, authorities []byte) (*state, error) {
	pair, err := Pair(s.config.Cert, s.config.Key, cert, key, s.now())
	if err != nil {
		return nil, err
	}
	c := &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   s.config.MinVersion,
		NextProtos:   s.config.NextProtos,
		Time:         s.now,
		// A resumed session would be one that these authorities never saw.
		SessionTicketsDisabled: true,
	}
	if c.MinVersion == 0 {
		c.MinVersion = tls.VersionTLS13
	}
	if s.config.ClientCA != "" {
		if c.ClientCAs, err = transport.Pool(authorities); err != nil {
			return nil, fmt.Errorf("%s: %w", s.config.ClientCA, err)
		}
		c.ClientAuth = tls.RequireAndVerifyClientCert
		c.VerifyConnection = func(cs tls.ConnectionState) error {
			if len(cs.PeerCertificates) == 0 {
				return transport.ErrName
			}
			return s.names.Check(cs.PeerCertificates[0])
		}
	}
	return &state{tls: c, notAfter: pair.Leaf.NotAfter}, nil
}
