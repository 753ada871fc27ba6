package serve

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// untilStopped serves until the context ends, and then for as long as Envoy may
// take to notice that we are no longer ready; or until something fails.
func (r *running) untilStopped(ctx context.Context, lameDuck time.Duration, failed <-chan error, log *slog.Logger) (err error) {
	select {
	case <-ctx.Done():
		log.Info("stopping", "lame_duck", lameDuck)
		r.site.ready.Store(false)
		r.server.SetReady(false)
		select {
		case <-time.After(lameDuck):
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
