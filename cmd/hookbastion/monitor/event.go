package monitor

import (
	"net/netip"
	"time"

	"github.com/hookbastion/hookbastion/authz"
	"github.com/hookbastion/hookbastion/authz/monitor"
	"github.com/hookbastion/hookbastion/envoy/telemetry/record"
)

var marks = map[string]authz.Mark{
	authz.MarkCopy.String(): authz.MarkCopy, authz.MarkPossible.String(): authz.MarkPossible, authz.MarkRedelivered.String(): authz.MarkRedelivered,
}

// observe gives a record to the monitor.
func observe(m *monitor.Monitor, r *record.Record) {
	if r.Time.IsZero() {
		return // of a file whose first record is still to come
	}
	reason := authz.Unset // also that of a later version
	_ = reason.UnmarshalText([]byte(r.Reason))
	if r.LeftOut > 0 {
		m.ObserveMany(r.Time, r.Webhook, r.Verdict == authz.Allow.String(), reason, r.LeftOut)
		return
	}
	e := monitor.Event{
		Time: r.Time, Webhook: r.Webhook, Allowed: r.Verdict == authz.Allow.String(), Reason: reason, Mark: marks[r.Replay],
		KeyID: r.KeyID, Path: authz.View(r.Path), BodyBytes: r.BodyBytes,
	}
	e.Source, _ = netip.ParseAddr(r.Source) // a pipe is no address
	if r.SkewMS != nil {
		e.HasSkew, e.Skew = true, time.Duration(*r.SkewMS)*time.Millisecond
	}
	m.Observe(&e)
}
