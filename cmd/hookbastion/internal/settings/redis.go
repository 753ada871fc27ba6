package settings

import (
	"cmp"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/hookbastion/hookbastion/authz/replay/redis"
	"github.com/hookbastion/hookbastion/authz/secret"
	settingsv1 "github.com/hookbastion/hookbastion/proto/hookbastion/settings/v1"
)

// Redis is where nonces are kept that are kept in Redis.
type Redis struct {
	Config redis.Config
	// Alone goes on in memory while Redis is away.
	Alone bool
	// Keys is a file with the keys that replicas share; empty: Redis has them.
	Keys string
	// TLS is what connections show and believe; nil: plaintext.
	TLS *ClientTLS
}

// failer takes down what is wrong with a setting.
type failer func(message string, path ...any)

// nonceRedis reads the settings of store: REDIS; nil if it is another.
func nonceRedis(m *settingsv1.Replay, fail failer) *Redis {
	if m.GetStore() != settingsv1.Replay_REDIS {
		for name, given := range map[string]bool{"redis": m.GetRedis() != nil, "keys": m.GetKeys() != nil} {
			if given {
				fail("needs replay.store: REDIS", "replay", name)
			}
		}
		return nil
	}
	if m.GetKeys() != nil && m.GetKeys().GetFile() == "" {
		fail("is missing", "replay", "keys", "file")
	}
	s := &Redis{Keys: m.GetKeys().GetFile(), Alone: m.GetRedis().GetOnDown() == settingsv1.Redis_LOCAL}
	if m.GetRedis().GetUrl() == "" {
		fail("is missing: store: REDIS needs the address of a server, such as redis://redis:6379", "replay", "redis", "url")
		return s
	}
	s.Config, s.TLS = redisSettings(m.GetRedis(), func(message string, path ...any) {
		fail(message, append([]any{"replay", "redis"}, path...)...)
	})
	return s
}

func redisSettings(m *settingsv1.Redis, fail failer) (redis.Config, *ClientTLS) {
	c := redis.Config{
		Prefix: cmp.Or(m.GetPrefix(), redis.DefaultPrefix), WaitReplicas: int(m.GetWaitReplicas()), TrustRestart: m.GetTrustRestart(),
		Recovery: redis.DefaultRecovery, Budget: redis.DefaultBudget, Master: m.GetSentinel().GetMaster(),
	}
	if m.GetRecovery() != nil {
		c.Recovery = m.GetRecovery().AsDuration()
	}
	if m.GetBudget() != nil {
		c.Budget = m.GetBudget().AsDuration()
	}
	c.SetupUntil = timeOf(m.GetSetupUntil(), fail, "setup_until")
	redisAddress(&c, m, fail)
	files := redisTLS(m, fail)
	if files != nil {
		c.TLS = files.Config
	}
	if m.GetUsername() != "" && m.GetPassword() == nil {
		fail("is missing: a user has a password", "password")
	}
	if load := password(m.GetPassword(), fail, "password"); load != nil {
		user := m.GetUsername()
		c.Credentials = func() (string, string, error) {
			p, err := load()
			return user, p, err
		}
	}
	if load := password(m.GetSentinel().GetPassword(), fail, "sentinel", "password"); load != nil {
		user := m.GetSentinel().GetUsername()
		if _, err := load(); err != nil {
			fail(err.Error(), "sentinel", "password")
		}
		c.SentinelCredentials = func() (string, string, error) {
			p, err := load()
			return user, p, err
		}
	}
	return c, files
}

// redisAddress reads the URL. No error repeats it: there may be a password in
// it, which does not belong there.
func redisAddress(c *redis.Config, m *settingsv1.Redis, fail failer) {
	u, err := url.Parse(m.GetUrl())
	switch {
	case err != nil:
		fail("is not a URL such as redis://redis:6379", "url")
		return
	case u.User != nil:
		fail("must not hold a user or a password; they have settings of their own, replay.redis.username and password", "url")
		return
	case u.RawQuery != "" || u.Fragment != "":
		fail("must not have a query", "url")
		return
	}
	switch u.Scheme {
	case "unix":
		c.Unix, c.Addresses = true, []string{u.Path}
		if u.Path == "" || u.Host != "" || len(m.GetAddresses()) > 0 || m.GetSentinel() != nil {
			fail("must be unix:///PATH, alone", "url")
		}
		return
	case "redis", "valkey", "rediss", "valkeys":
	default:
		fail("must begin with redis://, rediss:// or unix://", "url")
		return
	}
	port := cmp.Or(u.Port(), "6379")
	if m.GetSentinel() != nil {
		port = cmp.Or(u.Port(), "26379")
		if m.GetSentinel().GetMaster() == "" {
			fail("is missing; it must not be empty", "sentinel", "master")
		}
	}
	if u.Hostname() == "" {
		fail("has no host", "url")
	}
	c.Addresses = []string{net.JoinHostPort(u.Hostname(), port)}
	for i, address := range m.GetAddresses() {
		if _, _, err := net.SplitHostPort(address); err != nil {
			fail("must be HOST:PORT", "addresses", i)
		}
		c.Addresses = append(c.Addresses, address)
	}
	if database := strings.Trim(u.Path, "/"); database != "" {
		if c.Database, err = strconv.Atoi(database); err != nil || c.Database < 0 {
			fail("must end with the number of a database, or with the port", "url")
		}
	}
}

// password returns what reads a password anew each time; nil if there is none.
func password(m *settingsv1.Redis_Password, fail failer, path ...any) func() (string, error) {
	if m == nil {
		return nil
	}
	if (m.GetFile() == "") == (m.GetEnv() == "") {
		fail("must have either file or env", path...)
		return nil
	}
	ref := secret.Ref{File: m.GetFile(), Env: m.GetEnv()}
	return func() (string, error) {
		value, err := ref.Load()
		return string(value.Reveal()), err
	}
}
