package redis_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/redis"
	"github.com/hookbastion/hookbastion/authz/replay/redis/redistest"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
	"github.com/hookbastion/hookbastion/envoy/envoytest"
)

// authority is one, and its file.
func authority(t *testing.T, dir string) (*envoytest.Authority, string) {
	t.Helper()
	a, err := envoytest.NewAuthority("authority")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(file, a.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	return a, file
}

// certificate issues one of the authority.
func certificate(t *testing.T, a *envoytest.Authority, dir, ca string, names ...string) *redistest.TLS {
	t.Helper()
	cert, key, err := a.IssueFiles(dir, "redis", envoytest.Issue{Name: "redis", DNS: names})
	if err != nil {
		t.Fatal(err)
	}
	return &redistest.TLS{Cert: cert, Key: key, CA: ca}
}

// believing is a client's TLS.
func believing(t *testing.T, a *envoytest.Authority, name string, show *redistest.TLS) *tls.Config {
	t.Helper()
	c := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12, ServerName: name}
	c.RootCAs.AppendCertsFromPEM(a.PEM)
	if show != nil {
		pair, err := tls.LoadX509KeyPair(show.Cert, show.Key)
		if err != nil {
			t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}

// Over TLS, each way to find a server checks the certificates of all that it
// meets, and shows one where it is asked for. What is wrong says what.
func TestTLS(t *testing.T) {
	ways := map[string]func(t *testing.T, o redistest.Options) redis.Config{
		"one server": func(t *testing.T, o redistest.Options) redis.Config {
			o.TCP = true
			return config(redistest.Start(t, o))
		},
		"sentinels": func(t *testing.T, o redistest.Options) redis.Config {
			master, _, sentinels := startSentinels(t, o, "")
			c := config(master)
			c.Addresses, c.Master = sentinels, "hooks"
			return c
		},
		"a cluster": func(t *testing.T, o redistest.Options) redis.Config {
			nodes, addresses := startCluster(t, o)
			c := config(nodes[0])
			c.Addresses = addresses
			return c
		},
	}
	for way, start := range ways {
		t.Run(way, func(t *testing.T) {
			eachAtOnce(t, func(t *testing.T, kind string) {
				dir := t.TempDir()
				a, ca := authority(t, dir)
				other, _ := authority(t, t.TempDir())
				files := certificate(t, a, dir, ca, "nonces.example.com")
				files.Clients = true
				c := start(t, redistest.Options{Kind: kind, TLS: files})
				for name, config := range map[string]*tls.Config{
					"by the address":                       believing(t, a, "", files),
					"by the name":                          believing(t, a, "nonces.example.com", files),
					"not redis.example.com":                believing(t, a, "redis.example.com", files),
					"certificate signed by unknown author": believing(t, other, "", files),
					"":                                     believing(t, a, "", nil), // no certificate is shown
				} {
					c.TLS = func() *tls.Config { return config }
					s := redis.New(c)
					t.Cleanup(s.Close)
					if strings.HasPrefix(name, "by") {
						probeUntil(t, s, replaytest.Start, good)
						for n := range uint64(20) {
							delivered(t, s, replaytest.Signed(uint64(len(name))<<8+n, replaytest.Start), n+1, replaytest.Start)
						}
						continue
					}
					if err := s.Probe(context.Background(), replaytest.Start); err == nil || !strings.Contains(err.Error(), name) {
						t.Errorf("want %q, got %v", name, err)
					}
				}
				c.TLS = nil
				s := redis.New(c)
				defer s.Close()
				if err := s.Probe(context.Background(), replaytest.Start); err == nil {
					t.Error("plaintext")
				}
			})
		})
	}
}

// A server gets a certificate of another authority. What the store believes has
// been read again by then, and it goes on.
func TestAnotherAuthority(t *testing.T) {
	dir := t.TempDir()
	a, ca := authority(t, dir)
	files := certificate(t, a, dir, ca)
	files.Clients = true
	server := redistest.Start(t, redistest.Options{TCP: true, TLS: files})
	c := config(server)
	config := believing(t, a, "", files)
	c.TLS = func() *tls.Config { return config }
	s := open(t, c)
	delivered(t, s, replaytest.Signed(1, start), 1, start)
	a, ca = authority(t, dir)
	files.CA = ca
	*files = *certificate(t, a, dir, ca)
	files.Clients = true
	server.Kill()
	server.Restart()
	if err := s.Probe(context.Background(), start); err == nil {
		t.Fatal("it believes an authority that it does not know")
	}
	config = believing(t, a, "", files)
	probe(t, s, start)
	now := start.Add(10 * replay.Skew)
	want(t, s, replaytest.Signed(2, now), 2, now, replay.Reserved)
}

// Sentinels have users of their own, and are not told the password of the
// servers.
func TestPasswordsOfSentinels(t *testing.T) {
	eachAtOnce(t, func(t *testing.T, kind string) {
		const more = "sentinel auth-pass hooks for-servers\nuser hooks on >for-sentinels ~* &* +@all\n"
		master, replica, sentinels := startSentinels(t, redistest.Options{Kind: kind, Password: "for-servers"}, more)
		_ = replica
		c := config(master)
		c.Addresses, c.Master = sentinels, "hooks"
		c.Credentials = func() (string, string, error) { return "", "for-servers", nil }
		sentinel := "wrong"
		c.SentinelCredentials = func() (string, string, error) { return "hooks", sentinel, nil }
		s := redis.New(c)
		defer s.Close()
		if err := s.Probe(context.Background(), start); err == nil {
			t.Fatal("the password of sentinels is not used")
		}
		sentinel = "for-sentinels" // it is read again
		probeUntil(t, s, start, good)
		delivered(t, s, replaytest.Signed(1, start), 1, start)
	})
}
