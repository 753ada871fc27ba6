package serve

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hookbastion/hookbastion/authz/fetch"
	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/policy/watch"
)

// running is what serves and what it serves on.
type running struct {
	server  *envoy.Server
	site    *site
	watcher *watch.Watcher
	grpc    []net.Listener // TCP first, if there is TCP
	web     net.Listener
	admin   *admin
	store   *nonceStore
	fetcher *fetch.Fetcher
	sweep   func(now time.Time)
	bounds  *limits
	// anomalies is nil where nobody watches.
	anomalies *watchman
	// watched are files beside the policies that are read again.
	watched []fileWatch
}

// listen opens the listeners. After an error none is open.
func (r *running) listen(s *settings.Settings, log *slog.Logger) (err error) {
	if r.grpc, r.web, err = listen(s); err != nil {
		return err
	}
	if err = r.admin.listen(s.Admin.Listen); err == nil {
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
	fetched := make(chan struct{})
	go func() { defer close(fetched); r.fetcher.Run(ctx) }()
	followed := make(chan struct{})
	go func() { defer close(followed); r.admin.follow(ctx) }()
	guarded := make(chan struct{})
	go func() { defer close(guarded); r.anomalies.run(ctx) }()
	stopFiles := r.watchFiles(ctx, o.Log)

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
		info := &Info{GRPC: r.grpc[0].Addr(), HTTP: r.web.Addr()}
		if r.admin.listener != nil {
			info.Admin = r.admin.listener.Addr()
		}
		o.Ready(info)
	}

	err := r.untilStopped(ctx, s.LameDuck, failed, o)
	r.server.StopUntil(o.Hurry)
	r.site.stop()
	r.admin.stop()
	cancel()
	<-watched
	<-swept
	<-looked
	<-fetched
	<-followed
	<-guarded
	stopFiles()
	return err
}

// untilStopped serves until the context ends, and then for as long as Envoy may
// take to notice that we are no longer ready, unless it is in a hurry; or until something
// fails.
func (r *running) untilStopped(ctx context.Context, lameDuck time.Duration, failed <-chan error, o Options) (err error) {
	select {
	case <-ctx.Done():
		o.Log.Info("stopping", "lame_duck", lameDuck)
		r.site.ready.Store(false)
		r.server.SetReady(false)
		select {
		case <-time.After(lameDuck):
			return nil
		case <-o.Hurry:
			return nil
		case err = <-failed:
		}
	case err = <-failed:
		r.site.ready.Store(false)
	}
	if err == nil {
		err = errors.New("a listener ended")
	}
	return err
}
