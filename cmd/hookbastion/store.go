package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/redis"
	"github.com/hookbastion/hookbastion/authz/secret"
	settingsv1 "github.com/hookbastion/hookbastion/proto/hookbastion/settings/v1"
)

// nonceStore is the store that the settings name, with what the service must
// do for it. Functions that it does not need are nil.
type nonceStore struct {
	replay.Store
	stats   func() replay.Stats
	entries func() int64
	remote  func() replay.Remote
	// start is called once, before the first delivery.
	start func(ctx context.Context) error
	// sweep is called each second, run until the context ends.
	sweep func(now time.Time)
	run   func(ctx context.Context)
	close func() error
}

// newStore makes the store. Replicas that share one get their keys over use,
// when it starts and whenever they change.
func newStore(s *settings, log *slog.Logger, use func([]replay.Key)) *nonceStore {
	switch s.store {
	case settingsv1.Replay_REDIS:
		return newRedis(s, log, use)
	default:
		memory := replay.NewMemory(replay.MemoryConfig{MaxEntries: s.maxEntries, MaxPending: s.maxPending, Started: time.Now()})
		return &nonceStore{
			Store: memory, stats: memory.Stats, entries: memory.Entries,
			sweep: func(now time.Time) { memory.Sweep(now, sweepsPerSecond) },
		}
	}
}

// newRedis makes a store that looks for its server once when it starts, so that
// one that is there is ready when the service is. What is wrong with it is no
// error: the service starts, and refuses.
func newRedis(s *settings, log *slog.Logger, use func([]replay.Key)) *nonceStore {
	config := s.redis
	config.OnEvent = func(e redis.Event) { logStore(log, s, e) }
	if s.keysFile == "" {
		config.OnKeys = use
	}
	store := redis.New(config)
	n := &nonceStore{
		Store: store, stats: store.Stats, remote: store.Remote, run: store.Run,
		close: func() error { store.Close(); return nil },
	}
	n.start = func(ctx context.Context) error {
		if s.keysFile != "" {
			if _, err := (&keyFile{name: s.keysFile, use: use}).load(); err != nil {
				return err
			}
		}
		_ = store.Probe(ctx, time.Now()) // it has told what is wrong
		return nil
	}
	if s.alone {
		memory := replay.NewMemory(replay.MemoryConfig{MaxEntries: s.maxEntries, MaxPending: s.maxPending})
		both := redis.NewFallback(store, memory)
		n.Store, n.remote = both, both.Remote
		n.sweep = func(now time.Time) { memory.Sweep(now, sweepsPerSecond) }
	}
	return n
}

// logStore says what happened to the store, and what that means.
func logStore(log *slog.Logger, s *settings, e redis.Event) {
	switch e.What {
	case redis.WentDown:
		means := "deliveries are refused with 503 until it is back"
		if s.alone {
			means = "this replica goes on alone: a copy can pass once at each replica"
		}
		log.Error("the nonce store is away: "+means, "error", e.Err)
	case redis.CameUp:
		log.Info("the nonce store is there")
	case redis.BeganNew:
		log.Info("the nonce store is new", "parts", e.Shards, "setup_until", s.redis.SetupUntil)
	case redis.BeganLost:
		log.Warn("the nonce store was empty, and may have lost nonces: signed times from before are refused with 503, and what has no signed time is for replay.redis.recovery",
			"parts", e.Shards, "recovery", s.redis.Recovery)
	case redis.BeganRestarted:
		log.Warn("the nonce store was restarted or another server has taken over, and it may have lost nonces: signed times from before are refused with 503, and what has no signed time is for replay.redis.recovery",
			"parts", e.Shards, "recovery", s.redis.Recovery)
	}
}

// keyFile is the file with the keys that replicas share.
type keyFile struct {
	name string
	use  func([]replay.Key)
	last secret.Value
}

// load reads the file and reports whether it has changed.
func (k *keyFile) load() (changed bool, err error) {
	value, err := secret.Ref{File: k.name}.Load()
	if err != nil {
		return false, err
	}
	keys, err := replay.ParseKeys(value.Reveal())
	if err != nil {
		return false, fmt.Errorf("%s: %w", k.name, err)
	}
	if secret.Equal(value.Reveal(), k.last.Reveal()) {
		return false, nil
	}
	k.last = value
	k.use(keys)
	return true, nil
}

// watchKeys reads the file again when it changes.
func (r *running) watchKeys(name string, use func([]replay.Key), log *slog.Logger) {
	if name == "" {
		return
	}
	k := &keyFile{name: name, use: use}
	r.watched = append(r.watched, fileWatch{[]string{name}, logChanged(log, "replay keys", func() (bool, []any, error) {
		changed, err := k.load()
		return changed, nil, err
	})})
}
