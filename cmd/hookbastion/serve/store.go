package serve

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/replay/file"
	"github.com/hookbastion/hookbastion/authz/replay/memory"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/logwatch"
	"github.com/hookbastion/hookbastion/policy/watermark"
)

// nonceStore is the store that the settings name, and what goes with it.
type nonceStore struct {
	replay.Store
	fingerprints authz.FingerprintKey
	seals        replay.SealKey
	entries      func() int64
	stats        func() replay.Stats
	// settler counts what only the checks know; none before there is one.
	settler atomic.Pointer[replay.Settler]
	// accessLog notices that nobody settles; nil where nobody is to. open asks others
	// whether they have, and is nil where there are none. server says who is connected.
	accessLog *logwatch.Watch
	open      func(ctx context.Context, r authz.Reservation, now time.Time) (bool, error)
	server    atomic.Pointer[envoy.Server]
	// sweep does what is due, each second.
	sweep func(now time.Time)
	close func() error
	// remote is what was met of a store that lies elsewhere, shares bounds its calls, run looks after it
	// until the context ends, and keys are those that replicas share; nil if it
	// is not elsewhere.
	remote func() replay.Remote
	shares *replay.Shares // of its calls
	run    func(ctx context.Context)
	keys   *sharedKeys
	// settled: an access log came to an earlier process.
	settled bool
	// kept is what an earlier process accepted; nil if it is forgotten, with its
	// nonces. keep keeps it for a later one.
	kept map[string]watermark.Kept
	keep func(map[string]watermark.Kept) error
}

// counted is what the store has done, and what checks made of its answers.
func (n *nonceStore) counted() replay.Stats { return n.settler.Load().Counted(n.stats()) }

// sweepsPerSecond is how many parts of the nonce store are looked at, besides
// those that are in use.
const sweepsPerSecond = 1024

func openStore(ctx context.Context, s *settings.Settings, log *slog.Logger, now time.Time) (*nonceStore, error) {
	config := memory.Config{MaxEntries: s.MaxEntries, MaxPending: s.MaxPending}
	if s.File != nil {
		return openFile(file.Config{Dir: s.File.Path, Sync: s.File.Sync, Memory: config, SetupUntil: s.SetupUntil}, log, now)
	}
	if s.Redis != nil {
		return openRedis(ctx, s, config, log, now)
	}
	if !now.Before(s.SetupUntil) {
		config.Started = now
		log.Info("nothing is known of deliveries before the start: signed times that could have come before are refused, and what has no signed time is marked as possible until its window has ended since, unless replay.setup_until says that nothing came")
	}
	m := memory.New(config)
	return &nonceStore{
		Store: m, fingerprints: authz.NewFingerprintKey(), seals: replay.NewSealKey(), entries: m.Entries, stats: m.Stats,
		sweep: func(now time.Time) { m.Sweep(now, sweepsPerSecond) },
		close: func() error { return nil },
		keep:  func(map[string]watermark.Kept) error { return nil },
	}, nil
}

func openFile(config file.Config, log *slog.Logger, now time.Time) (*nonceStore, error) {
	f, err := file.Open(config, now)
	if err != nil {
		return nil, err
	}
	logRecovery(log, config.Dir, f.Recovery(), f.Entries())
	n := &nonceStore{
		settled: f.Recovery().Settled,
		Store:   f, fingerprints: f.FingerprintKey(), seals: f.SealKey(), entries: f.Entries, stats: f.Stats,
		close: f.Close,
		keep: func(kept map[string]watermark.Kept) error {
			data, err := json.Marshal(kept)
			if err != nil {
				return err
			}
			return f.Keep(data)
		},
	}
	broken := false
	n.sweep = func(now time.Time) {
		f.Sweep(now, sweepsPerSecond)
		err := f.Log().Err
		switch {
		case err != nil && !broken:
			log.Error("the nonce log cannot be written: deliveries are refused with 503 until it can", "directory", config.Dir, "error", err)
		case err == nil && broken:
			log.Info("the nonce log can be written again", "directory", config.Dir)
		}
		broken = err != nil
	}
	if !f.Recovery().New {
		n.kept = map[string]watermark.Kept{}
		data, err := f.Kept()
		if err == nil && data != nil {
			err = json.Unmarshal(data, &n.kept)
		}
		if err != nil {
			n.kept = map[string]watermark.Kept{} // as if all webhooks were new
			log.Warn("what the policies accepted before the start is not known: signed times from before it are refused", "directory", config.Dir, "error", err)
		}
	}
	return n, nil
}

func logRecovery(log *slog.Logger, dir string, r file.Recovery, nonces int64) {
	if r.Full != nil {
		log.Error("there is no room for the nonce log: deliveries are refused with 503 until there is", "directory", dir, "error", r.Full)
	}
	switch {
	case r.New:
		log.Info("new nonce log: signed times that could have come before the start are refused, and what has no signed time is marked as possible until its window has ended since, unless replay.setup_until says that nothing came", "directory", dir)
		return
	case r.PowerLoss:
		log.Warn("the system went down while the nonce log was written: signed times that could have come before the start are refused; deliveries without a signed time that were accepted just before it may pass once more, marked as possible", "directory", dir)
	case r.Lossy:
		log.Error("the last write to the nonce log is damaged or missing: signed times that could have come before the start are refused; deliveries without a signed time that it held may pass once more, marked as possible", "directory", dir, "damage", r.Damage)
	}
	if r.ClockBack > 0 {
		log.Warn("the clock was set back: signed times that could have come before the start are refused, and what has no signed time is marked as possible until its window has ended", "directory", dir, "by", r.ClockBack)
	}
	if r.Copied || r.Gap > 0 {
		log.Warn("the directory may have been put in place from an older copy: signed times that could have come before the start are refused; deliveries without a signed time that were accepted since the copy was made may pass once more, marked as possible",
			"directory", dir, "other_files", r.Copied, "not_written_for", r.Gap)
	}
	log.Info("nonce log read", "directory", dir, "nonces", nonces, "entries", r.Entries, "after_crash", r.Crash, "torn_bytes", r.Cut)
}

// keepBoth keeps what both tables accept alike: any of them may serve next.
// What is not kept counts as new at a start.
func (n *nonceStore) keepBoth(serves, next *authz.Table) error {
	both := watermark.KeptBy(next)
	before := watermark.KeptBy(serves)
	for name, k := range both {
		if before[name] != k {
			delete(both, name)
		}
	}
	return n.keep(both)
}
