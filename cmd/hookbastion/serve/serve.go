// Package serve is the subcommand serve: the service, made of stores, listeners
// and telemetry.
package serve

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/fetch"
	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/tenant"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/captures"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
	"github.com/hookbastion/hookbastion/envoy/telemetry/recent"
	"github.com/hookbastion/hookbastion/policy/watch"
	"github.com/hookbastion/hookbastion/policy/watermark"
)

// Options is what the demo and tests set.
type Options struct {
	Log     *slog.Logger
	Records io.Writer              // in place of the setting
	Ready   func(*Info)            // called once, when the service serves
	Spans   sdktrace.SpanProcessor // in place of what OTEL_… variables say
	// InForce lists the settings for operators; nil if they come from nowhere.
	InForce func() []settings.Value
	// Hurry is closed when a stop is to wait for nothing more: calls in flight end, and
	// what is left to export is dropped. The store is closed all the same. nil: never.
	Hurry <-chan struct{}
}

// environment is where OTEL_… variables are looked up. The demo, which has
// spans for itself, exports nothing else.
func (o *Options) environment() func(string) string {
	if o.Spans != nil {
		return func(string) string { return "" }
	}
	return os.Getenv
}

// Info says where a running service listens.
type Info struct {
	GRPC, HTTP net.Addr
	Admin      net.Addr // nil: nowhere
}

// Run runs the service until the context ends. Whatever keeps it from
// serving is an error; nothing that fails leaves a half of it running.
func Run(ctx context.Context, s *settings.Settings, o Options) (err error) {
	logSDK(o.Log) // before the SDK has anything to say

	// The nonce store comes first and is closed last: it outlives every table, and
	// what it knows of earlier ones says what the first may accept.
	store, err := openStore(ctx, s, o.Log, time.Now())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.close()) }()
	store.accessLog = newLogWatch(s, store, o.Log)

	// Telemetry, before what it counts; it ends before the store does.
	records, closeRecords, err := openRecords(s, o)
	if err != nil {
		return err
	}
	defer closeRecords()
	sdk, err := newSDK(ctx, sdkOptions{getenv: o.environment(), records: s.RecordsOTLP, replica: replicaName(), spans: o.Spans})
	if err != nil {
		return err
	}
	defer sdk.stop(o.Hurry)
	secrets := newSecretLog(o.Log)
	watcher := &watch.Watcher{Paths: s.Policies, OnSecrets: secrets.changed, OnPolled: logPolled(o.Log, s.Policies)}
	tenants := tenant.NewLoader(tenant.Config{Entries: s.Tenants, OnChange: secrets.change})
	fetcher, roots, err := newFetcher(&s.Fetch, o.Log)
	if err != nil {
		return err
	}
	decisions := keepDecisions(s)
	anomalies, err := newWatchman(s, o.Log)
	if err != nil {
		return err
	}
	bounds := &limits{settings: limitSettings(&s.Limits, s.Redis), store: store, fetcher: fetcher, tenants: tenants}
	recorder, err := newRecorder(s, o.Log, records, decisions, sdk, bounds, watcher, anomalies)
	if err != nil {
		return err
	}
	defer recorder.Close()

	// Replay protection: it counts by the recorder, and every table uses the same.
	p := &policies{
		settings: s, store: store, nonces: recorder.Store(store.Store), tenants: tenants,
		fingerprinter: authz.NewFingerprinter(store.fingerprints), recorder: recorder, log: o.Log, fetcher: fetcher, roots: roots,
		ranges: ranges.NewKeeper(s.Ranges),
	}
	if s.Admin.Listen != "" {
		p.inspector = &inspector{settings: s}
	}
	p.settler = newSettler(s, store, p.nonces, o.Log)
	store.settler.Store(p.settler)
	store.keys.onChange(func(keys []replay.Key) { replay.UseKeys(keys, p.settler, p.fingerprinter) })

	// Policies: none, or a bad one, is the end here; later the last good ones stay.
	if err := p.load(watcher); err != nil {
		return err
	}

	// What answers: Envoy, probes and operators.
	signer, err := newSigner(s)
	if err != nil {
		return err
	}
	s.Limits.Refused = logNoPlace(o.Log, s.Limits.Connections)
	kept := keepCaptures(s, o.Log)
	state := &condition{watcher, recorder, fetcher, store.accessLog}
	r := &running{
		server: store.serving(&envoy.Service{
			Source: watcher, Mapping: s.Mapping, Telemetry: recorder, Settler: p.settler, Assertions: signer, ShortMetadata: s.ShortMetadata, Captures: kept,
		}, s.Limits),
		site:    newSite(state, sdk.metrics, signer, o.Log),
		watcher: watcher,
		store:   store,
		fetcher: fetcher,
		sweep:   sweeper(store, bounds.watch(recorder, o.Log)),
		bounds:  bounds, anomalies: anomalies,
	}
	known := &counted{since: time.Now().UTC(), recorder: recorder, watcher: watcher, fetcher: fetcher, recent: decisions, inspector: p.inspector, anomalies: anomalies, captures: kept}
	if r.admin, err = newAdmin(s, p.settler, known, o.Log); err != nil {
		return err
	}
	r.admin.inForce = o.InForce
	if s.Admin.Listen != "" {
		r.admin.show(newConsole(r.admin, known, state, o.Log))
	}
	r.watched = slices.Concat(store.keys.watch(o.Log), watchRedis(s.Redis, o.Log), r.admin.access.watch(), watchSigner(signer, o.Log))

	// Listeners come last: nobody reaches a service that is not whole.
	if err := r.listen(s, o.Log); err != nil {
		return err
	}
	return r.run(ctx, s, o)
}

