package redis_test

import (
	"context"
	"testing"
	"time"

	"github.com/hookbastion/hookbastion/authz/authztest/fetched"
	"github.com/hookbastion/hookbastion/authz/authztest/leak"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/redis"
	"github.com/hookbastion/hookbastion/authz/replay/redis/redistest"
	"github.com/hookbastion/hookbastion/authz/replay/replaytest"
)

func TestMain(m *testing.M) {
	fetched.Need(redistest.Find)
	leak.Main(m)
}

var start = replaytest.Start

// patient is a budget that no loaded machine exceeds.
const patient = 10 * time.Second

// config is for a server, which may be new until long after the suite's time.
func config(s *redistest.Server) redis.Config {
	return redis.Config{Addresses: []string{s.Address}, Unix: s.Unix, Budget: patient, SetupUntil: start.Add(1e6 * time.Hour), InFlight: 2000}
}

// open returns a store that was probed.
func open(t testing.TB, c redis.Config) *redis.Store {
	t.Helper()
	s := redis.New(c)
	t.Cleanup(s.Close)
	if err := s.Probe(context.Background(), start); err != nil {
		t.Fatal(err)
	}
	return s
}

func each(t *testing.T, f func(t *testing.T, kind string)) {
	for _, kind := range redistest.Kinds {
		t.Run(kind, func(t *testing.T) { f(t, kind) })
	}
}

// eachAtOnce is for tests that mostly wait.
func eachAtOnce(t *testing.T, f func(t *testing.T, kind string)) {
	each(t, func(t *testing.T, kind string) {
		t.Parallel()
		f(t, kind)
	})
}

func TestConforms(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		server := redistest.Start(t, redistest.Options{Kind: kind})
		replaytest.RunSteps(t, 10_000, func(t *testing.T) replay.Store {
			server.Do("FLUSHALL")
			return open(t, config(server))
		})
	})
}

func TestAfterALoss(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		server := redistest.Start(t, redistest.Options{Kind: kind})
		c := config(server)
		c.Recovery = time.Second
		replaytest.Losses(t, func(t *testing.T) replaytest.Subject {
			server.Do("FLUSHALL")
			p := &pair{t: t, server: server, stores: [2]*redis.Store{open(t, c), open(t, c)}}
			s := p.subject()
			s.Recovery = c.Recovery + replay.Skew
			return s
		})
	})
}

// again makes the server and two stores as good as new, much faster than to
// make new ones.
const again = `
for _, key in ipairs(redis.call('KEYS', '*')) do
  if string.match(key, 'epoch$') then
    redis.call('SET', key, (string.gsub(redis.call('GET', key), ' %d+', ' 0', 1)))
  else
    redis.call('DEL', key)
  end
end
return 1`

// recovery is short enough that the model's third delivery comes after it.
const recovery = 20 * time.Second

// pair is two replicas on one server, in the hands of the model. A restart is
// that of the server, which forgets everything.
type pair struct {
	t      *testing.T
	server *redistest.Server
	stores [2]*redis.Store
	before int64
}

func (p *pair) possible() int64 {
	return p.stores[0].Stats().Possible + p.stores[1].Stats().Possible
}

func (p *pair) subject() replaytest.Subject {
	p.before = p.possible()
	return replaytest.Subject{
		Replicas: [2]replay.Store{p.stores[0], p.stores[1]},
		Restart:  p.lose, Unbounded: true,
		Uncertain: replay.Skew + time.Minute, // a signed time may be that far ahead
		Recovery:  replay.Skew + recovery,
		Possible:  func() int64 { return p.possible() - p.before },
	}
}

func (p *pair) lose(at time.Time) replaytest.Subject {
	p.server.Do("FLUSHALL")
	for _, s := range p.stores {
		if err := s.Probe(context.Background(), at); err != nil {
			p.t.Fatal(err)
		}
		s.ForgetNear() // it would know more than it must
	}
	return p.subject()
}

func TestModel(t *testing.T) {
	every := 691
	if raceDetector {
		every = 1_381 // make models: more
	}
	each(t, func(t *testing.T, kind string) {
		server := redistest.Start(t, redistest.Options{Kind: kind})
		c := config(server)
		c.Recovery = recovery
		p := &pair{t: t, server: server, stores: [2]*redis.Store{open(t, c), open(t, c)}}
		replaytest.Model(t, replaytest.Models{
			New: func(int) replaytest.Subject {
				server.Do("EVAL", again, "0")
				for _, s := range p.stores {
					s.ForgetNear()
				}
				return p.subject()
			},
			Every: every, Steps: 20_000,
		})
	})
}
