package redis

import (
	"context"
	"crypto/tls"
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
		InitAddress: s.config.Addresses, SelectDB: s.config.Database, TLSConfig: s.config.TLS,
		Dialer:           net.Dialer{Timeout: dialTime, KeepAlive: time.Second},
		ConnWriteTimeout: silence, RingScaleEachConn: ringScale,
		ReadBufferEachConn: bufferSize, WriteBufferEachConn: bufferSize,
		BlockingPoolSize: s.config.InFlight + 1, PipelineMultiplex: -1, AlwaysPipelining: true,
		DisableRetry: true, DisableCache: true, ClientSetInfo: rueidis.DisableClientSetInfo, ClientName: "hookbastion",
		ClusterOption: rueidis.ClusterOption{ShardsRefreshInterval: topology, MaxMovedRedirections: 3},
	}
	if s.config.Unix {
		o.DialCtxFn = func(ctx context.Context, path string, d *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return d.DialContext(ctx, "unix", path)
		}
	}
	if s.config.Credentials != nil {
		o.AuthCredentialsFn = func(rueidis.AuthCredentialsContext) (rueidis.AuthCredentials, error) {
			user, password, err := s.config.Credentials()
			return rueidis.AuthCredentials{Username: user, Password: password}, err
		}
	}
	if s.config.Master != "" {
		o.Sentinel = rueidis.SentinelOption{
			MasterSet: s.config.Master, Username: s.config.SentinelUser, Password: s.config.SentinelPassword,
			Dialer: o.Dialer, TLSConfig: s.config.TLS, TopologyRefreshInterval: topology,
		}
	}
	return o
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
