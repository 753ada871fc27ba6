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

	"github.com/hookbastion/hookbastion/envoy/assertion"
)

// site is the HTTP listener: /healthz, /readyz, /metrics and the keys of assertions.
type site struct {
	ready  atomic.Bool
	server *http.Server
}

// newSite makes the pages. Without a signer there are no keys of assertions.
func newSite(condition *condition, metrics http.Handler, signer *assertion.Signer, log *slog.Logger) *site {
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
		lines, ok := condition.say(time.Now())
		if !s.ready.Load() || !ok {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		for _, line := range lines {
			_, _ = fmt.Fprintln(w, line) // the client is gone
		}
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
