package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/hookbastion/hookbastion/authz/fetch"
	"github.com/hookbastion/hookbastion/envoy"
	"github.com/hookbastion/hookbastion/envoy/assertion"
)

// site is the HTTP listener: /healthz, /readyz, /metrics and the keys of assertions.
type site struct {
	ready  atomic.Bool
	server *http.Server
}

// inForce is what the site says of the policies.
type inForce interface {
	envoy.Source
	// Err is what keeps the newest ones from serving; nil if they serve.
	Err() error
}

// newSite makes the pages. Without a signer there are no keys of assertions.
func newSite(policies inForce, fetcher *fetch.Fetcher, metrics http.Handler, signer *assertion.Signer, log *slog.Logger) *site {
	mux := http.NewServeMux()
	s := &site{}
	if signer != nil {
		mux.Handle("GET /.well-known/jwks.json", signer)
	}
	mux.Handle("GET /metrics", metrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintln(w, "ok") // the client is gone
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		table := policies.Table()
		if !s.ready.Load() || table == nil {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		if policies.Err() != nil {
			_, _ = fmt.Fprintln(w, "ok, with the last good policy: the newest has errors, see the log")
			return
		}
		if n := secretCounts(table).LastGood; n > 0 {
			_, _ = fmt.Fprintf(w, "ok, with the last good value of %d keys: their files cannot be used, see the log\n", n)
			return
		}
		if n := missing(fetcher); n > 0 {
			_, _ = fmt.Fprintf(w, "ok, without %d documents of providers: they could not be fetched yet, see the log\n", n)
			return
		}
		_, _ = fmt.Fprintln(w, "ok") // the client is gone
	})
	s.server = &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	return s
}

func (s *site) serve(l net.Listener) error {
	if err := s.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (s *site) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close() // a scrape that does not end
	}
}
