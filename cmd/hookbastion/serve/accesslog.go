package serve

import (
	"context"
	"log/slog"
	"time"

	"github.com/hookbastion/hookbastion/cmd/hookbastion/internal/settings"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/logwatch"
)

// askStore bounds what one sweep asks of a store that lies elsewhere.
const askStore = 500 * time.Millisecond

// newLogWatch makes what notices that Envoy's access log does not come; nil where none
// is to come.
func newLogWatch(s *settings.Settings, store *nonceStore, log *slog.Logger) *logwatch.Watch {
	if s.Lease == 0 {
		return nil
	}
	return logwatch.New(logwatch.Config{
		OnlyFailures: s.OnlyFailures, Open: store.open, Peers: store.peers,
		OnChange: func(n logwatch.Node) { logAccessLog(log, n, s.OnlyFailures, store.settler.Load().Proven()) },
	})
}

// logAccessLog says that the access log of an Envoy is lost, or that it is back.
func logAccessLog(log *slog.Logger, n logwatch.Node, onlyFailures, proven bool) {
	about := []any{"envoy", n.Address, "node", n.ID, "streams", n.Streams}
	if !n.Lost {
		log.Info("Envoy's access log comes again", about...)
		return
	}
	about = append(about, "missing", n.Absent, "of", n.Of, "since", n.Since.UTC().Format(time.RFC3339))
	switch {
	case onlyFailures:
		log.Error("Envoy's access log is lost, or its filter does not let pass what is asked for: a delivery that the application failed is refused when it comes again; see docs/replay.md", about...)
	case !proven:
		log.Warn("no access log has come from Envoy: a delivery that the application failed is refused when it comes again with the same bytes, and no copy is acknowledged; see docs/replay.md", about...)
	case n.Absent < n.Of:
		log.Error("a part of Envoy's access log is lost: some deliveries that the application failed are treated as of unknown outcome; see docs/replay.md", about...)
	default:
		log.Error("Envoy's access log is lost: a delivery that the application failed is treated as one of unknown outcome; see docs/replay.md", about...)
	}
}

// serving returns a server of what is reserved in the store.
func (n *nonceStore) serving(service *envoy.Service, limits envoy.Limits) *envoy.Server {
	service.Log = n.accessLog
	server := envoy.NewServer(service, limits, nil)
	n.server.Store(server)
	return server
}

// peers are the Envoys that are connected.
func (n *nonceStore) peers() map[string]int {
	if server := n.server.Load(); server != nil {
		return server.Peers()
	}
	return map[string]int{}
}

// sweeper returns what runs each second.
func sweeper(store *nonceStore, watchLimits func(now time.Time)) func(now time.Time) {
	return func(now time.Time) {
		store.sweep(now)
		ctx, cancel := context.WithTimeout(context.Background(), askStore)
		defer cancel()
		store.accessLog.Sweep(ctx, now)
		watchLimits(now)
	}
}
