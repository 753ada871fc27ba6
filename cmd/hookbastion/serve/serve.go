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
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc/mem"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/secret"
	"github.com/hookbastion/hookbastion/authz/tenant"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/cli"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/watch"
)

func New() *cobra.Command {
	var policies []string
	var config string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the external authorization service",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := settings.Load(config, cmd.Flags())
			if err != nil {
				return cli.Reported(cmd.ErrOrStderr(), err)
			}
			if len(policies) > 0 {
				s.Policies = policies
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			limitMemory()
			return cli.Reported(cmd.ErrOrStderr(), Run(ctx, s, Options{Log: slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))}))
		},
	}
	cmd.Flags().StringArrayVar(&policies, "policy", nil, "directory or file with policies; may be repeated")
	cmd.Flags().StringVar(&config, "config", "", "settings file")
	settings.AddFlags(cmd.Flags())
	return cmd
}

// Options is what the demo and tests set.
type Options struct {
	Log     *slog.Logger
	Records io.Writer   // in place of the setting
	Ready   func(*Info) // called once, when the service serves
	pool    mem.BufferPool
	Spans   sdktrace.SpanProcessor // in place of what OTEL_… variables say
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
}

// Run runs the service until the context ends. Whatever keeps it from
// serving is an error; nothing that fails leaves a half of it running.
func Run(ctx context.Context, s *settings.Settings, o Options) (err error) {
	logSDK(o.Log)
	store, err := openStore(ctx, s, o.Log, time.Now())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.close()) }()
	records, closeRecords, err := openRecords(s, o)
	if err != nil {
		return err
	}
	defer closeRecords()
	sdk, err := newSDK(ctx, sdkOptions{getenv: o.environment(), records: s.RecordsOTLP, replica: replicaName(), spans: o.Spans})
	if err != nil {
		return err
	}
	defer sdk.stop()
	changes := &secretLog{log: o.Log}
	watcher := &watch.Watcher{Paths: s.Policies, OnSecrets: changes.changed}
	tenants := tenant.NewLoader(tenant.Config{Entries: s.Tenants, OnChange: changes.change})
	recorder, err := telemetry.New(telemetry.Config{
		Records: records, DenialsPerSecond: s.Denials, Replica: replicaName(),
		PolicyDigest: func() string { return watcher.Table().Digest },
		Meter:        sdk.meter, Tracer: sdk.tracer, Sampler: sdk.sampler, Logger: sdk.logger, Nonces: store.entries,
		Replay: store.stats, Remote: store.remote,
		Secrets: func() secret.Counts { return secretCounts(watcher.Table()) },
		Tenants: func() tenant.Stats { return tenantStats(tenants.Stats(), watcher.Table()) },
	})
	if err != nil {
		return err
	}
	nonces := recorder.Store(store.Store)
	settler := replay.NewSettler(nonces, s.Lease, store.seals)
	if store.settled {
		settler.ProvenBefore()
	}
	fingerprinter := authz.NewFingerprinter(store.fingerprints)
	store.keys.onChange(func(keys []replay.Key) { replay.UseKeys(keys, settler, fingerprinter) })
	watcher.Compile = compiler(s, store, nonces, settler, fingerprinter, tenants)
	if err := watcher.Load(); err != nil {
		return err
	}
	if err := store.keep(policy.KeptBy(watcher.Table())); err != nil {
		return err
	}
	recorder.Reloaded(nil)
	watcher.Hold = holdWeaker
	watcher.OnReload = func(report watch.Report) {
		if report.Held {
			logReload(o.Log, report)
			return
		}
		recorder.Reloaded(report.Err)
		if err := store.keep(policy.KeptBy(report.Table)); err != nil {
			o.Log.Warn("what the policies accept could not be noted: after a restart, signed times from before it may be refused", "error", err)
		}
		logReload(o.Log, report)
	}
	signer, err := newSigner(s)
	if err != nil {
		return err
	}
	refused := logRefused(o.Log, "service")
	s.Limits.Refused = func(peer net.Addr) { refused(peer, errTooManyConnections) }
	r := &running{
		server: envoy.NewServer(&envoy.Service{
			Source: watcher, Mapping: s.Mapping, Telemetry: recorder, Settler: settler, Assertions: signer,
		}, s.Limits, o.pool),
		site:    newSite(watcher, sdk.metrics),
		watcher: watcher,
		store:   store,
		sweep:   sweeper(store, settler, s.Lease, o.Log),
	}
	r.watched = append(r.watched, store.keys.watch(o.Log)...)
	r.watched = append(r.watched, watchRedis(s.Redis, o.Log)...)
	if r.admin, err = newAdmin(s, settler, o.Log); err != nil {
		return err
	}
	r.watched = append(r.watched, r.admin.watch()...)
	started := time.Now().UTC()
	r.admin.keys = func() cli.LiveKeys {
		matches, complete := recorder.KeyMatches()
		return cli.LiveKeys{Since: started, Complete: complete, Keys: matches}
	}
	r.admin.webhooks = func() map[string]policy.Kept { return policy.KeptBy(watcher.Table()) }
	r.site.stale = func() bool { return watcher.Err() != nil }
	r.site.secrets = func() int { return secretCounts(watcher.Table()).LastGood }
	r.publish(signer, o.Log)
	if !settler.TwoPhase() {
		o.Log.Warn("replay.access_log is false: a delivery that the application failed is refused when it comes again with the same bytes, and no copy is acknowledged")
	}
	if err := r.listen(s, o.Log); err != nil {
		return err
	}
	return r.run(ctx, s, o)
}

