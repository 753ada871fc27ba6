package serve

import (
	"log/slog"
	"time"

	"github.com/hookbastion/hookbastion/authz/replay"
)

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
