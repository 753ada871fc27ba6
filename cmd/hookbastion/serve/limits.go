package serve

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hookbastion/hookbastion/authz/fetch"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/redis"
	"github.com/hookbastion/hookbastion/authz/tenant"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
)

// limitPeriod is how often the log says at most that a limit was met.
const limitPeriod = time.Minute

// limits counts what meets limits outside of telemetry.
type limits struct {
	settings   map[string][]any // for the log, by limit
	store      *nonceStore
	fetcher    *fetch.Fetcher
	tenants    *tenant.Loader
	handshakes atomic.Int64 // clients that were refused
}

// met is how often each limit was met, by the names of telemetry.
func (l *limits) met() map[string]int64 {
	all := map[string]int64{
		"handshakes": l.handshakes.Load(), "waiting_copies": l.store.counted().Hurried, "later": l.remote().Dropped,
		"webhook_calls": l.store.shares.Refused(), "key_ids": l.fetcher.Stats(time.Now()).Unasked,
	}
	if server := l.store.server.Load(); server != nil {
		maps.Copy(all, server.Met())
	}
	return all
}

func (l *limits) remote() replay.Remote {
	if l.store.remote == nil {
		return replay.Remote{}
	}
	return l.store.remote()
}

// besides are limits that have metrics of their own, and no line in the log.
func (l *limits) besides() map[string]int64 {
	s := l.store.counted()
	return map[string]int64{
		"nonces": s.Full, "evicted_nonces": s.Evicted, "calls_of_redis": l.remote().Busy,
		"answers_of_redis": l.remote().Abandoned, "redis_away": l.remote().Opened, "unknown_tenants": l.tenants.Stats().Refused,
	}
}

// watch returns what logs that limits were met, each second.
func (l *limits) watch(recorder *telemetry.Recorder, log *slog.Logger) func(now time.Time) {
	lines := limitLog{log, l.settings, map[string]limitSaid{}}
	return func(now time.Time) {
		lines.look(now, recorder.Limits())
		lines.look(now, l.besides())
	}
}

// limitLog says that limits were met. It is for one goroutine.
type limitLog struct {
	log      *slog.Logger
	settings map[string][]any
	said     map[string]limitSaid
}

// limitSettings are the settings by which some limits are raised, with their values.
func limitSettings(l *envoy.Limits, r *settings.Redis) map[string][]any {
	inFlight := []any{"setting", "limits.in_flight", "value", l.InFlight}
	all := map[string][]any{"in_flight": inFlight, "bytes_in_flight": {"setting", "limits.bytes_in_flight", "value", l.BytesInFlight}}
	if l.InFlight < redis.DefaultInFlight {
		all["webhook_calls"] = inFlight
	}
	if r != nil {
		all["answers_of_redis"] = []any{"setting", "replay.redis.budget", "value", cmp.Or(r.Config.Budget, redis.DefaultBudget)}
	}
	return all
}

type limitSaid struct {
	count int64
	at    time.Time
}

// look says which limits were met since it last said so of them.
func (l limitLog) look(now time.Time, counts map[string]int64) {
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		said := l.said[name]
		if n := counts[name] - said.count; n > 0 && (said.at.IsZero() || now.Sub(said.at) >= limitPeriod) {
			l.said[name] = limitSaid{counts[name], now}
			l.log.Warn("a limit was met, see docs/telemetry.md#limits", append([]any{"limit", name, "times", n}, l.settings[name]...)...)
		}
	}
}