// running is what serves and what it serves on.
type running struct {
	server  *envoy.Server
	site    *site
	watcher *watch.Watcher
	grpc    []net.Listener // TCP first, if there is TCP
	web     net.Listener
	admin   *admin
	store   *nonceStore
	sweep   func(now time.Time)
	// watched are files beside the policies that are read again.
	watched []fileWatch
}

// listen opens the listeners. After an error none is open.
func (r *running) listen(s *settings.Settings, log *slog.Logger) (err error) {
	if r.grpc, r.web, err = listen(s); err != nil {
		return err
	}
	if err = r.admin.listen(s.AdminListen); err == nil {
		err = r.secure(s, log)
	}
	if err == nil {
		return nil
	}
	for _, l := range append(r.grpc, r.web, r.admin.listener) {
		if l != nil {
			err = errors.Join(err, l.Close())
		}
	}
	return err
}

// sweeper returns what runs each second. It warns once if leases end and no
// access log has ever come.
func sweeper(store *nonceStore, settler *replay.Settler, lease time.Duration, log *slog.Logger) func(now time.Time) {
	warned, watch := false, &unsettled{}
	return func(now time.Time) {
		store.sweep(now)
		if !warned && settler.TwoPhase() && !settler.Proven() && watch.overdue(store.stats(), lease, now) {
			warned = true
			log.Warn("no access log has come from Envoy: a delivery that the application failed is refused when it comes again with the same bytes, and no copy is acknowledged; see docs/replay.md")
		}
	}
}

// unsettled notices that no access log comes.
type unsettled struct {
	since    time.Time // the first reservation
	reserved int64     // until two leases later
}

// overdue reports that a lease has ended without a word or, since in Redis
// nobody may see that, that deliveries still come two leases after the first.
// With the last of them the replica would have learned of a log that another
// replica gets.
func (u *unsettled) overdue(s replay.Stats, lease time.Duration, now time.Time) bool {
	switch {
	case s.LeaseTaken > 0:
		return true
	case u.since.IsZero():
		if s.Reserved > 0 {
			u.since, u.reserved = now, s.Reserved
		}
		return false
	case now.Sub(u.since) < 2*lease:
		u.reserved = s.Reserved
		return false
	default:
		return s.Reserved > u.reserved
	}
}

// sweepUntil sweeps the nonce store each second.
func (r *running) sweepUntil(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			r.sweep(now)
		case <-ctx.Done():
			return
		}
	}
}

func (r *running) run(ctx context.Context, s *settings.Settings, o Options) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	watched := make(chan struct{})
	go func() { defer close(watched); r.watcher.Run(ctx, hup) }()
	swept := make(chan struct{})
	go func() { defer close(swept); r.sweepUntil(ctx) }()
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		if r.store.run != nil {
			r.store.run(ctx)
		}
	}()
	stopFiles := r.watchFiles(ctx)

	failed := make(chan error, len(r.grpc)+2)
	for _, l := range r.grpc {
		go func() { failed <- r.server.Serve(l) }()
	}
	go func() { failed <- r.site.serve(r.web) }()
	if r.admin.listener != nil {
		go func() { failed <- r.admin.serve() }()
	}
	r.server.SetReady(true)
	r.site.ready.Store(true)
	table := r.watcher.Table()
	o.Log.Info("serving", "grpc", r.grpc[0].Addr().String(), "unix", s.UnixPath, "http", r.web.Addr().String(), "admin", r.admin.address(),
		"webhooks", len(table.Webhooks()), "policy", table.Digest)
	if o.Ready != nil {
		o.Ready(&Info{GRPC: r.grpc[0].Addr(), HTTP: r.web.Addr()})
	}

	err := r.untilStopped(ctx, s.LameDuck, failed, o.Log)
	r.server.Stop()
	r.site.stop()
	r.admin.stop()
	cancel()
	<-watched
	<-swept
	<-looked
	stopFiles()
	return err
}

// compiler returns the function that makes tables. The store and the
// fingerprints outlive every table.
func compiler(s *settings.Settings, kept *nonceStore, store replay.Store, settler *replay.Settler, fingerprinter *authz.Fingerprinter, tenants *tenant.Loader) func(*policy.Set, *authz.Table) (*authz.Table, error) {
	return func(set *policy.Set, previous *authz.Table) (*authz.Table, error) {
		table, err := policy.Compile(set, policy.Deps{
			Store: store, Settler: settler, Fingerprinter: fingerprinter, MaxBodyBytes: s.Mapping.MaxRequestBytes,
			Now: time.Now(), Previous: previous, Assertions: len(s.Assertion.Files) > 0,
			Strict: true, Tenants: tenants, Kept: kept.kept,
		})
		if err == nil && previous != nil {
			err = kept.keepBoth(previous, table)
		}
		return table, err
	}
}

// openRecords opens where decision records go.
func openRecords(s *settings.Settings, o Options) (*telemetry.Writer, func(), error) {
	switch {
	case o.Records != nil:
		w := telemetry.NewWriter(o.Records)
		return w, w.Close, nil
	case s.Records == "-":
		w := telemetry.NewWriter(os.Stdout)
		return w, w.Close, nil
	}
	file, err := os.OpenFile(s.Records, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, err
	}
	w := telemetry.NewWriter(file)
	return w, func() { w.Close(); _ = file.Close() }, nil
}

func replicaName() string {
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}