// newRecorder makes what counts and records, with what it asks for at each scrape.
func newRecorder(s *settings.Settings, log *slog.Logger, records *telemetry.Writer, decisions *recent.Ring, sdk *sdk, bounds *limits, watcher *watch.Watcher, anomalies *watchman) (*telemetry.Recorder, error) {
	store := bounds.store
	return telemetry.New(telemetry.Config{
		Records: records, Recent: decisions, DenialsPerSecond: s.Denials, LeaveOut: s.LeaveOut, Replica: replicaName(),
		PolicyDigest: func() string { return watcher.Table().Digest },
		Meter:        sdk.meter, Tracer: sdk.tracer, Sampler: sdk.sampler, Logger: sdk.logger, Nonces: store.entries,
		AccessLog: store.accessLog.Nodes, Limits: bounds.met, Replay: store.counted, Remote: store.remote,
		Secrets: func() secret.Counts { return secretCounts(watcher.Table()) },
		Tenants: func() tenant.Stats { return tenantStats(bounds.tenants.Stats(), watcher.Table()) },
		Fetched: bounds.fetcher.Stats,
		Ranges:  func(now time.Time) []ranges.Status { return rangesOf(watcher.Table(), now) },
		Monitor: anomalies.of(), Anomalies: anomalies.counts(),
		Build: telemetry.Build{Version: cli.Version, Revision: cli.Revision(), Go: runtime.Version()},
		OnTextBody: func(webhook string) {
			log.Warn("Envoy sends bodies as text, in which it replaces bytes that are no UTF-8: set pack_as_bytes in with_request_body of its filter, see docs/envoy.md. This is said once; hookbastion.bodies.text counts on",
				"webhook", webhook)
		},
	})
}

// newSettler makes what learns from the access log what became of deliveries, and
// says what it means to have none.
func newSettler(s *settings.Settings, store *nonceStore, nonces replay.Store, log *slog.Logger) *replay.Settler {
	settler := replay.NewSettler(nonces, s.Lease, store.seals)
	settler.OnEntry = store.accessLog.Heard
	if store.settled {
		settler.ProvenBefore()
	}
	if s.OnlyFailures {
		settler.ExpectFailures()
	}
	if !settler.TwoPhase() {
		log.Warn("replay.access_log is false: a delivery that the application failed is refused when it comes again with the same bytes, and no copy is acknowledged")
	}
	return settler
}

// counted are facts of a running service.
type counted struct {
	since     time.Time
	recorder  *telemetry.Recorder
	watcher   *watch.Watcher
	fetcher   *fetch.Fetcher
	recent    *recent.Ring
	inspector *inspector
	anomalies *watchman
	captures  *captures.Keeper

	listing sync.Mutex
	listed  listed
}

func (c *counted) Keys() cli.LiveKeys {
	matches, complete := c.recorder.KeyMatches()
	return cli.LiveKeys{Since: c.since, Complete: complete, Keys: matches, Fetched: fetchedNow(c.fetcher, time.Now())}
}

func (c *counted) Webhooks() map[string]watermark.Kept { return watermark.KeptBy(c.watcher.Table()) }

func (c *counted) Decisions() *recent.Ring { return c.recent }
