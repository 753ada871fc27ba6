package serve

import (
	"crypto/x509"
	"log/slog"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/fetch"
	"github.com/hookbastion/hookbastion/authz/ranges"
	"github.com/hookbastion/hookbastion/authz/replay"
	"github.com/hookbastion/hookbastion/authz/tenant"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/envoy/telemetry"
	"github.com/hookbastion/hookbastion/policy"
	"github.com/hookbastion/hookbastion/policy/watch"
	"github.com/hookbastion/hookbastion/policy/watermark"
)

// policies are compiled with what outlives every table, and replaced.
type policies struct {
	settings      *settings.Settings
	store         *nonceStore
	nonces        replay.Store // the same, counted
	settler       *replay.Settler
	fingerprinter *authz.Fingerprinter
	tenants       *tenant.Loader
	fetcher       *fetch.Fetcher
	ranges        *ranges.Keeper
	roots         *x509.CertPool // of signing certificates; nil: the machine's
	recorder      *telemetry.Recorder
	inspector     *inspector // nil: nobody could ask
	log           *slog.Logger
}

// load loads the first policies, and has the watcher treat later ones alike.
func (p *policies) load(watcher *watch.Watcher) error {
	watcher.Compile = p.compile
	if err := watcher.Load(); err != nil {
		return err
	}
	if err := p.store.keep(watermark.KeptBy(watcher.Table())); err != nil {
		return err
	}
	p.recorder.Reloaded(nil, time.Now())
	p.fetcher.Serve(watcher.Table().Fetched)
	watcher.Hold = holdWeaker
	watcher.OnReload = p.reloaded
	return nil
}

// reloaded notes what became of a reload.
func (p *policies) reloaded(report watch.Report) {
	if report.Held {
		p.recorder.Held()
		logReload(p.log, report)
		return
	}
	p.recorder.Reloaded(report.Err, time.Now())
	p.fetcher.Serve(report.Table.Fetched)
	if err := p.store.keep(watermark.KeptBy(report.Table)); err != nil {
		p.log.Warn("what the policies accept could not be noted: after a restart, signed times from before it may be refused", "error", err)
	}
	logReload(p.log, report)
}

// compile makes a table.
func (p *policies) compile(set *policy.Set, previous *authz.Table) (*authz.Table, error) {
	about := p.inspector.begin(set)
	table, err := policy.Compile(set, policy.Deps{
		Store: p.nonces, Settler: p.settler, Fingerprinter: p.fingerprinter, MaxBodyBytes: p.settings.Mapping.MaxRequestBytes,
		Now: time.Now(), Previous: previous, Assertions: len(p.settings.Assertion.Files) > 0,
		Lasting: p.settings.File != nil || p.settings.Redis != nil,
		Strict:  true, Tenants: p.tenants, Fetcher: p.fetcher, Ranges: p.ranges, Roots: p.roots, Kept: p.store.kept,
		OnKey: about.onKey(),
	})
	if err == nil {
		p.inspector.done(set, table, previous, about)
	}
	if err == nil && previous != nil {
		err = p.store.keepBoth(previous, table)
	}
	return table, err
}
