package serve

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/authz/replay/redis"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/policy/watermark"
)

// openRedis makes a store that looks for its server once, so that one that is
// there is ready when the service is. What is wrong with it is no error: the
// service starts, and refuses.
func openRedis(ctx context.Context, s *settings.Settings, bounds memory.Config, log *slog.Logger, now time.Time) (*nonceStore, error) {
	first := replay.NewKey()
	keys := &sharedKeys{file: s.Redis.Keys, keys: []replay.Key{first}}
	config := s.Redis.Config
	config.OnEvent = func(e redis.Event) { logStore(log, s.Redis, e) }
	if keys.file == "" {
		config.OnKeys = keys.set
	} else if _, err := keys.load(); err != nil {
		return nil, err
	}
	store := redis.New(config)
	n := &nonceStore{
		Store: store, fingerprints: first.Fingerprint(), seals: first.Seal(), stats: store.Stats, remote: store.Remote,
		run: store.Run, keys: keys, open: store.Open, sweep: func(time.Time) {},
		close: func() error { store.Close(); return nil },
		keep: func(kept map[string]watermark.Kept) error {
			data, err := json.Marshal(kept)
			if err == nil {
				store.Keep(data)
			}
			return err
		},
	}
	if s.Redis.Alone {
		alone := memory.New(bounds)
		both := redis.NewFallback(store, alone)
		n.Store, n.remote, n.open = both, both.Remote, both.Open
		n.sweep = func(now time.Time) { alone.Sweep(now, sweepsPerSecond) }
	}
	n.shares = replay.NewShares(n.Store, min(s.Limits.InFlight, redis.DefaultInFlight))
	n.Store = n.shares
	var err error
	n.kept, err = keptIn(ctx, store, now)
	if err != nil {
		n.kept = map[string]watermark.Kept{} // as if all webhooks were new
		log.Warn("what the policies accepted before the start is not known: signed times from before it are refused", "error", err)
	}
	return n, nil
}

// keptIn returns what earlier processes accepted; nil if the store remembers nothing of
// them. A part of a cluster that is away is no reason to doubt the others.
func keptIn(ctx context.Context, store *redis.Store, now time.Time) (kept map[string]watermark.Kept, err error) {
	probed := store.Probe(ctx, now)
	data, err := store.Kept(ctx)
	switch {
	case err != nil:
		return nil, err
	case data == nil:
		return nil, probed // nobody knows whether it was lost
	default:
		err = json.Unmarshal(data, &kept)
		return kept, err
	}
}

// logStore says what happened to the store, and what that means.
func logStore(log *slog.Logger, s *settings.Redis, e redis.Event) {
	switch e.What {
	case redis.WentDown:
		means := "deliveries are refused with 503 until it is back"
		if s.Alone {
			means = "this replica goes on alone: a copy can pass once at each replica, marked as possible if it has no signed time"
		}
		if errors.Is(e.Err, redis.ErrReplicas) {
			log.Error("the nonce store has lost replicas: deliveries are refused with 503 until it has as many as replay.redis.wait_replicas", "error", e.Err)
			return
		}
		log.Error("the nonce store is away: "+means, "error", e.Err)
	case redis.CameUp:
		log.Info("the nonce store is there")
	case redis.BeganNew:
		log.Info("the nonce store is new", "parts", e.Shards, "setup_until", s.Config.SetupUntil)
	case redis.BeganLost:
		log.Warn("the nonce store was empty, and may have lost nonces: signed times from before are refused with 503, and what has no signed time is for replay.redis.recovery, and then marked as possible until its window has ended",
			"parts", e.Shards, "recovery", s.Config.Recovery)
	case redis.BeganRestarted:
		log.Warn("the nonce store was restarted or another server has taken over, and it may have lost nonces: signed times from before are refused with 503, and what has no signed time is for replay.redis.recovery, and then marked as possible until its window has ended",
			"parts", e.Shards, "recovery", s.Config.Recovery)
	case redis.Elsewhere:
		log.Warn("the access log tells this replica of deliveries that another has taken alone: they are settled when the nonce store is back, or else their leases end, and they may come once more, marked as possible")
	case redis.BeganEvicted:
		log.Error("the nonce store has evicted keys, and has lost nonces: signed times from before are refused with 503, and what has no signed time is for replay.redis.recovery, and then marked as possible until its window has ended",
			"parts", e.Shards, "recovery", s.Config.Recovery)
	}
}

// sharedKeys are the keys that replicas share, from Redis or from a file. It is
// safe for concurrent use. A nil one has none.
type sharedKeys struct {
	file string

	mu   sync.Mutex
	last secret.Value // of the file
	keys []replay.Key
	use  func([]replay.Key)
}

// onChange has the keys used, now and whenever they change.
func (k *sharedKeys) onChange(use func([]replay.Key)) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.use = use
	use(k.keys)
}

func (k *sharedKeys) set(keys []replay.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = keys
	if k.use != nil {
		k.use(keys)
	}
}

// load reads the file and reports whether it has changed.
func (k *sharedKeys) load() (changed bool, err error) {
	value, keys, err := settings.ReplayKeys(k.file)
	if err != nil {
		return false, err
	}
	if secret.Equal(value.Reveal(), k.last.Reveal()) {
		return false, nil
	}
	k.last = value
	k.set(keys)
	return true, nil
}

// watch reads the file again when it changes.
func (k *sharedKeys) watch(log *slog.Logger) []fileWatch {
	if k == nil || k.file == "" {
		return nil
	}
	return []fileWatch{{[]string{k.file}, logChanged(log, "replay keys", func() (bool, []any, error) {
		changed, err := k.load()
		return changed, nil, err
	})}}
}

// watchRedis reads the files of TLS again when they change. Connections that are
// there stay.
func watchRedis(s *settings.Redis, log *slog.Logger) []fileWatch {
	if s == nil || s.TLS == nil || len(s.TLS.Files()) == 0 {
		return nil
	}
	return []fileWatch{{s.TLS.Files(), logChanged(log, "certificates for Redis", func() (bool, []any, error) {
		changed, err := s.TLS.Load(time.Now())
		return changed, nil, err
	})}}
}
