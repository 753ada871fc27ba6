package redis

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

const (
	// dialTime bounds a new connection, its handshake included.
	dialTime = time.Second
	// silence is how long an answer may be due before a connection is given up.
	silence = 2 * time.Second
	// topology is how often sentinels and clusters are asked who is master.
	topology = 5 * time.Second
	// ringScale: 2^9 calls fit into a connection's queue, more than may be in
	// flight together with those that nobody waits for any more.
	ringScale  = 10
	bufferSize = 64 << 10
)

// connect returns the client, or makes one. The caller holds probing.
func (s *Store) connect() (*connection, error) {
	if c := s.client.Load(); c != nil {
		return c, nil
	}
	client, err := rueidis.NewClient(s.options())
	if err != nil {
		return nil, err
	}
	c := &connection{Client: client, cluster: client.Mode() == rueidis.ClientModeCluster}
	s.client.Store(c)
	return c, nil
}

// options never retry: whether a script has run must not be guessed. One
// connection to each server keeps the order of a reservation and its release.
func (s *Store) options() rueidis.ClientOption {
	o := rueidis.ClientOption{
		InitAddress: s.config.Addresses, SelectDB: s.config.Database,
		Dialer: net.Dialer{Timeout: dialTime, KeepAlive: time.Second}, DialCtxFn: s.dial,
		ConnWriteTimeout: silence, RingScaleEachConn: ringScale,
		ReadBufferEachConn: bufferSize, WriteBufferEachConn: bufferSize,
		BlockingPoolSize: s.config.InFlight + 1, PipelineMultiplex: -1, AlwaysPipelining: true,
		DisableRetry: true, DisableCache: true, ClientSetInfo: rueidis.DisableClientSetInfo, ClientName: "hookbastion",
		ClusterOption:     rueidis.ClusterOption{ShardsRefreshInterval: topology, MaxMovedRedirections: 3},
		AuthCredentialsFn: s.credentials,
	}
	if s.config.TLS != nil {
		o.TLSConfig = toServers // has a cluster's ports for TLS used
	}
	if s.config.Master != "" {
		o.Sentinel = rueidis.SentinelOption{MasterSet: s.config.Master, Dialer: o.Dialer, TLSConfig: toSentinels, TopologyRefreshInterval: topology}
	}
	return o
}

// toServers and toSentinels tell connections apart. What they hold is not used.
var toServers, toSentinels = &tls.Config{MinVersion: tls.VersionTLS12}, &tls.Config{MinVersion: tls.VersionTLS12}

// dial makes a connection, with the TLS of the moment.
func (s *Store) dial(ctx context.Context, address string, d *net.Dialer, to *tls.Config) (net.Conn, error) {
	network := "tcp"
	if s.config.Unix {
		network = "unix"
	}
	var conn net.Conn
	var err error
	if s.config.TLS == nil {
		conn, err = d.DialContext(ctx, network, address)
	} else {
		conn, err = (&tls.Dialer{NetDialer: d, Config: s.config.TLS()}).DialContext(ctx, network, address)
		if err != nil {
			err = fmt.Errorf("%s: %w", address, err)
		}
	}
	if err == nil && to == toSentinels {
		conn = sentinel{conn}
	}
	return conn, err
}

// sentinel is a connection to one.
type sentinel struct{ net.Conn }

func (s sentinel) RemoteAddr() net.Addr { return sentinelAddr{s.Conn.RemoteAddr()} }

type sentinelAddr struct{ net.Addr }

// credentials returns user and password for a connection: sentinels have others
// than the servers that they know.
func (s *Store) credentials(to rueidis.AuthCredentialsContext) (c rueidis.AuthCredentials, err error) {
	load := s.config.Credentials
	if _, ok := to.Address.(sentinelAddr); ok {
		load = s.config.SentinelCredentials
	}
	if load != nil {
		c.Username, c.Password, err = load()
	}
	return c, err
}

// disconnectIf gives the client up where an address has come to lead to a server
// that is no master: a connection to it would stay.
func (s *Store) disconnectIf(err error) {
	re, ok := said(err)
	if !ok || !strings.HasPrefix(re.Error(), "READONLY") {
		return
	}
	if c := s.client.Swap(nil); c != nil {
		go c.Close() // it waits for calls
	}
}
